package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/zonewise/zonewise/internal/cli"
)

// guarded serves what another server does, over TLS, to who shows a certificate
// and a token. It returns its URL and the flags with which it is spoken to.
func guarded(t *testing.T, of string) (string, []string) {
	t.Helper()
	dir := pairAt(t)
	to, err := url.Parse(of)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", httputil.NewSingleHostReverseProxy(to))
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "zonewise_s3_requests_total{op=\"put\"} 7\nprocess_cpu_seconds_total 1")
	})
	door := httpEndpoint{tokenFile: writeFile(t, dir, "token", []byte("s3cret\n"))}
	guard, err := door.loadGuard()
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, h := guard.wrapServer(nil, mux)
	s := &http.Server{Handler: h}
	go func() { _ = s.Serve(tls.NewListener(ln, openFiles(t, dir).serverConfig())) }()
	t.Cleanup(func() { _ = s.Close() })
	return "https://" + ln.Addr().String(), []string{"--server-ca", dir + "/cert.pem", "--server-cert", dir + "/cert.pem", "--server-key", dir + "/key.pem",
		"--server-token-file", door.tokenFile}
}

// Every command that asks a broker's HTTP port does so of a guarded one, with
// the same flags, and says what is missing where they are not given.
func TestEveryCommandSpeaksToAGuardedHTTPPort(t *testing.T) {
	server, flags := guarded(t, fakeServer(t))
	o := devOptionsOf(t, t.TempDir(), 1)
	d := startDevTest(t, o)
	defer d.kill()
	bench := []string{"bench", "produce", "--bootstrap", fmt.Sprintf("127.0.0.1:%d", devPort(o.kafkaPort, 0, 0)), "--records", "10", "--partitions", "1"}
	for _, args := range [][]string{{"zones"}, {"cost"}, {"dump", "state"}, bench} {
		args = append(args, "--server", server)
		if code, out, stderr := zonewise(t, append(args, flags...)...); code != cli.ExitOK || out == "" {
			t.Errorf("%v: exit %d, %s%s", args, code, out, stderr)
		} else if args[0] == "bench" && !strings.Contains(out, "0.0 S3 requests per GiB") {
			t.Errorf("%v does not tell what the broker did:\n%s", args, out)
		}
		if code, _, stderr := zonewise(t, append(args, flags[:6]...)...); code != cli.ExitFailure || !strings.Contains(stderr, "--server-token-file") {
			t.Errorf("%v without the token: exit %d, %s", args, code, stderr)
		}
		if code, _, stderr := zonewise(t, append(args, flags[6:]...)...); code != cli.ExitFailure || !strings.Contains(stderr, "certificate") {
			t.Errorf("%v without certificates: exit %d, %s", args, code, stderr)
		}
	}
}
