package etcdfake

import (
	"context"
	"fmt"
	"hash/crc32"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/protobuf/proto"

	"github.com/zonewise/zonewise/metadata/etcdlog"
)

var _ etcdlog.MemberClient = (*Client)(nil)

// Client is one broker's connection to the store.
type Client struct {
	s    *Store
	name string
	zone string

	mu                sync.Mutex              // guards the fields below
	attempts          map[string]attemptCount // of each op and key
	cut               bool
	lag               time.Duration
	slow              time.Duration
	conditionsChanged chan struct{} // closed and replaced when cut or lag change
}

// Client opens a connection. The outcome of every call depends on the name. The
// zone is not used yet.
func (s *Store) Client(name, zone string) *Client {
	return &Client{s: s, name: name, zone: zone, attempts: map[string]attemptCount{}, conditionsChanged: make(chan struct{})}
}

// Name and Zone return what the client was opened with.
func (c *Client) Name() string { return c.name }

// Zone returns the client's zone.
func (c *Client) Zone() string { return c.zone }

// Cut takes the network away, or restores it: requests get no response and have
// no effect, watches deliver nothing.
func (c *Client) Cut(cut bool) { c.updateConditions(func() { c.cut = cut }) }

// Lag makes the member that serves this client lag by d: serializable reads and
// watches show the state of d ago.
func (c *Client) Lag(d time.Duration) { c.updateConditions(func() { c.lag = d }) }

// Slow adds d to both directions of every call.
func (c *Client) Slow(d time.Duration) { c.updateConditions(func() { c.slow = d }) }

func (c *Client) updateConditions(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	close(c.conditionsChanged)
	c.conditionsChanged = make(chan struct{})
}

// currentConditions returns the client's conditions, and a channel that closes
// when they change.
func (c *Client) currentConditions() (cut bool, lag, slow time.Duration, moved <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cut, c.lag, c.slow, c.conditionsChanged
}

// generateOutcome returns the outcome of the client's next call of op and key.
func (c *Client) generateOutcome(op, key string, sum uint32) CallOutcome {
	n := c.countAttempt(op, key)
	_, _, slow, _ := c.currentConditions()
	f := c.s.cfg.generateOutcome(Call{Client: c.name, Op: op, Key: key, Attempt: n, Sum: sum})
	f.Before, f.After = f.Before+slow, f.After+slow
	f.Before = c.s.cfg.Instants.TakeIn(f.Before, fmt.Sprintf("%s/%s/%s/%08x", c.name, op, key, sum))
	return f
}

// attemptCount counts the instants at which a request was sent.
type attemptCount struct {
	n  int
	at time.Time // of the last
}

// countAttempt counts the client's calls of op and key, from 0. Calls of one instant
// have no order, so they have one number.
func (c *Client) countAttempt(op, key string) int {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	t, known := c.attempts[op+"/"+key]
	if known && !now.Equal(t.at) {
		t.n++
	}
	t.at = now
	c.attempts[op+"/"+key] = t
	return t.n
}

// checksumOf distinguishes requests of one instant and key.
func checksumOf(m proto.Message) uint32 {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return 0
	}
	return crc32.ChecksumIEEE(b)
}

// requestID identifies a request: sum distinguishes those of one op and key.
type requestID struct {
	op, key string
	sum     uint32
}

// callStore executes one request with its outcome. effect runs under the store's
// mutex, and may run after callStore has returned, as with a real etcd.
func callStore[T any](ctx context.Context, c *Client, q requestID, effect func() (T, error)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	// A request sent at the instant at which its context ends has no effect,
	// whichever of the two comes first.
	begun, ended := time.Now(), atomic.Int64{}
	stop := context.AfterFunc(ctx, func() { ended.Store(time.Now().UnixNano()) })
	type answer struct {
		v   T
		err error
	}
	f, back := c.generateOutcome(q.op, q.key, q.sum), make(chan answer, 1)
	if !c.s.runTracked(func() {
		defer stop()
		if !c.s.sleep(f.Before) {
			return
		}
		if cut, _, _, _ := c.currentConditions(); cut || ended.Load() == begun.UnixNano() {
			return
		}
		if f.FailBefore {
			c.s.updateStats(func(s *Stats) { s.FailedBefore++ })
			back <- answer{err: rpctypes.ErrTimeout}
			return
		}
		if f.Late > 0 {
			back <- answer{err: rpctypes.ErrTimeout}
			if !c.s.sleep(f.Late) {
				return
			}
			c.s.updateStats(func(s *Stats) { s.LandedLate++ })
		}
		var a answer
		c.s.withLock(func() { a.v, a.err = effect() })
		if f.NoSpace {
			a = answer{err: rpctypes.ErrNoSpace}
		}
		if f.LoseReply {
			c.s.updateStats(func(s *Stats) { s.LostReplies++ })
			return
		}
		if f.Late > 0 || !c.s.sleep(c.s.cfg.Instants.TakeIn(f.After, fmt.Sprintf("%s/%s/%s/%08x answer", c.name, q.op, q.key, q.sum))) {
			return
		}
		if cut, _, _, _ := c.currentConditions(); !cut {
			back <- a
		}
	}) {
		return none, errClosed
	}
	// Prefer a response that has arrived to a deadline of the same instant.
	timeout := time.NewTimer(c.s.cfg.ReplyTimeout + c.s.cfg.generateDelay("timeout", c.name+q.op+q.key, 0))
	defer timeout.Stop()
	select {
	case a := <-back:
		return a.v, a.err
	case <-ctx.Done():
		return none, ctx.Err()
	case <-timeout.C:
		return none, rpctypes.ErrTimeout
	case <-c.s.done:
		return none, errClosed
	}
}

var errClosed = fmt.Errorf("etcdfake is closed: %w", rpctypes.ErrStopped)

// runTracked runs f on a goroutine that Close waits for.
func (s *Store) runTracked(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.wg.Go(f)
	return true
}

// sleep waits d; false where the store closed.
func (s *Store) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.done:
		return false
	}
}

func (s *Store) withLock(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *Store) updateStats(f func(*Stats)) { s.withLock(func() { f(&s.stats) }) }

// Range implements etcdlog.Client.
func (c *Client) Range(ctx context.Context, r *etcdserverpb.RangeRequest) (*etcdserverpb.RangeResponse, error) {
	_, lag, _, _ := c.currentConditions()
	return callStore(ctx, c, requestID{"range", string(r.Key), checksumOf(r)}, func() (*etcdserverpb.RangeResponse, error) {
		c.s.stats.Ranges++
		now := c.s.data.rev
		if r.Serializable {
			if now = c.s.visibleRevision(lag); now < c.s.data.rev {
				c.s.stats.StaleReads++
			}
		}
		return c.s.data.rangeAt(r, now)
	})
}

// Txn implements etcdlog.Client.
func (c *Client) Txn(ctx context.Context, r *etcdserverpb.TxnRequest) (*etcdserverpb.TxnResponse, error) {
	return callStore(ctx, c, requestID{"txn", txnKey(r), checksumOf(r)}, func() (*etcdserverpb.TxnResponse, error) {
		c.s.stats.Txns++
		return c.s.runTxn(r)
	})
}

// txnKey names a txn by the first key that it would write, or read.
func txnKey(r *etcdserverpb.TxnRequest) string {
	for _, op := range append(append([]*etcdserverpb.RequestOp(nil), r.Success...), r.Failure...) {
		switch q := op.Request.(type) {
		case *etcdserverpb.RequestOp_RequestPut:
			return string(q.RequestPut.Key)
		case *etcdserverpb.RequestOp_RequestDeleteRange:
			return string(q.RequestDeleteRange.Key)
		case *etcdserverpb.RequestOp_RequestRange:
			return string(q.RequestRange.Key)
		}
	}
	return ""
}

// Compact implements etcdlog.Client.
func (c *Client) Compact(ctx context.Context, rev int64) error {
	_, err := callStore(ctx, c, requestID{op: "compact", key: fmt.Sprint(rev)}, func() (struct{}, error) {
		c.s.stats.Compactions++
		return struct{}{}, c.s.compact(rev)
	})
	return err
}

// compact drops history and wakes watches that are behind it.
func (s *Store) compact(rev int64) error {
	err := s.data.compact(rev)
	if err == nil {
		s.wakeWatches()
	}
	return err
}

// Compact drops history before rev, as an operator does; 0 means all of it.
func (s *Store) Compact(rev int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rev == 0 {
		rev = s.data.rev
	}
	return s.compact(rev)
}

// Grant implements etcdlog.Client.
func (c *Client) Grant(ctx context.Context, ttlSeconds int64) (int64, error) {
	return callStore(ctx, c, requestID{op: "grant"}, func() (int64, error) { return c.s.grantLease(ttlSeconds), nil })
}

// KeepAlive implements etcdlog.Client.
func (c *Client) KeepAlive(ctx context.Context, lease int64) error {
	_, err := callStore(ctx, c, requestID{op: "keepalive", key: fmt.Sprint(lease)}, func() (struct{}, error) { return struct{}{}, c.s.renewLease(lease) })
	return err
}

// Revoke implements etcdlog.Client.
func (c *Client) Revoke(ctx context.Context, lease int64) error {
	_, err := callStore(ctx, c, requestID{op: "revoke", key: fmt.Sprint(lease)}, func() (struct{}, error) {
		l := c.s.leases[lease]
		if l == nil {
			return struct{}{}, rpctypes.ErrLeaseNotFound
		}
		c.s.revokeLease(l)
		return struct{}{}, nil
	})
	return err
}

// Status implements etcdlog.Client.
func (c *Client) Status(ctx context.Context) (etcdlog.Status, error) {
	return callStore(ctx, c, requestID{op: "status"}, func() (etcdlog.Status, error) {
		st := etcdlog.Status{QuotaBytes: 2 << 30, Members: append([]etcdlog.Member(nil), c.s.members...)}
		for k, vs := range c.s.data.versions {
			for _, v := range vs {
				st.SizeBytes += int64(len(k) + len(v.kv.Value))
			}
			if kv := c.s.data.findVersion(k, c.s.data.rev); kv != nil {
				st.InUseBytes += int64(len(k) + len(kv.Value))
			}
		}
		return st, nil
	})
}

// Alive implements etcdlog.MemberClient.
func (c *Client) Alive(ctx context.Context) error {
	_, err := callStore(ctx, c, requestID{op: "alive"}, func() (struct{}, error) { return struct{}{}, nil })
	return err
}
