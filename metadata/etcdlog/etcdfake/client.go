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

	mu       sync.Mutex       // guards what follows
	attempts map[string]tries // of each op and key
	cut      bool
	lag      time.Duration
	slow     time.Duration
	moved    chan struct{} // closed and replaced when cut or lag change
}

// Client opens a connection. The name is part of every fate; the zone is told
// nobody yet and serves to name clients.
func (s *Store) Client(name, zone string) *Client {
	return &Client{s: s, name: name, zone: zone, attempts: map[string]tries{}, moved: make(chan struct{})}
}

// Name and Zone return what the client was opened with.
func (c *Client) Name() string { return c.name }

// Zone returns the client's zone.
func (c *Client) Zone() string { return c.zone }

// Cut takes the network away, or gives it back: requests get no answer and
// have no effect, watches fall silent.
func (c *Client) Cut(cut bool) { c.set(func() { c.cut = cut }) }

// Lag makes the member that serves this client be late by d: serializable
// reads and watches show what was d ago.
func (c *Client) Lag(d time.Duration) { c.set(func() { c.lag = d }) }

// Slow adds d to both ways of every call.
func (c *Client) Slow(d time.Duration) { c.set(func() { c.slow = d }) }

func (c *Client) set(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	close(c.moved)
	c.moved = make(chan struct{})
}

// state is the client's condition now, and a channel that closes when it
// changes.
func (c *Client) state() (cut bool, lag, slow time.Duration, moved <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cut, c.lag, c.slow, c.moved
}

// draw is the fate of the client's next call of op and key.
func (c *Client) draw(op, key string, sum uint32) Fate {
	n := c.nth(op, key)
	_, _, slow, _ := c.state()
	f := c.s.cfg.fate(Call{Client: c.name, Op: op, Key: key, Attempt: n, Sum: sum})
	f.Before, f.After = f.Before+slow, f.After+slow
	f.Before = c.s.cfg.Instants.In(f.Before, fmt.Sprintf("%s/%s/%s/%08x", c.name, op, key, sum))
	return f
}

// tries counts the instants at which something was asked.
type tries struct {
	n  int
	at time.Time // of the last
}

// nth counts the client's calls of op and key, from 0. Calls of one instant
// have no order, so they have one number.
func (c *Client) nth(op, key string) int {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	t, asked := c.attempts[op+"/"+key]
	if asked && !now.Equal(t.at) {
		t.n++
	}
	t.at = now
	c.attempts[op+"/"+key] = t
	return t.n
}

// sumOf tells requests of one instant and key apart.
func sumOf(m proto.Message) uint32 {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return 0
	}
	return crc32.ChecksumIEEE(b)
}

// asked names a request: sum tells those of one op and key apart.
type asked struct {
	op, key string
	sum     uint32
}

// call carries one request through its fate. effect runs under the store's
// mutex. It may run after call has returned: that is the point.
func call[T any](ctx context.Context, c *Client, q asked, effect func() (T, error)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	// What is asked at the instant at which its context ends has no effect,
	// whichever of the two comes first.
	begun, ended := time.Now(), atomic.Int64{}
	stop := context.AfterFunc(ctx, func() { ended.Store(time.Now().UnixNano()) })
	type answer struct {
		v   T
		err error
	}
	f, back := c.draw(q.op, q.key, q.sum), make(chan answer, 1)
	if !c.s.start(func() {
		defer stop()
		if !c.s.sleep(f.Before) {
			return
		}
		if cut, _, _, _ := c.state(); cut || ended.Load() == begun.UnixNano() {
			return
		}
		if f.FailBefore {
			c.s.count(func(s *Stats) { s.FailedBefore++ })
			back <- answer{err: rpctypes.ErrTimeout}
			return
		}
		if f.Late > 0 {
			back <- answer{err: rpctypes.ErrTimeout}
			if !c.s.sleep(f.Late) {
				return
			}
			c.s.count(func(s *Stats) { s.LandedLate++ })
		}
		var a answer
		c.s.locked(func() { a.v, a.err = effect() })
		if f.NoSpace {
			a = answer{err: rpctypes.ErrNoSpace}
		}
		if f.LoseReply {
			c.s.count(func(s *Stats) { s.LostReplies++ })
			return
		}
		if f.Late > 0 || !c.s.sleep(c.s.cfg.Instants.In(f.After, fmt.Sprintf("%s/%s/%s/%08x answer", c.name, q.op, q.key, q.sum))) {
			return
		}
		if cut, _, _, _ := c.state(); !cut {
			back <- a
		}
	}) {
		return none, errClosed
	}
	// Prefer an answer that is there to a deadline of the same instant.
	timeout := time.NewTimer(c.s.cfg.ReplyTimeout + c.s.cfg.delay("timeout", c.name+q.op+q.key, 0))
	defer timeout.Stop()
	select {
	case a := <-back:
		return a.v, a.err
	case <-ctx.Done():
		return none, ctx.Err()
	case <-timeout.C:
		return none, rpctypes.ErrTimeout
	case <-c.s.end:
		return none, errClosed
	}
}

var errClosed = fmt.Errorf("etcdfake is closed: %w", rpctypes.ErrStopped)

// start runs f on a goroutine that Close waits for.
func (s *Store) start(f func()) bool {
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
	case <-s.end:
		return false
	}
}

func (s *Store) locked(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *Store) count(f func(*Stats)) { s.locked(func() { f(&s.stats) }) }

// Range implements etcdlog.Client.
func (c *Client) Range(ctx context.Context, r *etcdserverpb.RangeRequest) (*etcdserverpb.RangeResponse, error) {
	_, lag, _, _ := c.state()
	return call(ctx, c, asked{"range", string(r.Key), sumOf(r)}, func() (*etcdserverpb.RangeResponse, error) {
		c.s.stats.Ranges++
		now := c.s.data.rev
		if r.Serializable {
			if now = c.s.visible(lag); now < c.s.data.rev {
				c.s.stats.StaleReads++
			}
		}
		return c.s.data.rangeAt(r, now)
	})
}

// Txn implements etcdlog.Client.
func (c *Client) Txn(ctx context.Context, r *etcdserverpb.TxnRequest) (*etcdserverpb.TxnResponse, error) {
	return call(ctx, c, asked{"txn", txnKey(r), sumOf(r)}, func() (*etcdserverpb.TxnResponse, error) {
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
	_, err := call(ctx, c, asked{op: "compact", key: fmt.Sprint(rev)}, func() (struct{}, error) {
		c.s.stats.Compactions++
		return struct{}{}, c.s.compact(rev)
	})
	return err
}

// compact forgets history and wakes watches that stand in it.
func (s *Store) compact(rev int64) error {
	err := s.data.compact(rev)
	if err == nil {
		s.announce()
	}
	return err
}

// Compact forgets history before rev, as an operator does; 0 means all of it.
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
	return call(ctx, c, asked{op: "grant"}, func() (int64, error) { return c.s.grant(ttlSeconds), nil })
}

// KeepAlive implements etcdlog.Client.
func (c *Client) KeepAlive(ctx context.Context, lease int64) error {
	_, err := call(ctx, c, asked{op: "keepalive", key: fmt.Sprint(lease)}, func() (struct{}, error) { return struct{}{}, c.s.renew(lease) })
	return err
}

// Revoke implements etcdlog.Client.
func (c *Client) Revoke(ctx context.Context, lease int64) error {
	_, err := call(ctx, c, asked{op: "revoke", key: fmt.Sprint(lease)}, func() (struct{}, error) {
		l := c.s.leases[lease]
		if l == nil {
			return struct{}{}, rpctypes.ErrLeaseNotFound
		}
		c.s.revoke(l)
		return struct{}{}, nil
	})
	return err
}

// Status implements etcdlog.Client.
func (c *Client) Status(ctx context.Context) (etcdlog.Status, error) {
	return call(ctx, c, asked{op: "status"}, func() (etcdlog.Status, error) {
		st := etcdlog.Status{QuotaBytes: 2 << 30, Members: append([]etcdlog.Member(nil), c.s.members...)}
		for k, vs := range c.s.data.versions {
			for _, v := range vs {
				st.SizeBytes += int64(len(k) + len(v.kv.Value))
			}
			if kv := c.s.data.find(k, c.s.data.rev); kv != nil {
				st.InUseBytes += int64(len(k) + len(kv.Value))
			}
		}
		return st, nil
	})
}

// Alive implements etcdlog.MemberClient.
func (c *Client) Alive(ctx context.Context) error {
	_, err := call(ctx, c, asked{op: "alive"}, func() (struct{}, error) { return struct{}{}, nil })
	return err
}
