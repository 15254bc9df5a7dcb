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

// tlsFiles are the certificates of one interface. They are reloaded when their
// files change; open connections are not affected.
type tlsFiles struct {
	options    tlsOptions
	flagPrefix string // what its flags begin with
	loaded     atomic.Pointer[tlsContent]
}

// tlsContent is what the files held.
type tlsContent struct {
	config *tls.Config
	sum    [sha256.Size]byte
}

// openFiles reads the files; nil where no file is given.
func (o *tlsOptions) openFiles(prefix string) (*tlsFiles, error) {
	if *o == (tlsOptions{}) {
		return nil, nil
	}
	f := &tlsFiles{options: *o, flagPrefix: prefix}
	_, err := f.reloadIfChanged()
	return f, err
}

// reloadIfChanged reads the files, and reports whether their content has
// changed. After an error the former certificates stay. The sum is computed
// first: of files that are replaced meanwhile it is the older one, and the next
// call sees the difference.
func (f *tlsFiles) reloadIfChanged() (changed bool, err error) {
	sum, unread := f.hashFiles()
	if before := f.loaded.Load(); unread == nil && before != nil && before.sum == sum {
		return false, nil
	}
	config, err := f.options.loadConfig(f.flagPrefix)
	if err == nil {
		err = unread
	}
	if err != nil {
		return false, err
	}
	f.loaded.Store(&tlsContent{config, sum})
	return true, nil
}

// hashFiles is of what the files hold now.
func (f *tlsFiles) hashFiles() (sum [sha256.Size]byte, err error) {
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

// currentConfig is the configuration of the next connection.
func (f *tlsFiles) currentConfig() *tls.Config { return f.loaded.Load().config.Clone() }

// serverConfig is the configuration of a listener. Clients must present a
// certificate where there are authorities to verify it.
func (f *tlsFiles) serverConfig() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		c := f.currentConfig()
		if c.RootCAs != nil {
			c.ClientCAs, c.ClientAuth = c.RootCAs, tls.RequireAndVerifyClientCert
		}
		return c, nil
	}}
}

// dialTLS is for http.Transport.DialTLSContext.
func (f *tlsFiles) dialTLS(ctx context.Context, network, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	c := f.currentConfig()
	c.ServerName = host
	return (&tls.Dialer{Config: c}).DialContext(ctx, network, addr)
}

// reloadingCredentials are gRPC's, with the certificates of the moment.
type reloadingCredentials struct{ files *tlsFiles }

var errNoServer = errors.New("BUG: credentials of a client")

func (c reloadingCredentials) current() credentials.TransportCredentials {
	return credentials.NewTLS(c.files.currentConfig())
}

// ClientHandshake implements credentials.TransportCredentials.
func (c reloadingCredentials) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return c.current().ClientHandshake(ctx, authority, raw)
}

// ServerHandshake implements credentials.TransportCredentials.
func (c reloadingCredentials) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errNoServer
}

// Info implements credentials.TransportCredentials.
func (c reloadingCredentials) Info() credentials.ProtocolInfo { return c.current().Info() }

// Clone implements credentials.TransportCredentials.
func (c reloadingCredentials) Clone() credentials.TransportCredentials { return c }

// OverrideServerName implements credentials.TransportCredentials.
func (c reloadingCredentials) OverrideServerName(string) error { return nil }
