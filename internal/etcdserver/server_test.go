package etcdserver

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// start starts a member that is alone.
func start(t *testing.T, dir string, log *slog.Logger) *Member {
	t.Helper()
	m, err := Start(t.Context(), Config{Name: "dev-a", Dir: dir, ClientURL: "http://127.0.0.1:0", UnsafeNoFsync: true, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Stop)
	return m
}

func dial(t *testing.T, m *Member) *clientv3.Client {
	t.Helper()
	c, err := m.Client()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestAMemberTakesAWholeEntryAndKeepsItOverARestart(t *testing.T) {
	dir := t.TempDir()
	var lines bytes.Buffer
	m := start(t, dir, slog.New(slog.NewTextHandler(&lines, nil)))
	c := dial(t, m)
	entry := strings.Repeat("x", 1<<20+64<<10)
	if _, err := c.Put(t.Context(), "k", entry); err != nil {
		t.Fatalf("put of %d bytes: %v", len(entry), err)
	}
	cmps := make([]clientv3.Cmp, 200)
	for i := range cmps {
		cmps[i] = clientv3.Compare(clientv3.CreateRevision("absent"), "=", 0)
	}
	if _, err := c.Txn(t.Context()).If(cmps...).Then(clientv3.OpPut("guarded", "1")).Commit(); err != nil {
		t.Fatalf("txn of %d comparisons: %v", len(cmps), err)
	}
	st, err := c.Status(t.Context(), m.Endpoint())
	if err != nil || st.DbSizeQuota != DefaultQuotaBytes {
		t.Fatalf("quota %d, %v", st.DbSizeQuota, err)
	}
	c.Close()
	m.Stop()
	m.Stop() // twice does no harm

	again := dial(t, start(t, dir, nil))
	r, err := again.Get(t.Context(), "k")
	if err != nil || len(r.Kvs) != 1 || len(r.Kvs[0].Value) != len(entry) {
		t.Fatalf("after the restart: %v, %v", r, err)
	}
	if strings.Contains(lines.String(), "level=INFO") {
		t.Errorf("etcd's chatter came through: %s", lines.String())
	}
}

func TestASnapshotIsAWholeFileAndNeverOverwritten(t *testing.T) {
	m := start(t, t.TempDir(), nil)
	c := dial(t, m)
	path := filepath.Join(t.TempDir(), "snap.db")
	n, err := Snapshot(t.Context(), c, path)
	if err != nil || n < 1<<10 {
		t.Fatalf("%d bytes, %v", n, err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Size() != n {
		t.Fatalf("file: %v, %v", fi, err)
	}
	if _, err := Snapshot(t.Context(), c, path); err == nil {
		t.Error("a file that was there was overwritten")
	}
	all, err := Members(t.Context(), c)
	if err != nil || len(all) != 1 || all[0].Name != "dev-a" || !all[0].Leader {
		t.Errorf("members %+v, %v", all, err)
	}
	if err := RemoveMember(t.Context(), c, "dev-a"); err == nil {
		t.Error("the last member was removed")
	}
	if err := Defragment(t.Context(), c); err != nil {
		t.Error(err)
	}
	if n, err := DisarmAlarms(t.Context(), c); err != nil || n != 0 {
		t.Errorf("disarmed %d, %v", n, err)
	}
}

func TestAConfigurationThatCannotWorkIsRefusedWithTheReason(t *testing.T) {
	for name, cfg := range map[string]Config{
		"no name":               {Dir: "d", ClientURL: "http://127.0.0.1:0"},
		"no scheme":             {Name: "a", Dir: "d", ClientURL: "127.0.0.1"},
		"cluster without peers": {Name: "a", Dir: "d", ClientURL: "http://127.0.0.1:0", InitialCluster: "a=http://x:1"},
	} {
		if m, err := Start(t.Context(), cfg); err == nil {
			m.Stop()
			t.Errorf("%s: started", name)
		}
	}
}
