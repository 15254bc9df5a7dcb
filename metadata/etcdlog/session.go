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

	over   chan struct{} // Done
	ended  sync.Once     // closes over
	cancel context.CancelFunc
	wg     sync.WaitGroup // the lease's goroutine
	closed bool           // Close has returned; under the log's mutex

	mu    sync.Mutex // guards lanes
	lanes [metadata.LaneCount]pending
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
	return json.Marshal(sessionJSON{i.Zone, i.Peer, s.Broker, int64(s.Clock), s.Applied, s.HashRevision, hex64(s.Hash)})
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

// OpenSession implements metadata.Log. The lease is granted first, then one
// txn puts the key if the format is still the one this program understood.
func (l *Log) OpenSession(ctx context.Context, info metadata.SessionInfo) (metadata.Session, error) {
	if !validName(info.Nonce) {
		return nil, fmt.Errorf("open session: nonce %q; want 1 to 128 of [A-Za-z0-9._:-]", info.Nonce)
	}
	value, err := encodeSession(info, metadata.SessionStatus{Broker: metadata.NoBroker})
	if err != nil {
		return nil, fmt.Errorf("open session: %w", err)
	}
	s := &session{l: l, info: info, key: l.k.session(info.Nonce), over: make(chan struct{})}
	settings, err := encodeSettings(info.Settings)
	if err != nil {
		return nil, fmt.Errorf("open session: %w", err)
	}
	if err := s.enter(ctx, value, settings); err != nil {
		return nil, fmt.Errorf("open session %s: %w", info.Nonce, l.advise(ctx, err))
	}
	return s, nil
}

// enter grants the lease, puts the keys and starts the renewals.
func (s *session) enter(ctx context.Context, value, settings []byte) error {
	l := s.l
	at := &attempts{l: l, name: s.key}
	var asked time.Time
	for {
		actx, cancel := context.WithTimeout(ctx, at.timeout())
		asked = time.Now()
		var err error
		s.lease, err = l.c.Grant(actx, int64(l.cfg.LeaseTTL/time.Second))
		cancel()
		if err == nil {
			break
		}
		if err := at.next(ctx, err); err != nil {
			return fmt.Errorf("grant lease: %w", err)
		}
	}
	puts := []*op{putLease(s.key, value, s.lease)}
	if settings != nil {
		puts = append(puts, putLease(l.k.setting(s.info.Nonce), settings, s.lease))
	}
	t := &txnReq{
		Compare: []*compare{absent(s.key), modified(l.k.format(), l.formatMod), created(l.k.incarnation(l.format.Incarnation), l.incCreated)},
		Success: puts,
		Failure: append(l.standingOps(), get(s.key), get(l.k.format())),
	}
	for s.created == 0 {
		before := l.seen.get()
		resp, err := at.txn(ctx, t)
		switch {
		case err == nil && resp.Succeeded:
			s.created = resp.Header.GetRevision()
			l.seen.learn(marks{rev: s.created})
		case err == nil:
			if err := s.entered(before, resp); err != nil {
				return err
			}
		case errors.Is(err, rpctypes.ErrLeaseNotFound):
			return fmt.Errorf("its lease ran out before the key was put: %w", metadata.ErrSessionLost)
		default:
			if err := at.next(ctx, err); err != nil {
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
	s.wg.Go(func() { s.renew(renew, asked.Add(l.cfg.LeaseTTL)) })
	return nil
}

// entered judges the answer of a txn that did not put the key: an earlier
// attempt of ours may have.
func (s *session) entered(before marks, resp *txnResp) error {
	l := s.l
	st, err := l.standingOf(before, resp)
	if err != nil {
		return err
	}
	kv, format := st.got[s.key], st.got[l.k.format()]
	switch {
	case kv != nil && kv.Lease == s.lease:
		s.created = kv.CreateRevision
		return nil
	case kv != nil:
		return errors.New("another session has this nonce; draw another one")
	case format == nil || format.ModRevision != l.formatMod:
		return fmt.Errorf("the cluster's format changed since this broker started; start it again: %w", ErrLayout)
	}
	return fmt.Errorf("its key came and went: %w", metadata.ErrSessionLost)
}

// renew keeps the lease until ctx ends, and ends the session where the lease
// may have run out: its time counts from before a renewal was sent.
func (s *session) renew(ctx context.Context, until time.Time) {
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
		case <-s.over:
			return
		case <-time.After(wait):
		}
		sent := time.Now()
		if !sent.Before(until) {
			s.lost()
			return
		}
		kctx, cancel := context.WithDeadline(ctx, minTime(until, sent.Add(ttl/3+s.l.jitter("renewal", s.key, n, time.Millisecond))))
		err := s.l.c.KeepAlive(kctx, s.lease)
		cancel()
		switch {
		case err == nil:
			until, every = sent.Add(ttl), ttl/4
		case errors.Is(err, rpctypes.ErrLeaseNotFound):
			s.lost()
			return
		default:
			every = ttl / 40
			metadata.LogFailure(s.l.cfg.Logger, "lease not renewed", err, "session", s.ID().String(), "left", time.Until(until))
		}
	}
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// ID implements metadata.Session.
func (s *session) ID() metadata.SessionID { return metadata.SessionID(s.l.out(s.created)) }

// Done implements metadata.Session.
func (s *session) Done() <-chan struct{} { return s.over }

// lost ends the session as its owner sees it. It does not wait.
func (s *session) lost() { s.ended.Do(func() { close(s.over) }) }

// is reports whether kv is the session's own key as it was created.
func (s *session) is(kv *keyValue) bool { return kv != nil && kv.CreateRevision == s.created }

// fence is true in etcd as long as the session lives in this incarnation.
func (s *session) fence() []*compare {
	return []*compare{created(s.key, s.created), created(s.l.k.incarnation(s.l.format.Incarnation), s.l.incCreated)}
}

// Publish implements metadata.Session. A later Publish may overtake one whose
// outcome is unknown; readers take what they find for what it says.
func (s *session) Publish(ctx context.Context, status metadata.SessionStatus) error {
	value, err := encodeSession(s.info, status)
	if err != nil {
		return fmt.Errorf("publish session status: %w", err)
	}
	l := s.l
	resp, err := l.once(ctx, s.key, &txnReq{Compare: s.fence(), Success: []*op{putLease(s.key, value, s.lease)}})
	switch {
	case errors.Is(err, rpctypes.ErrLeaseNotFound):
		s.lost()
		return fmt.Errorf("publish session status: its lease is gone: %w", metadata.ErrSessionLost)
	case err != nil:
		return fmt.Errorf("publish session status: %w", err)
	}
	l.seen.learn(marks{rev: resp.Header.GetRevision()})
	if resp.Succeeded {
		return nil
	}
	if _, err := l.read(ctx); err != nil { // why not is read only where it is needed
		return fmt.Errorf("publish session status: %w", l.advise(ctx, err))
	}
	s.lost()
	return fmt.Errorf("publish session status: %w", metadata.ErrSessionLost)
}

// Close implements metadata.Session: the lease is revoked, and its keys with
// it, duties included. Where that cannot be told in time the lease runs out.
// The log forgets the session when the next one is opened.
func (s *session) Close(ctx context.Context) error {
	s.stop()
	s.lost()
	defer func() {
		s.l.mu.Lock()
		defer s.l.mu.Unlock()
		s.closed = true
	}()
	at := &attempts{l: s.l, name: s.key + "/close"}
	for {
		actx, cancel := context.WithTimeout(ctx, at.timeout())
		err := s.l.c.Revoke(actx, s.lease)
		cancel()
		if err == nil || errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return nil
		}
		if err := at.next(ctx, err); err != nil {
			return fmt.Errorf("close session %v: %w", s.ID(), err)
		}
	}
}

// stop ends the lease's goroutine and waits for it.
func (s *session) stop() {
	s.cancel()
	s.wg.Wait()
}
