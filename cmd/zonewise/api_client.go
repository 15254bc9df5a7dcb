package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/zonewise/zonewise/internal/cli"
)

// apiAccess is how every command shows itself to the HTTP ports of running
// brokers.
type apiAccess struct {
	tls       tlsOptions
	tokenFile string
}

func (a *apiAccess) declareAccess(s *cli.Set) {
	a.tls.declareTLS(s, "server", "the broker's HTTP port")
	s.String(&a.tokenFile, "server-token-file", "", "FILE", "holds the token that the broker's HTTP port wants")
}

// serverOption is where one running broker's HTTP port is.
type serverOption struct {
	url    string
	access apiAccess
}

// declareServer declares the flags of a broker's HTTP port; url is the default,
// "": none.
func (o *serverOption) declareServer(s *cli.Set, url string) {
	s.String(&o.url, "server", url, "URL", "a running broker's HTTP port")
	o.access.declareAccess(s)
}

// localServer is the default address of a broker on this machine.
const localServer = "http://127.0.0.1:8080"

// Limits of an answer: a report of 50,000 rows is below.
const (
	answerBytes   = 64 << 20
	answerTimeout = 30 * time.Second
)

// apiClient sends requests to the HTTP ports of running brokers.
type apiClient struct {
	http  *http.Client
	token string
}

// openClient reads the files. The caller closes it.
func (a *apiAccess) openClient() (*apiClient, error) {
	config, err := a.tls.loadConfig("server")
	if err != nil {
		return nil, err
	}
	c := &apiClient{http: &http.Client{Transport: &http.Transport{TLSClientConfig: config, Proxy: http.ProxyFromEnvironment}}}
	if a.tokenFile != "" {
		c.token, err = flagFile{"server-token-file", a.tokenFile, "a file with the broker's token on one line"}.readToken()
	}
	return c, err
}

func (c *apiClient) close() { c.http.CloseIdleConnections() }

// checkServer returns what is wrong with a URL of --server.
func checkServer(url string) error {
	if !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://") {
		return cli.Usagef("--server %q: want http://HOST:PORT", url)
	}
	return nil
}

// getPath reads from a broker.
func (c *apiClient) getPath(ctx context.Context, server, path string) ([]byte, error) {
	return c.request(ctx, server, path, nil)
}

// request sends a request to a broker, a POST where there is a body of JSON, and
// returns an error unless the status is 200.
func (c *apiClient) request(ctx context.Context, server, path string, send []byte) ([]byte, error) {
	if err := checkServer(server); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	method := http.MethodGet
	if send != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(server, "/")+path, bytes.NewReader(send))
	if err != nil {
		return nil, cli.Usagef("--server: %v", err)
	}
	if send != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("request to broker: %w; is it running, and is --server right?", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the answer of %s: %w", server, err)
	case len(body) > answerBytes:
		return nil, fmt.Errorf("read the answer of %s: more than %s", server, cli.FormatBytes(answerBytes))
	case resp.StatusCode == http.StatusUnauthorized:
		return nil, fmt.Errorf("%s answers %s: %s; give its token by --server-token-file", server, resp.Status, errorText(body))
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s answers %s: %s", server, resp.Status, errorText(body))
	}
	return body, nil
}

// errorText is the error in a body: {"error": text}, or the beginning of any
// other body.
func errorText(body []byte) string {
	var e struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &e) == nil && e.Error != "" {
		return e.Error
	}
	const most = 300
	return strings.TrimSpace(string(body[:min(len(body), most)]))
}

// getPath sends a request to the broker of --server.
func (o *serverOption) getPath(ctx context.Context, path string) ([]byte, error) {
	c, err := o.access.openClient()
	if err != nil {
		return nil, err
	}
	defer c.close()
	return c.getPath(ctx, o.url, path)
}

// postJSON sends a value to the broker of --server and returns its answer.
func (o *serverOption) postJSON(ctx context.Context, path string, value any) ([]byte, error) {
	send, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encode the request: %w", err)
	}
	c, err := o.access.openClient()
	if err != nil {
		return nil, err
	}
	defer c.close()
	return c.request(ctx, o.url, path, send)
}

// getJSON decodes what a broker answers.
func (o *serverOption) getJSON(ctx context.Context, path string, into any) error {
	body, err := o.getPath(ctx, path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return errors.Join(fmt.Errorf("decode the answer of %s: is it a zonewise broker?", o.url), err)
	}
	return nil
}
