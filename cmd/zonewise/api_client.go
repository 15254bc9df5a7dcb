package main

import (
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

// serverOption is where a running broker's HTTP port is.
type serverOption struct{ url, ca, tokenFile string }

// declare says that url is asked where no flag says another; "": none.
func (o *serverOption) declare(s *cli.Set, url string) {
	s.String(&o.url, "server", url, "URL", "a running broker's HTTP port")
	s.String(&o.ca, "server-ca", "", "FILE", "certificates that the broker's must be signed by (PEM), where it is not the system's")
	s.String(&o.tokenFile, "server-token-file", "", "FILE", "holds the token that the broker wants")
}

// client returns what asks: with the certificates given, or the system's.
func (o *serverOption) client() (*http.Client, error) {
	t := tlsOptions{ca: o.ca}
	config, err := t.config("server")
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config}}, nil
}

// localServer is where a broker on this machine answers by default.
const localServer = "http://127.0.0.1:8080"

// Limits of an answer: a report of 50,000 rows is below.
const (
	answerBytes   = 64 << 20
	answerTimeout = 30 * time.Second
)

// get asks a broker, and turns an answer that is none into an error.
func (o *serverOption) get(ctx context.Context, path string) ([]byte, error) {
	if !strings.HasPrefix(o.url, "http://") && !strings.HasPrefix(o.url, "https://") {
		return nil, cli.Usagef("--server %q: want http://HOST:PORT", o.url)
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(o.url, "/")+path, nil)
	if err != nil {
		return nil, cli.Usagef("--server: %v", err)
	}
	if o.tokenFile != "" {
		token, err := flagFile{"server-token-file", o.tokenFile, "a file with the broker's token on one line"}.token()
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	client, err := o.client()
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask a broker: %w; is one running, and is --server right?", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the answer of %s: %w", o.url, err)
	case len(body) > answerBytes:
		return nil, fmt.Errorf("read the answer of %s: more than %s", o.url, cli.FormatBytes(answerBytes))
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s answers %s: %s", o.url, resp.Status, said(body))
	}
	return body, nil
}

// said is the error in a body: {"error": text}, or the beginning of whatever
// else it is.
func said(body []byte) string {
	var e struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &e) == nil && e.Error != "" {
		return e.Error
	}
	const most = 300
	return strings.TrimSpace(string(body[:min(len(body), most)]))
}

// getJSON decodes what a broker answers.
func (o *serverOption) getJSON(ctx context.Context, path string, into any) error {
	body, err := o.get(ctx, path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return errors.Join(fmt.Errorf("decode the answer of %s: is it a zonewise broker?", o.url), err)
	}
	return nil
}
