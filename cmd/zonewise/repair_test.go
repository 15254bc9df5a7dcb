package main

import (
	"errors"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/zonewise/zonewise/internal/cli"
	"github.com/zonewise/zonewise/internal/etcdserver"
	"github.com/zonewise/zonewise/metadata/etcdlog"
)

func TestRepairNospaceLeadsOutOfTheAlarm(t *testing.T) {
	m, err := etcdserver.Start(t.Context(), etcdserver.Config{Name: "za", Dir: t.TempDir(), ClientURL: "http://127.0.0.1:0", UnsafeNoFsync: true, QuotaBytes: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Stop)
	c, err := m.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, _, err := etcdlog.Create(t.Context(), etcdlog.FromEtcd(c), "main", "secret"); err != nil {
		t.Fatal(err)
	}
	// Keys of generations that lie in archives, and one of the present one.
	archived, present := etcdlog.Root+"main/log/0000000000000003/s/standard/1", etcdlog.Root+"main/log/0000000000000004/s/standard/1"
	for key, value := range map[string]string{archived: strings.Repeat("a", 1<<20), present: "p",
		etcdlog.Root + "main/generation": "0000000000000004", etcdlog.Root + "main/truncated": "0000000000000003 1/archive/3"} {
		if _, err := c.Put(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
	}
	full := false
	for i := 0; i < 100 && !full; i++ {
		_, err := c.Put(t.Context(), "filler", strings.Repeat("x", 1<<20))
		full = errors.Is(err, rpctypes.ErrNoSpace)
		if err != nil && !full {
			t.Fatal(err)
		}
	}
	if !full {
		t.Fatal("etcd never was full")
	}
	code, out, stderr := zonewise(t, "repair", "nospace", "--etcd", m.Endpoint())
	if code != cli.ExitOK || !strings.Contains(out, "deleted 1 key") || !strings.Contains(out, "1 alarm") {
		t.Fatalf("exit %d, %s\n%s", code, stderr, out)
	}
	if _, err := c.Put(t.Context(), "after", "x"); err != nil {
		t.Errorf("after the repair: %v", err)
	}
	r, err := c.Get(t.Context(), etcdlog.Root+"main/log/", clientv3.WithPrefix())
	if err != nil || len(r.Kvs) != 1 || string(r.Kvs[0].Key) != present {
		t.Errorf("log keys left: %v, %v", r, err)
	}
	if code, _, stderr := zonewise(t, "repair", "nospace", "--etcd", m.Endpoint()); code != cli.ExitOK {
		t.Errorf("again: exit %d, %s", code, stderr)
	}
}
