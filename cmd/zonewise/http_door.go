package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"net"
	"net/http"
	"strings"

	"github.com/zonewise/zonewise/internal/cli"
)

// httpDoor is how the HTTP door of a broker is guarded: TLS, certificates of
// its readers, a token. Without any of them it is open to whoever reaches it.
type httpDoor struct {
	tls       tlsOptions
	tokenFile string
}

func (d *httpDoor) declare(s *cli.Set) {
	d.tls.declare(s, "http", "readers of the page and the API")
	s.String(&d.tokenFile, "http-token-file", "", "FILE", "holds a token; page, API and metrics then want `Authorization: Bearer TOKEN`, /healthz and /readyz do not")
}

// load reads the files that the options name.
func (d *httpDoor) load() (httpGuard, error) {
	files, err := d.tls.open("http")
	if err != nil {
		return httpGuard{}, err
	}
	if files != nil && d.tls.cert == "" {
		return httpGuard{}, cli.Usagef("--http-ca wants --http-cert and --http-key too: it is the server that shows a certificate first")
	}
	g := httpGuard{tls: files}
	if d.tokenFile != "" {
		g.token, err = flagFile{"http-token-file", d.tokenFile, "a file with a token on one line"}.token()
	}
	return g, err
}

// httpGuard is what an httpDoor loaded. Nothing of it can fail any more once
// there is a listener to close.
type httpGuard struct {
	tls   *tlsFiles // nil: plain text
	token string    // "": none is wanted
}

// wrap puts the guard before a listener and a handler.
func (g httpGuard) wrap(ln net.Listener, h http.Handler) (net.Listener, http.Handler) {
	if g.tls != nil {
		ln = tls.NewListener(ln, g.tls.server())
	}
	if g.token != "" {
		h = wantToken(g.token, h)
	}
	return ln, h
}

// wantToken lets nobody read without the token but those who only ask whether
// the broker lives. Hashes are compared, so that no length shows.
func wantToken(token string, h http.Handler) http.Handler {
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := sha256.Sum256([]byte(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")))
		open := r.URL.Path == "/healthz" || r.URL.Path == "/readyz"
		if !open && subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="zonewise"`)
			http.Error(w, "a token is wanted", http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	})
}
