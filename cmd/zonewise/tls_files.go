package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"

	"google.golang.org/grpc/credentials"
)

// tlsFiles are the certificates of one interface. They are read anew when their
// files change; connections that are open stay as they are.
type tlsFiles struct {
	options tlsOptions
	door    string // what its flags begin with
	now     atomic.Pointer[tlsRead]
}

// tlsRead is what the files held.
type tlsRead struct {
	config *tls.Config
	sum    [sha256.Size]byte
}

// open reads the files; nil where no file is given.
func (o *tlsOptions) open(door string) (*tlsFiles, error) {
	if *o == (tlsOptions{}) {
		return nil, nil
	}
	f := &tlsFiles{options: *o, door: door}
	_, err := f.reload()
	return f, err
}

// reload reads the files, and reports whether they hold something else than
// before. After an error what was read before stays. The sum is taken first: of
// files that are swapped meanwhile it is the older one, and the next look differs.
func (f *tlsFiles) reload() (changed bool, err error) {
	sum, unread := f.sum()
	if before := f.now.Load(); unread == nil && before != nil && before.sum == sum {
		return false, nil
	}
	config, err := f.options.config(f.door)
	if err == nil {
		err = unread
	}
	if err != nil {
		return false, err
	}
	f.now.Store(&tlsRead{config, sum})
	return true, nil
}

// sum is of what the files hold now.
func (f *tlsFiles) sum() (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	for _, path := range []string{f.options.ca, f.options.cert, f.options.key} {
		var body []byte
		if path != "" {
			if body, err = os.ReadFile(path); err != nil {
				return sum, fmt.Errorf("read certificates: %w", err)
			}
		}
		fmt.Fprintf(h, "%d ", len(body))
		h.Write(body)
	}
	h.Sum(sum[:0])
	return sum, nil
}

// present is the configuration of the next connection.
func (f *tlsFiles) present() *tls.Config { return f.now.Load().config.Clone() }

// server is the configuration of a listener. Who connects must show a
// certificate where there are authorities to hold it against.
func (f *tlsFiles) server() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		c := f.present()
		if c.RootCAs != nil {
			c.ClientCAs, c.ClientAuth = c.RootCAs, tls.RequireAndVerifyClientCert
		}
		return c, nil
	}}
}

// dial is for http.Transport.DialTLSContext.
func (f *tlsFiles) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	c := f.present()
	c.ServerName = host
	return (&tls.Dialer{Config: c}).DialContext(ctx, network, addr)
}

// freshCredentials are gRPC's, with the certificates of the moment.
type freshCredentials struct{ files *tlsFiles }

var errNoServer = errors.New("BUG: credentials of a client")

func (c freshCredentials) fresh() credentials.TransportCredentials {
	return credentials.NewTLS(c.files.present())
}

// ClientHandshake implements credentials.TransportCredentials.
func (c freshCredentials) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return c.fresh().ClientHandshake(ctx, authority, raw)
}

// ServerHandshake implements credentials.TransportCredentials.
func (c freshCredentials) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errNoServer
}

// Info implements credentials.TransportCredentials.
func (c freshCredentials) Info() credentials.ProtocolInfo { return c.fresh().Info() }

// Clone implements credentials.TransportCredentials.
func (c freshCredentials) Clone() credentials.TransportCredentials { return c }

// OverrideServerName implements credentials.TransportCredentials.
func (c freshCredentials) OverrideServerName(string) error { return nil }
