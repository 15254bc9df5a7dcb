package node

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/zonewise/zonewise/metadata"
)

// ErrPeerRefuses means that a peer responds and refuses this broker, or that
// this broker refuses the peer: because of certificates, TLS at one side alone,
// or another cluster's token.
var ErrPeerRefuses = errors.New("the peer and this broker do not accept each other's credentials")

// asRefusal marks an error of a connection as a refusal where it is one.
func asRefusal(err error) error {
	var (
		verify *tls.CertificateVerificationError
		alert  tls.AlertError
		record tls.RecordHeaderError
		host   x509.HostnameError
	)
	if errors.As(err, &verify) || errors.As(err, &alert) || errors.As(err, &record) || errors.As(err, &host) || errors.Is(err, http.ErrSchemeMismatch) {
		return fmt.Errorf("%w: %w", ErrPeerRefuses, err)
	}
	return err
}

// refusals are the peers that refused this broker's last request.
type refusals struct {
	mu       sync.Mutex
	byBroker map[metadata.BrokerID]error
}

// record records the result of a request to a peer.
func (r *refusals) record(b metadata.BrokerID, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !errors.Is(err, ErrPeerRefuses) {
		delete(r.byBroker, b)
		return
	}
	if r.byBroker == nil {
		r.byBroker = map[metadata.BrokerID]error{}
	}
	r.byBroker[b] = err
}

func (r *refusals) refusalBy(b metadata.BrokerID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.byBroker[b]
}

// refusedByAll is why this broker is not ready though it serves: every broker
// that was there before it refuses it, so that nothing is handed over to it and
// hints skip it. Those brokers stay ready.
func (n *Node) refusedByAll() (err error) {
	s := n.currentSession.Load()
	if s == nil {
		return nil
	}
	n.replica.View(func(st *metadata.State) {
		for _, o := range st.Sessions() {
			if o.ID >= s.log.ID() {
				continue
			}
			if err = n.refusals.refusalBy(o.Broker); err == nil {
				return
			}
		}
	})
	if err != nil {
		err = fmt.Errorf("every existing broker refuses this one (compare --peer-ca, --peer-cert, --peer-key and --cluster with theirs): %w", err)
	}
	return err
}
