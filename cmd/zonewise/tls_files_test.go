package main

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/zonewise/zonewise/test/testenv/logtext"
)

// pairAt makes a pair in a folder of its own, and returns the folder.
func pairAt(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cert, key := writePair(t, dir)
	for from, to := range map[string]string{cert: "cert.pem", key: "key.pem"} {
		if err := os.Rename(from, filepath.Join(dir, to)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// linked is a link as Kubernetes has them: what it points to is swapped.
func linked(t *testing.T, to string) (link string, swap func(to string)) {
	t.Helper()
	link = filepath.Join(t.TempDir(), "now")
	swap = func(to string) {
		t.Helper()
		if err := os.Symlink(to, link+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link+".new", link); err != nil {
			t.Fatal(err)
		}
	}
	swap(to)
	return link, swap
}

func openFiles(t *testing.T, dir string) *tlsFiles {
	t.Helper()
	f, err := (&tlsOptions{ca: dir + "/cert.pem", cert: dir + "/cert.pem", key: dir + "/key.pem"}).openFiles("peer")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func mustReload(t *testing.T, want bool, all ...*tlsFiles) {
	t.Helper()
	for _, f := range all {
		if changed, err := f.reloadIfChanged(); err != nil || changed != want {
			t.Fatalf("reload: changed %v, %v; want %v", changed, err, want)
		}
	}
}

// Both sides of a connection take certificates that come in place of others,
// authorities too, without a restart.
func TestCertificatesAreReadAnew(t *testing.T) {
	first, second := pairAt(t), pairAt(t)
	link, swap := linked(t, first)
	server, client := openFiles(t, link), openFiles(t, link)
	old := openFiles(t, first)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go s.Serve(tls.NewListener(ln, server.serverConfig()))
	defer s.Close()
	ask := func(f *tlsFiles) error {
		c := &http.Client{Transport: &http.Transport{DialTLSContext: f.dialTLS, DisableKeepAlives: true}}
		resp, err := c.Get("https://" + ln.Addr().String())
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	if err := ask(client); err != nil {
		t.Fatal(err)
	}
	mustReload(t, false, server, client)
	swap(second)
	if err := ask(client); err != nil {
		t.Errorf("before the files are read anew: %v", err)
	}
	mustReload(t, true, server, client)
	if err := ask(client); err != nil {
		t.Errorf("with the new certificates on both sides: %v", err)
	}
	if err := ask(old); err == nil {
		t.Error("the old authority still vouches for the server")
	}
}

// The same of etcd's connections.
func TestCertificatesOfEtcdAreReadAnew(t *testing.T) {
	first, second := pairAt(t), pairAt(t)
	link, swap := linked(t, first)
	server, client := openFiles(t, link), openFiles(t, link)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(server.serverConfig())))
	grpc_health_v1.RegisterHealthServer(s, health.NewServer())
	go s.Serve(ln)
	defer s.Stop()
	ask := func() error {
		c, err := grpc.NewClient(ln.Addr().String(), grpc.WithTransportCredentials(reloadingCredentials{client}))
		if err != nil {
			return err
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err = grpc_health_v1.NewHealthClient(c).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	swap(second)
	mustReload(t, true, server)
	if err := ask(); err == nil {
		t.Error("a server of another authority was believed")
	}
	mustReload(t, true, client)
	if err := ask(); err != nil {
		t.Errorf("with the new certificates on both sides: %v", err)
	}
}

// Files that hold no pair are said once, and what was read before stays; SIGHUP
// has them looked at at once.
func TestCertificatesThatCannotBeReadLeaveThoseBefore(t *testing.T) {
	first, second := pairAt(t), pairAt(t)
	link, swap := linked(t, first)
	synctest.Test(t, func(t *testing.T) {
		f := openFiles(t, link)
		before := f.loaded.Load()
		came := make(chan os.Signal, 1)
		log := &logtext.Text{}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		w := tlsWatcher{logger: slog.New(slog.NewTextHandler(log, nil)), hangups: came, files: []*tlsFiles{f, nil}, failed: map[*tlsFiles]string{}}
		wg.Go(func() { w.run(ctx, func() {}) })
		half := t.TempDir() // a certificate without its key
		body, err := os.ReadFile(second + "/cert.pem")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(half+"/cert.pem", body, 0o600); err != nil {
			t.Fatal(err)
		}
		swap(half)
		time.Sleep(5 * tlsInterval)
		if n := strings.Count(log.String(), "could not be reloaded"); n != 1 || f.loaded.Load() != before {
			t.Errorf("said %d times, want once, and the certificates before in use", n)
		}
		swap(second)
		came <- syscall.SIGHUP
		time.Sleep(time.Millisecond)
		if strings.Count(log.String(), "certificates reloaded") != 1 || f.loaded.Load() == before {
			t.Errorf("SIGHUP did not have the files read")
		}
		cancel()
		wg.Wait()
	})
}

// A change in the folder of the files, or of a link on the way to them, is seen
// at once and not by the timer. Real time: the kernel's events do not reach a bubble.
func TestAChangeInAFolderIsSeenAtOnce(t *testing.T) {
	first, second, third := pairAt(t), pairAt(t), pairAt(t)
	link, swap := linked(t, first)
	f := openFiles(t, link)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	log := &logtext.Text{}
	wg.Go(func() { watchTLS(ctx, slog.New(slog.NewTextHandler(log, nil)), nil, nil, f) })
	seen := func(n int) {
		t.Helper()
		for end := time.Now().Add(tlsInterval / 2); strings.Count(log.String(), "certificates reloaded") < n; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("change %d was not seen in half of the timer's period: %s", n, log.String())
			}
		}
	}
	time.Sleep(tlsSettleTime) // for the watch to begin
	swap(second)
	seen(1)
	for _, name := range []string{"cert.pem", "key.pem"} { // in place, in the folder to which the link leads now
		if err := os.Rename(filepath.Join(third, name), filepath.Join(second, name)); err != nil {
			t.Fatal(err)
		}
	}
	seen(2)
}
