package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zonewise/zonewise/internal/cli"
)

var rewrite = flag.Bool("rewrite", false, "write golden files anew")

// golden holds got against a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (write it with -rewrite)", err)
	}
	if got != string(want) {
		t.Errorf("%s differs (accept it with -rewrite); got:\n%s", path, got)
	}
}

// zonewise runs the program in this process.
func zonewise(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var o, e bytes.Buffer
	code = program(nil, &o, &e).Main(t.Context(), args)
	return code, o.String(), e.String()
}

func TestHelpOfEveryCommandIsAsAgreed(t *testing.T) {
	p := program(nil, nil, nil)
	for _, c := range p.Commands {
		code, out, stderr := zonewise(t, append(strings.Fields(c.Name), "--help")...)
		if code != cli.ExitOK || stderr != "" {
			t.Errorf("%s: exit %d, %s", c.Name, code, stderr)
		}
		golden(t, "help/"+strings.ReplaceAll(c.Name, " ", "-")+".txt", out)
	}
	code, out, _ := zonewise(t, "help")
	if code != cli.ExitOK {
		t.Errorf("help: exit %d", code)
	}
	golden(t, "help/zonewise.txt", out)
}

func TestEveryCommandSaysWhatItIsMissing(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"broker", "--zone"},
		{"broker --zone a --bucket /tmp/x --etcd x", "--advertise"},
		{"broker --zone a --listen nowhere --advertise h", "--listen"},
		{"broker --zone a --listen :9092 --advertise h --linger 1us", "--linger"},
		{"broker --zone a --listen :65510 --advertise h", "65510"},
		{"dev --zones 5", "--zones 5"},
		{"dev --kafka-port 65530", "--kafka-port"},
		{"etcd", "--"},
		{"etcd members", "no etcd"},
		{"recover --etcd x", "--from"},
		{"cost --format xml", "--format"},
		{"cost --server nowhere", "--server"},
		{"zones --format csv", "--format"},
		{"features show --format csv", "--format"},
		{"features upgrade", "--yes"},
		{"bench produce", "bootstrap"},
		{"bench e2e --bootstrap x:1 --record-bytes 3", "3 bytes"},
		{"dump state", "--bucket"},
		{"dump archive", "KEY"},
		{"dump archive k --bucket gs://x", "gs://x"},
		{"repair archive --etcd x", "bucket"},
	} {
		code, _, stderr := zonewise(t, strings.Fields(c.args)...)
		if code != cli.ExitUsage || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: exit %d, %q, want it to say %q", c.args, code, stderr, c.want)
		}
	}
}
