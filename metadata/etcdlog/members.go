package etcdlog

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// MemberClient is one etcd server, over a connection of its own.
type MemberClient interface {
	Client
	// Alive checks that the server answers, without any other server.
	Alive(ctx context.Context) error
}

// MemberConfig is one configured etcd server.
type MemberConfig struct {
	Name     string // for logs: its address
	SameZone bool   // it is in this broker's zone
	// Dial connects. It is called again after a pause where it fails.
	Dial func(ctx context.Context) (MemberClient, error)
}

// MembersConfig is what Members needs.
type MembersConfig struct {
	Members []MemberConfig // at least one
	Logger  *slog.Logger
	Rand    *rand.Rand // chooses the first one where none is in the zone
}

// Members is a Client of an etcd of several members. It uses one member, of this
// broker's zone if a healthy one is there, and another as soon as that one does
// not answer. Calls and watches under way to a member that is given up end with
// an error; reads are sent to the next one instead. Run must run.
type Members struct {
	log     *slog.Logger
	members []*member
	kick    chan struct{} // capacity 1: a call failed as the member cannot serve

	mu                sync.Mutex // guards the fields below
	current           int
	inflight          list.List     // *inflightCall, the oldest first
	searchDone        chan struct{} // closed and replaced when a search has ended
	unavailableReason string        // why no member serves, from the last search; "" where one does
}

type member struct {
	name      string
	dial      func(ctx context.Context) (MemberClient, error)
	sameZone  atomic.Bool
	connected chan struct{} // closed once client is there
	client    MemberClient
}

// inflightCall is a call or a watch under way to a member.
type inflightCall struct {
	member     int
	begun      time.Time
	watch      bool
	searchDone <-chan struct{}
	cancel     context.CancelCauseFunc
}

// errGivenUp ends calls and watches under way to a member that is no longer used.
var errGivenUp = errors.New("the etcd member did not answer, another one is used")

// NewMembers returns the client. It uses the first member of this zone, or any.
func NewMembers(cfg MembersConfig) *Members {
	m := &Members{log: cfg.Logger, kick: make(chan struct{}, 1), searchDone: make(chan struct{})}
	m.current = -1
	for i, c := range cfg.Members {
		one := &member{name: c.Name, dial: c.Dial, connected: make(chan struct{})}
		one.sameZone.Store(c.SameZone)
		m.members = append(m.members, one)
		if c.SameZone && m.current < 0 {
			m.current = i
		}
	}
	if m.current < 0 {
		m.current = cfg.Rand.IntN(len(m.members))
	}
	return m
}

// SetSameZone sets whether a member is in this broker's zone, where that was not
// known.
func (m *Members) SetSameZone(i int, near bool) { m.members[i].sameZone.Store(near) }

// Using returns the index of the member in use.
func (m *Members) Using() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.current
}

// beginCall registers a call to the current member.
func (m *Members) beginCall(ctx context.Context, watch bool) (context.Context, *inflightCall, *list.Element) {
	ctx, cancel := context.WithCancelCause(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	f := &inflightCall{member: m.current, begun: time.Now(), watch: watch, searchDone: m.searchDone, cancel: cancel}
	return ctx, f, m.inflight.PushBack(f)
}

func (m *Members) endCall(e *list.Element) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inflight.Remove(e).(*inflightCall).cancel(nil)
}

// oldestCall returns when the oldest unanswered call to the member was sent.
func (m *Members) oldestCall(member int) (begun time.Time, any bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for e := m.inflight.Front(); e != nil; e = e.Next() {
		if f := e.Value.(*inflightCall); f.member == member && !f.watch {
			return f.begun, true
		}
	}
	return time.Time{}, false
}

// switchTo makes a member the current one. Watches on the former one end and,
// where that one was given up, calls, too.
func (m *Members) switchTo(next int, givenUp bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for e := m.inflight.Front(); e != nil; e = e.Next() {
		if f := e.Value.(*inflightCall); f.member == m.current && (f.watch || givenUp) {
			f.cancel(errGivenUp)
		}
	}
	m.current = next
}

// UnavailableReason returns why no member serves, "" where one does.
func (m *Members) UnavailableReason() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.unavailableReason
}

func (m *Members) setUnavailableReason(text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unavailableReason = text
}

// notifySearchDone wakes those who wait for the result of a search.
func (m *Members) notifySearchDone() {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.searchDone)
	m.searchDone = make(chan struct{})
}

// errNotConnected: the member could not be dialled yet.
var errNotConnected = errors.New("not connected to the etcd member yet")

// awaitClient waits until the call's member is connected, or given up.
func (m *Members) awaitClient(ctx context.Context, f *inflightCall) (Client, error) {
	o := m.members[f.member]
	select {
	case <-o.connected:
		return o.client, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("etcd member %s: %w", o.name, errNotConnected)
	}
}

// callMember sends a call to the current member. A read is sent again to the next
// one where the member is given up meanwhile. A call that may have written is
// not: the caller finds out whether it did.
func callMember[T any](ctx context.Context, m *Members, read bool, call func(ctx context.Context, c Client) (T, error)) (T, error) {
	for {
		v, again, err := callMemberOnce(ctx, m, call)
		if !again || !read {
			return v, err
		}
	}
}

// callMemberOnce is one attempt. again is true where the member could not serve
// and another one is used now.
func callMemberOnce[T any](ctx context.Context, m *Members, call func(ctx context.Context, c Client) (T, error)) (v T, again bool, err error) {
	fctx, f, e := m.beginCall(ctx, false)
	c, err := m.awaitClient(fctx, f)
	if err == nil {
		v, err = call(fctx, c)
	}
	gone := context.Cause(fctx) == errGivenUp
	m.endCall(e)
	switch {
	case err == nil || ctx.Err() != nil:
		return v, false, err
	case gone:
		return v, true, fmt.Errorf("etcd member %s: %w", m.members[f.member].name, errGivenUp)
	case !MemberCannotServe(err):
		return v, false, err
	}
	select {
	case m.kick <- struct{}{}:
	default:
	}
	select { // the same member would fail again at once
	case <-f.searchDone:
	case <-time.After(searchTimeout):
	case <-ctx.Done():
	}
	return v, m.Using() != f.member, err
}

// MemberCannotServe reports errors that mean that this member cannot serve,
// whether or not others can.
func MemberCannotServe(err error) bool {
	if err == nil {
		return false
	}
	if errors.Is(err, errGivenUp) || errors.Is(err, errNotConnected) {
		return true
	}
	var e rpctypes.EtcdError
	if errors.As(err, &e) {
		return e.Code() == codes.Unavailable
	}
	return status.Code(err) == codes.Unavailable
}

// Range implements Client.
func (m *Members) Range(ctx context.Context, r *etcdserverpb.RangeRequest) (*etcdserverpb.RangeResponse, error) {
	return callMember(ctx, m, true, func(ctx context.Context, c Client) (*etcdserverpb.RangeResponse, error) { return c.Range(ctx, r) })
}

// Txn implements Client.
func (m *Members) Txn(ctx context.Context, r *etcdserverpb.TxnRequest) (*etcdserverpb.TxnResponse, error) {
	return callMember(ctx, m, isReadOnly(r), func(ctx context.Context, c Client) (*etcdserverpb.TxnResponse, error) { return c.Txn(ctx, r) })
}

func isReadOnly(r *etcdserverpb.TxnRequest) bool {
	for _, ops := range [][]*op{r.Success, r.Failure} {
		for _, o := range ops {
			if o.GetRequestRange() == nil {
				return false
			}
		}
	}
	return true
}

// Compact implements Client.
func (m *Members) Compact(ctx context.Context, rev int64) error {
	_, err := callMember(ctx, m, false, func(ctx context.Context, c Client) (struct{}, error) { return struct{}{}, c.Compact(ctx, rev) })
	return err
}

// Grant implements Client.
func (m *Members) Grant(ctx context.Context, ttlSeconds int64) (int64, error) {
	return callMember(ctx, m, false, func(ctx context.Context, c Client) (int64, error) { return c.Grant(ctx, ttlSeconds) })
}

// KeepAlive implements Client. Renewing twice does no harm.
func (m *Members) KeepAlive(ctx context.Context, lease int64) error {
	_, err := callMember(ctx, m, true, func(ctx context.Context, c Client) (struct{}, error) { return struct{}{}, c.KeepAlive(ctx, lease) })
	return err
}

// Revoke implements Client.
func (m *Members) Revoke(ctx context.Context, lease int64) error {
	_, err := callMember(ctx, m, false, func(ctx context.Context, c Client) (struct{}, error) { return struct{}{}, c.Revoke(ctx, lease) })
	return err
}

// Status implements Client.
func (m *Members) Status(ctx context.Context) (Status, error) {
	return callMember(ctx, m, true, func(ctx context.Context, c Client) (Status, error) { return c.Status(ctx) })
}

// Watch implements Client. A watch ends with an error when another member is
// used.
func (m *Members) Watch(ctx context.Context, prefix string, from int64) <-chan WatchResponse {
	out := make(chan WatchResponse)
	fctx, f, e := m.beginCall(ctx, true)
	go func() { // ends with ctx, or with the watch
		defer close(out)
		defer m.endCall(e)
		c, err := m.awaitClient(fctx, f)
		if err == nil {
			err = forwardWatch(fctx, c.Watch(fctx, prefix, from), out)
		}
		if err != nil {
			select {
			case out <- WatchResponse{Err: err}:
			case <-ctx.Done():
			}
		}
	}()
	return out
}

// forwardWatch forwards a watch. An error means that it was given up.
func forwardWatch(ctx context.Context, in <-chan WatchResponse, out chan<- WatchResponse) error {
	for {
		select {
		case r, ok := <-in:
			if !ok {
				break
			}
			select {
			case out <- r:
				continue
			case <-ctx.Done():
			}
		case <-ctx.Done():
		}
		if err := context.Cause(ctx); err == errGivenUp {
			return err
		}
		return nil
	}
}
