package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// With a token set, nothing but the health checks answers without it.
func TestHTTPDoorWantsItsToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := httpEndpoint{tokenFile: file}
	g, err := d.loadGuard()
	if err != nil {
		t.Fatal(err)
	}
	_, h := g.wrapServer(nil, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for _, c := range []struct {
		path, auth string
		want       int
	}{
		{"/", "", 401}, {"/metrics", "Bearer wrong", 401}, {"/api/v1/cost", "Bearer s3cret", 200},
		{"/healthz", "", 200}, {"/readyz", "", 200}, {"/", "Bearer s3cret", 200}, {"/", "Bearer ", 401},
	} {
		r := httptest.NewRequest(http.MethodGet, c.path, nil)
		if c.auth != "" {
			r.Header.Set("Authorization", c.auth)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s with %q: %d, want %d", c.path, c.auth, w.Code, c.want)
		}
	}
}

func TestEmptyTokenIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := httpEndpoint{tokenFile: file}
	if _, err := d.loadGuard(); err == nil {
		t.Fatal("an empty token lets everybody in")
	}
}

// Without a token and certificates anyone may read, and only this machine may
// change something.
func TestAnOpenHTTPPortIsChangedFromItsOwnMachineOnly(t *testing.T) {
	_, open := httpGuard{}.wrapServer(nil, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	_, certified := httpGuard{clientCA: true}.wrapServer(nil, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for _, c := range []struct {
		h            http.Handler
		method, from string
		want         int
	}{
		{open, "GET", "10.0.0.9:1234", 200}, {open, "HEAD", "10.0.0.9:1234", 200}, {open, "POST", "10.0.0.9:1234", 403},
		{open, "POST", "127.0.3.4:1234", 200}, {open, "POST", "[::1]:1234", 200}, {open, "POST", "[::ffff:127.0.0.1]:1234", 200},
		{open, "POST", "", 403}, {certified, "POST", "10.0.0.9:1234", 200},
	} {
		r := httptest.NewRequest(c.method, "/api/v1/features", nil)
		r.RemoteAddr = c.from
		w := httptest.NewRecorder()
		c.h.ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s from %q: %d, want %d", c.method, c.from, w.Code, c.want)
		}
	}
}
