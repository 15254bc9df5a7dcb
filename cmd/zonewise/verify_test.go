package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zonewise/zonewise/internal/cli"
	"github.com/zonewise/zonewise/internal/verify"
)

// walObjects are the files of a dev cluster's WAL objects.
func walObjects(t *testing.T, o *devOptions) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(o.dataDir, "bucket", "main", "1", "wal", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestVerifyTellsWhatIsWrongByTextExitCodeAndJSON(t *testing.T) {
	o := devOptionsOf(t, t.TempDir(), 1)
	o.tune.inlineRate = 0
	d := startDevTest(t, o)
	defer d.kill()
	d.write(t, "one")
	run := func(more ...string) (code int, out, stderr string) {
		t.Helper()
		return zonewise(t, append([]string{"verify", "--etcd", d.member.Endpoint(), "--bucket", filepath.Join(o.dataDir, "bucket")}, more...)...)
	}
	report := func(more ...string) (code int, r verify.Report) {
		t.Helper()
		code, out, stderr := run(append(more, "--json")...)
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatalf("exit %d, %v\n%s\n%s", code, err, out, stderr)
		}
		return code, r
	}
	code, out, stderr := run("--deep")
	if code != cli.ExitOK || !strings.Contains(out, "clean: every byte") || !strings.Contains(stderr, "read") {
		t.Fatalf("a clean cluster: exit %d\n%s\n%s", code, out, stderr)
	}
	wal := walObjects(t, o)
	if len(wal) == 0 {
		t.Fatal("no WAL objects")
	}

	// An orphan: of a session that nobody remembers, and not new.
	orphan := filepath.Join(o.dataDir, "bucket/main/1/wal/00000000000000ff/low-000000000001-0")
	put(t, orphan, []byte("x"))
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(orphan, old, old); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := run(); code != cli.ExitOK || !strings.Contains(out, "orphaned wal 1/wal/00000000000000ff/low-000000000001-0") {
		t.Errorf("an orphan: exit %d\n%s", code, out)
	}
	if code, r := report("--fail-on", "orphans"); code != exitOrphans || r.Result != verify.HasOrphans {
		t.Errorf("an orphan is to fail: exit %d, %+v", code, r)
	}

	body, err := os.ReadFile(wal[0])
	if err != nil {
		t.Fatal(err)
	}
	body[100] ^= 1
	put(t, wal[0], body)
	if code, _ := report(); code != cli.ExitOK {
		t.Errorf("a bit that is not read for: exit %d", code)
	}
	key := strings.TrimPrefix(wal[0], filepath.Join(o.dataDir, "bucket/main")+"/")
	code, out, _ = run("--deep", "--limit", "10MiB")
	if code != exitDamage || !strings.Contains(out, "damaged wal "+key) || !strings.Contains(out, "cannot be read: t partition ") {
		t.Errorf("a bit: exit %d\n%s", code, out)
	}
	if err := os.Remove(wal[0]); err != nil {
		t.Fatal(err)
	}
	code, r := report()
	if code != exitDamage || r.Result != verify.HasDamage || len(r.Findings) == 0 || r.Findings[0].Key != key || r.Findings[0].Status != verify.Missing ||
		len(r.Findings[0].Lost) != 1 || r.Findings[0].Lost[0].Topic != "t" {
		t.Errorf("missing: exit %d, %+v", code, r)
	}
}

func TestVerifySaysWhatItCannotDo(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--etcd", "x"}, cli.ExitUsage, "--bucket"},
		{[]string{"--bucket", t.TempDir()}, cli.ExitUsage, "--etcd"},
		{[]string{"--fail-on", "nothing"}, cli.ExitUsage, "want damage or orphans"},
		{[]string{"--concurrency", "0"}, cli.ExitUsage, "--concurrency"},
		{[]string{"--limit", "fast"}, cli.ExitUsage, "fast"},
	} {
		if code, _, stderr := zonewise(t, append([]string{"verify"}, c.args...)...); code != c.code || !strings.Contains(stderr, c.want) {
			t.Errorf("%v: exit %d, %s", c.args, code, stderr)
		}
	}
}
