package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
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

// guard wraps listener and handler as the options say.
func (d *httpDoor) guard(ln net.Listener, h http.Handler) (net.Listener, http.Handler, error) {
	config, err := d.tls.config("http")
	if err != nil {
		return nil, nil, err
	}
	if config != nil {
		if len(config.Certificates) == 0 {
			return nil, nil, cli.Usagef("--http-ca wants --http-cert and --http-key too: it is the server that shows a certificate first")
		}
		if config.RootCAs != nil {
			config.ClientCAs, config.ClientAuth = config.RootCAs, tls.RequireAndVerifyClientCert
		}
		ln = tls.NewListener(ln, config)
	}
	if d.tokenFile == "" {
		return ln, h, nil
	}
	token, err := readToken(d.tokenFile)
	if err != nil {
		return nil, nil, fmt.Errorf("read --http-token-file: %w", err)
	}
	return ln, wantToken(token, h), nil
}

// readToken reads a token from a file, without the line's end.
func readToken(file string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(b))
	if token == "" {
		return "", fmt.Errorf("%s is empty", file)
	}
	return token, nil
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
