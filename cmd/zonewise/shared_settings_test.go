package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zonewise/zonewise/internal/cli"
	"github.com/zonewise/zonewise/test/testenv/logtext"
)

// secondBroker are the arguments of a broker beside a running one, and its HTTP
// port's URL.
func secondBroker(t *testing.T, args ...string) ([]string, string) {
	t.Helper()
	port := freePorts(t, 6)
	return append([]string{"broker", "--zone", "za", "--listen", fmt.Sprintf("127.0.0.1:%d", port), "--peer", fmt.Sprintf("127.0.0.1:%d", port+4),
		"--http", fmt.Sprintf("127.0.0.1:%d", port+5)}, args...), fmt.Sprintf("http://127.0.0.1:%d", port+5)
}

// A broker whose settings cannot go together with those of a running one does
// not start, and both values are named; of other differences it tells.
func TestSettingsThatMustAgreeAreComparedAtTheStart(t *testing.T) {
	dir := t.TempDir()
	m := startMember(t)
	where := []string{"--etcd", "za=" + m.Endpoint(), "--bucket", filepath.Join(dir, "bucket")}
	runningBroker(t, where...)
	cert, key := writePair(t, dir)
	for name, c := range map[string]struct{ args, want []string }{
		"TLS at one side": {append([]string{"--peer-ca", cert, "--peer-cert", cert, "--peer-key", key}, where...),
			[]string{"--peer-ca, --peer-cert and --peer-key: given here, not given at the broker of zone za, --peer 127.0.0.1:"}},
		"another bucket": {[]string{where[0], where[1], "--bucket", filepath.Join(dir, "other")},
			[]string{"--bucket: " + filepath.Join(dir, "other") + " here, " + filepath.Join(dir, "bucket") + " at the broker of zone za"}},
	} {
		args, _ := secondBroker(t, c.args...)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		code, stderr := zonewiseUntil(ctx, args...)
		cancel()
		for _, want := range c.want {
			if code != cli.ExitFailure || !strings.Contains(stderr, want) {
				t.Errorf("%s: exit %d, %s; want %q", name, code, stderr, want)
			}
		}
	}
	_, _, stop, other := runningBroker(t, append([]string{"--inline-rate", "0"}, where...)...)
	defer stop()
	if text := other.String(); !strings.Contains(text, "a setting differs between brokers") || !strings.Contains(text, "setting=--inline-rate here=0 there=2097152 zone=za peer=127.0.0.1:") ||
		strings.Contains(text, "setting=--linger") {
		t.Errorf("the second broker says\n%s", text)
	}
}

// A broker that all others refuse serves, and is not ready: here its certificate
// is of an authority that they do not know. The others stay ready.
func TestABrokerThatAllPeersRefuseIsNotReady(t *testing.T) {
	dir := t.TempDir()
	m := startMember(t)
	where := []string{"--etcd", "za=" + m.Endpoint(), "--bucket", filepath.Join(dir, "bucket")}
	with := func(of string) []string {
		return append([]string{"--peer-ca", of + "/cert.pem", "--peer-cert", of + "/cert.pem", "--peer-key", of + "/key.pem"}, where...)
	}
	_, first, _, _ := runningBroker(t, with(pairAt(t))...)
	args, url := secondBroker(t, with(pairAt(t))...)
	ctx, cancel := context.WithCancel(t.Context())
	log := &logtext.Text{}
	code := make(chan int, 1)
	go func() { code <- program(nil, log, log).Main(ctx, args) }()
	defer func() { cancel(); <-code }()
	const want = "every existing broker refuses this one"
	for end := time.Now().Add(30 * time.Second); !strings.Contains(readiness(url), want); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("/readyz says %q; want %q\n%s", readiness(url), want, log)
		}
	}
	for range 20 { // five rounds of probes
		if got := readiness(first); got != "200 OK: ok" {
			t.Fatalf("the first broker's /readyz says %q", got)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// readiness is what /readyz says.
func readiness(url string) string {
	resp, err := http.Get(url + "/readyz")
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.Status + ": " + strings.TrimSpace(string(body))
}
