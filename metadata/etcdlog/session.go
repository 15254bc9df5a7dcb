package etcdlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/zonewise/zonewise/metadata"
)

// session implements metadata.Session.
type session struct {
	l       *Log
	info    metadata.SessionInfo
	key     string
	created int64 // etcd create revision of key
	lease   int64

	done     chan struct{} // Done
	doneOnce sync.Once     // closes over
	cancel   context.CancelFunc
	wg       sync.WaitGroup // the lease's goroutine
	closed   bool           // Close has returned; under the log's mutex

	mu    sync.Mutex // guards lanes
	lanes [metadata.LaneCount]pendingAppend
}

// sessionJSON is the session key's value.
type sessionJSON struct {
	Zone   metadata.ZoneID   `json:"zone"`
	Peer   string            `json:"peer"`
	Broker metadata.BrokerID `json:"broker"`
	Clock  int64             `json:"clock_ms"`
	Appl   metadata.Revision `json:"applied"`
	HashAt metadata.Revision `json:"hash_at"`
	Hash   string            `json:"hash"`
}

func encodeSession(i metadata.SessionInfo, s metadata.SessionStatus) ([]byte, error) {
	return json.Marshal(sessionJSON{i.Zone, i.Peer, s.Broker, int64(s.Clock), s.Applied, s.HashRevision, formatHex64(s.Hash)})
}

func decodeSession(nonce string, b []byte) (metadata.SessionInfo, metadata.SessionStatus, error) {
	var j sessionJSON
	err := json.Unmarshal(b, &j)
	var h uint64
	if err == nil {
		h, err = parseHex64(j.Hash)
	}
	if err != nil {
		return metadata.SessionInfo{}, metadata.SessionStatus{}, fmt.Errorf("decode session key %s: %w", nonce, err)
	}
	return metadata.SessionInfo{Nonce: nonce, Zone: j.Zone, Peer: j.Peer},
		metadata.SessionStatus{Broker: j.Broker, Clock: metadata.UnixMilli(j.Clock), Applied: j.Appl, HashRevision: j.HashAt, Hash: h}, nil
}

// OpenSession implements metadata.Log. The lease is granted first; then one txn
// puts the key if the format is still the one that this program read.
func (l *Log) OpenSession(ctx context.Context, info metadata.SessionInfo) (metadata.Session, error) {
	if !isValidName(info.Nonce) {
		return nil, fmt.Errorf("open session: nonce %q; want 1 to 128 of [A-Za-z0-9._:-]", info.Nonce)
	}
	value, err := encodeSession(info, metadata.SessionStatus{Broker: metadata.NoBroker})
	if err != nil {
		return nil, fmt.Errorf("open session: %w", err)
	}
	s := &session{l: l, info: info, key: l.k.sessionKey(info.Nonce), done: make(chan struct{})}
	settings, err := encodeSettings(info.Settings)
	if err != nil {
		return nil, fmt.Errorf("open session: %w", err)
	}
	if err := s.openKey(ctx, value, settings); err != nil {
		return nil, fmt.Errorf("open session %s: %w", info.Nonce, l.addAdvice(ctx, err))
	}
	return s, nil
}

// openKey grants the lease, puts the keys and starts the renewals.
func (s *session) openKey(ctx context.Context, value, settings []byte) error {
	l := s.l
	at := &retrier{l: l, name: s.key}
	var sent time.Time
	for {
		actx, cancel := context.WithTimeout(ctx, at.attemptTimeout())
		sent = time.Now()
		var err error
		s.lease, err = l.c.Grant(actx, int64(l.cfg.LeaseTTL/time.Second))
		cancel()
		if err == nil {
			break
		}
		if err := at.waitForRetry(ctx, err); err != nil {
			return fmt.Errorf("grant lease: %w", err)
		}
	}
	puts := []*op{putLeaseOp(s.key, value, s.lease)}
	if settings != nil {
		puts = append(puts, putLeaseOp(l.k.settingsKey(s.info.Nonce), settings, s.lease))
	}
	t := &txnReq{
		Compare: []*compare{compareAbsent(s.key), compareModified(l.k.formatKey(), l.formatModRevision), compareCreated(l.k.incarnationKey(l.format.Incarnation), l.incarnationCreated)},
		Success: puts,
		Failure: append(l.stateOps(), getOp(s.key), getOp(l.k.formatKey())),
	}
	for s.created == 0 {
		before := l.seen.get()
		resp, err := at.sendTxn(ctx, t)
		switch {
		case err == nil && resp.Succeeded:
			s.created = resp.Header.GetRevision()
			l.seen.advance(progress{rev: s.created})
		case err == nil:
			if err := s.checkOpened(before, resp); err != nil {
				return err
			}
		case errors.Is(err, rpctypes.ErrLeaseNotFound):
			return fmt.Errorf("its lease expired before the key was written: %w", metadata.ErrSessionLost)
		default:
			if err := at.waitForRetry(ctx, err); err != nil {
				return fmt.Errorf("put key: %w", err)
			}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errors.New("log is closed")
	}
	maps.DeleteFunc(l.sessions, func(_ metadata.SessionID, o *session) bool { return o.closed })
	l.sessions[s.ID()] = s
	renew, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.wg.Go(func() { s.renewLease(renew, sent.Add(l.cfg.LeaseTTL)) })
	return nil
}

// checkOpened checks the response of a txn that did not put the key: an earlier
// attempt may have.
func (s *session) checkOpened(before progress, resp *txnResp) error {
	l := s.l
	st, err := l.decodeState(before, resp)
	if err != nil {
		return err
	}
	kv, format := st.values[s.key], st.values[l.k.formatKey()]
	switch {
	case kv != nil && kv.Lease == s.lease:
		s.created = kv.CreateRevision
		return nil
	case kv != nil:
		return errors.New("another session uses this nonce; choose another one")
	case format == nil || format.ModRevision != l.formatModRevision:
		return fmt.Errorf("the cluster's format changed since this broker started; start it again: %w", ErrLayout)
	}
	return fmt.Errorf("its key was written and then deleted: %w", metadata.ErrSessionLost)
}

// renewLease renews the lease until ctx ends, and ends the session where the
// lease may have expired: its time counts from before a renewal was sent.
func (s *session) renewLease(ctx context.Context, until time.Time) {
	ttl := s.l.cfg.LeaseTTL
	every := ttl / 4
	for n := 0; ; n++ {
		wait := every + s.l.jitter("renew", s.key, n, every/2)
		if left := time.Until(until); wait > left {
			wait = max(left, 0)
		}
		select {
		case <-ctx.Done():
			return
		case <-s.done:
			return
		case <-time.After(wait):
		}
		sent := time.Now()
		if !sent.Before(until) {
			s.markLost()
			return
		}
		kctx, cancel := context.WithDeadline(ctx, earlierTime(until, sent.Add(ttl/3+s.l.jitter("renewal", s.key, n, time.Millisecond))))
		err := s.l.c.KeepAlive(kctx, s.lease)
		cancel()
		switch {
		case err == nil:
			until, every = sent.Add(ttl), ttl/4
		case errors.Is(err, rpctypes.ErrLeaseNotFound):
			s.markLost()
			return
		default:
			every = ttl / 40
			metadata.LogFailure(s.l.cfg.Logger, "lease renewal failed", err, "session", s.ID().String(), "left", time.Until(until))
		}
	}
}

func earlierTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// ID implements metadata.Session.
func (s *session) ID() metadata.SessionID { return metadata.SessionID(s.l.toLogRevision(s.created)) }

// Done implements metadata.Session.
func (s *session) Done() <-chan struct{} { return s.done }

// markLost closes Done. It does not wait.
func (s *session) markLost() { s.doneOnce.Do(func() { close(s.done) }) }

// isKey reports whether kv is the session's own key as it was created.
func (s *session) isKey(kv *keyValue) bool { return kv != nil && kv.CreateRevision == s.created }

// sessionFence returns comparisons that hold as long as the session's key exists,
// in this incarnation.
func (s *session) sessionFence() []*compare {
	return []*compare{compareCreated(s.key, s.created), compareCreated(s.l.k.incarnationKey(s.l.format.Incarnation), s.l.incarnationCreated)}
}

// Publish implements metadata.Session. A later Publish may overtake one whose
// outcome is unknown.
func (s *session) Publish(ctx context.Context, status metadata.SessionStatus) error {
	value, err := encodeSession(s.info, status)
	if err != nil {
		return fmt.Errorf("publish session status: %w", err)
	}
	l := s.l
	resp, err := l.sendOnce(ctx, s.key, &txnReq{Compare: s.sessionFence(), Success: []*op{putLeaseOp(s.key, value, s.lease)}})
	switch {
	case errors.Is(err, rpctypes.ErrLeaseNotFound):
		s.markLost()
		return fmt.Errorf("publish session status: its lease is gone: %w", metadata.ErrSessionLost)
	case err != nil:
		return fmt.Errorf("publish session status: %w", err)
	}
	l.seen.advance(progress{rev: resp.Header.GetRevision()})
	if resp.Succeeded {
		return nil
	}
	if _, err := l.readState(ctx); err != nil { // the reason is read only when it is needed
		return fmt.Errorf("publish session status: %w", l.addAdvice(ctx, err))
	}
	s.markLost()
	return fmt.Errorf("publish session status: %w", metadata.ErrSessionLost)
}

// Close implements metadata.Session: it revokes the lease, which deletes its
// keys, roles included. If etcd does not answer in time, the lease expires. The
// log drops the session when the next one is opened.
func (s *session) Close(ctx context.Context) error {
	s.stop()
	s.markLost()
	defer func() {
		s.l.mu.Lock()
		defer s.l.mu.Unlock()
		s.closed = true
	}()
	at := &retrier{l: s.l, name: s.key + "/close"}
	for {
		actx, cancel := context.WithTimeout(ctx, at.attemptTimeout())
		err := s.l.c.Revoke(actx, s.lease)
		cancel()
		if err == nil || errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return nil
		}
		if err := at.waitForRetry(ctx, err); err != nil {
			return fmt.Errorf("close session %v: %w", s.ID(), err)
		}
	}
}

// stop ends the lease's goroutine and waits for it.
func (s *session) stop() {
	s.cancel()
	s.wg.Wait()
}
