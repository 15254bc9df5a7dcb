package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/zonewise/zonewise/internal/cli"
)

// httpEndpoint is how the HTTP interface of a broker is guarded: TLS, client
// certificates, a token. Without a token and certificates it is open to anyone
// who reaches it, but for what changes something, which only this machine may.
type httpEndpoint struct {
	tls       tlsOptions
	tokenFile string
}

func (d *httpEndpoint) declareEndpoint(s *cli.Set) {
	d.tls.declareTLS(s, "http", "readers of the page and the API")
	s.String(&d.tokenFile, "http-token-file", "", "FILE", "holds a token; page, API and metrics then want `Authorization: Bearer TOKEN`, /healthz and /readyz do not")
}

// loadGuard reads the files that the options name.
func (d *httpEndpoint) loadGuard() (httpGuard, error) {
	files, err := d.tls.openFiles("http")
	if err != nil {
		return httpGuard{}, err
	}
	if files != nil && d.tls.cert == "" {
		return httpGuard{}, cli.Usagef("--http-ca needs --http-cert and --http-key: the server presents a certificate first")
	}
	g := httpGuard{tls: files, clientCA: d.tls.ca != ""}
	if d.tokenFile != "" {
		g.token, err = flagFile{"http-token-file", d.tokenFile, "a file with a token on one line"}.readToken()
	}
	return g, err
}

// httpGuard is what an httpEndpoint loaded. Nothing of it can fail any more once
// there is a listener to close.
type httpGuard struct {
	tls      *tlsFiles // nil: plain text
	token    string    // "": none is wanted
	clientCA bool      // certificates of clients are wanted
}

// wrapServer puts the guard before a listener and a handler.
func (g httpGuard) wrapServer(ln net.Listener, h http.Handler) (net.Listener, http.Handler) {
	if g.tls != nil {
		ln = tls.NewListener(ln, g.tls.serverConfig())
	}
	switch {
	case g.token != "":
		h = requireToken(g.token, h)
	case !g.clientCA:
		h = allowLocalChanges(h)
	}
	return ln, h
}

// allowLocalChanges lets only this machine send what is not a read.
func allowLocalChanges(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		if r.Method != http.MethodGet && r.Method != http.MethodHead && (err != nil || !from.Addr().Unmap().IsLoopback()) {
			http.Error(w, "only from the broker's own machine, unless the broker has --http-token-file or --http-ca", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// requireToken requires the token for everything but the health check. Hashes
// are compared, so that the comparison does not reveal the length.
func requireToken(token string, h http.Handler) http.Handler {
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := sha256.Sum256([]byte(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")))
		open := r.URL.Path == "/healthz" || r.URL.Path == "/readyz"
		if !open && subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="zonewise"`)
			http.Error(w, "token required", http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	})
}
