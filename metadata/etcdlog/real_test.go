package etcdlog_test

import (
	"fmt"
	"testing"

	"github.com/zonewise/zonewise/internal/etcdserver"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/metadata/etcdlog"
	"github.com/zonewise/zonewise/metadata/metadatatest"
)

// member starts a real etcd that does not sync its disk.
func member(t *testing.T) *etcdserver.Member {
	t.Helper()
	m, err := etcdserver.Start(t.Context(), etcdserver.Config{
		Name: "dev-a", Dir: t.TempDir(), ClientURL: "http://127.0.0.1:0", UnsafeNoFsync: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Stop)
	return m
}

// realClient connects to a real etcd.
func realClient(t *testing.T, m *etcdserver.Member) etcdlog.Client {
	t.Helper()
	c, err := m.Client()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return etcdlog.FromEtcd(c)
}

func TestLogOverRealEtcdKeepsThePromisesOfTheDoors(t *testing.T) {
	m := member(t)
	n := 0
	metadatatest.Accept(t, func(t *testing.T) metadatatest.Cluster {
		n++
		name := fmt.Sprintf("c%d", n)
		if _, created, err := etcdlog.Create(t.Context(), realClient(t, m), name, "secret"); err != nil || !created {
			t.Fatalf("create: %v, %v", created, err)
		}
		return func(t *testing.T, _ string) (metadata.Log, metadata.LogAdmin) {
			l, err := etcdlog.Open(t.Context(), etcdlog.Config{
				Cluster: name, Client: realClient(t, m),
				MemberZone: func(s string) metadata.ZoneID { return metadata.ZoneID(s) },
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(l.Close)
			return l, l
		}
	})
}
