package node

import (
	"context"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// PeerClient reaches the broker-to-broker interfaces of others.
type PeerClient interface {
	// Probe returns nil where the peer responds.
	Probe(ctx context.Context, addr string) error
	// DrainPartition requests the peer to finish what it has of a
	// partition.
	DrainPartition(ctx context.Context, addr string, tp metadata.TopicPartition) error
}

// Paths of the broker-to-broker interface. It is HTTP/1.1 and requires the
// cluster's token (kept in etcd) or a client certificate.
const (
	peerProbePath = "/peer/v1/probe"
	peerDrainPath = "/peer/v1/drain"
)

// peerBodyLimit bounds bodies of requests and responses of peers.
const peerBodyLimit = 64 << 10

// PeerHandler returns the broker-to-broker interface. With an empty token
// nobody is admitted, unless certified reports that the transport has
// authenticated the caller.
func (n *Node) PeerHandler(token string, certified func(*http.Request) bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+peerProbePath, func(w http.ResponseWriter, _ *http.Request) {
		if err := n.checkServing(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("GET "+peerLivenessPath, n.servePeerLiveness)
	mux.HandleFunc("GET "+peerClientsPath, n.servePeerClients)
	mux.HandleFunc("POST "+peerDrainPath, n.servePeerDrain)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		known := token != "" && subtle.ConstantTimeCompare([]byte(got), []byte(token)) == 1
		if !known && (certified == nil || !certified(r)) {
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, peerBodyLimit)
		mux.ServeHTTP(w, r)
	})
}

func (n *Node) servePeerDrain(w http.ResponseWriter, r *http.Request) {
	id, err := hex.DecodeString(r.URL.Query().Get("topic"))
	index, err2 := strconv.ParseInt(r.URL.Query().Get("partition"), 10, 32)
	if err != nil || err2 != nil || len(id) != len(metadata.TopicID{}) {
		http.Error(w, "topic in hexadecimal and partition are needed", http.StatusBadRequest)
		return
	}
	tp := metadata.TopicPartition{Topic: metadata.TopicID(id), Partition: metadata.Partition(index)}
	if err := n.writer.handover.drainHere(r.Context(), tp); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
}

// HTTPPeers is the PeerClient over HTTP/1.1.
type HTTPPeers struct {
	Client *http.Client // with the cluster's certificates, where it has some
	Token  string
	Scheme string // http or https
}

// peerTimeout bounds one request.
const peerTimeout = 2 * time.Second

// request returns the peer's response.
func (p *HTTPPeers) request(ctx context.Context, method, addr, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, p.Scheme+"://"+addr+path, nil)
	if err != nil {
		return nil, fmt.Errorf("request to peer %s: %w", addr, err)
	}
	req.Header.Set("Authorization", "Bearer "+p.Token)
	resp, err := p.Client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("request to peer %s: %w", addr, asRefusal(err))
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, peerBodyLimit))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(strings.TrimSpace(string(text)))
		if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusBadRequest {
			err = fmt.Errorf("%w: %w", ErrPeerRefuses, err)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("request to peer %s: %s: %w", addr, resp.Status, err)
	}
	return text, nil
}

// Probe implements PeerClient.
func (p *HTTPPeers) Probe(ctx context.Context, addr string) error {
	_, err := p.request(ctx, http.MethodGet, addr, peerProbePath)
	return err
}

// DrainPartition implements PeerClient.
func (p *HTTPPeers) DrainPartition(ctx context.Context, addr string, tp metadata.TopicPartition) error {
	_, err := p.request(ctx, http.MethodPost, addr, fmt.Sprintf("%s?topic=%s&partition=%d", peerDrainPath, tp.Topic, tp.Partition))
	return err
}
