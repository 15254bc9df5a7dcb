package etcdlog

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zonewise/zonewise/metadata"
)

// How an etcd that cannot serve is reported.
const (
	sayAfter = time.Second     // of failures without a success between them
	sayAgain = 5 * time.Second // between two lines
	runbook  = "docs/operations.md, section "
)

// reach is a Client that says when etcd cannot serve: in one line at a time, what
// is not reachable, since when, what stands still and what does not, and where to
// read on. Whoever asked is told that it was that (metadata.ErrUnavailable) and
// need not say it again.
type reach struct {
	Client
	log *slog.Logger

	mu            sync.Mutex // guards what follows
	reads, writes streak
	said          time.Time // the last line
	outage        time.Time // since when, where it was said; zero: it serves
}

// streak is failures without a success between them.
type streak struct {
	since time.Time // of the first; zero: the last one succeeded
	last  error
}

// observe notes how a call went, and returns its error.
func (r *reach) observe(s *streak, err error) error {
	if errors.Is(err, context.Canceled) || status.Code(err) == codes.Canceled {
		return context.Canceled // by us: it says nothing
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !cannotServe(err) {
		*s = streak{}
		if !r.outage.IsZero() && r.reads.since.IsZero() && r.writes.since.IsZero() {
			r.log.Info("etcd serves again", "after", now.Sub(r.outage).Round(time.Millisecond))
			r.outage, r.said = time.Time{}, time.Time{}
		}
		return err
	}
	if s.since.IsZero() {
		s.since = now
	}
	if s.last = err; now.Sub(s.since) >= sayAfter && now.Sub(r.said) >= sayAgain {
		r.said = now
		if r.outage.IsZero() {
			r.outage = s.since
		}
		r.say(s, now)
	}
	return &unavailable{err}
}

// say logs the line. The mutex is held.
func (r *reach) say(s *streak, now time.Time) {
	what, see := "etcd is not reachable", "etcd is not reachable"
	why := reasonOf(s.last)
	switch {
	case errors.Is(s.last, rpctypes.ErrNoSpace):
		what, see = "etcd's database is full: it takes no writes until `zonewise repair nospace` has made room", "etcd fills up"
	case s == &r.writes && r.reads.since.IsZero():
		what = "etcd answers and takes no writes: it has no quorum, or its leader's disk stalls or is full"
	}
	if t, ok := r.Client.(interface{ Trouble() string }); ok {
		if text := t.Trouble(); text != "" {
			why = text
		}
	}
	r.log.Error(what, "why", why, "since", r.outage.UTC().Format(time.RFC3339), "for", now.Sub(r.outage).Round(time.Second),
		"stands_still", "what is produced, committed positions, groups, topics", "goes_on", "reading what was committed; this broker tries again by itself",
		"see", runbook+see)
}

// cannotServe reports errors of an etcd that does not answer or cannot serve, in
// difference to its answers.
func cannotServe(err error) bool {
	return err != nil && (MemberCannotServe(err) || tooLate(err) || errors.Is(err, rpctypes.ErrNoSpace))
}

// tooLate reports errors of a call whose time was over.
func tooLate(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || status.Code(err) == codes.DeadlineExceeded
}

// unavailable is the error of a call that etcd could not serve, without the words
// that each layer below puts around it.
type unavailable struct{ err error }

func (u *unavailable) Error() string   { return "etcd: " + reasonOf(u.err) }
func (u *unavailable) Unwrap() []error { return []error{metadata.ErrUnavailable, u.err} }

// reasonOf is the part of an error that tells something.
func reasonOf(err error) string {
	text := err.Error()
	switch {
	case strings.Contains(text, "connection refused"):
		return "connection refused"
	case tooLate(err) || strings.Contains(text, "server preface"):
		return "no answer"
	case errors.Is(err, errGivenUp):
		return errGivenUp.Error()
	}
	if i := strings.LastIndex(text, "desc = "); i >= 0 {
		text = text[i+len("desc = "):]
	}
	return strings.TrimPrefix(strings.Trim(text, `"`), "etcdserver: ")
}

// Range implements Client.
func (r *reach) Range(ctx context.Context, q *etcdserverpb.RangeRequest) (*etcdserverpb.RangeResponse, error) {
	resp, err := r.Client.Range(ctx, q)
	return resp, r.observe(&r.reads, err)
}

// Txn implements Client.
func (r *reach) Txn(ctx context.Context, q *etcdserverpb.TxnRequest) (*etcdserverpb.TxnResponse, error) {
	resp, err := r.Client.Txn(ctx, q)
	if onlyReads(q) {
		return resp, r.observe(&r.reads, err)
	}
	return resp, r.observe(&r.writes, err)
}

// Compact implements Client.
func (r *reach) Compact(ctx context.Context, rev int64) error {
	return r.observe(&r.writes, r.Client.Compact(ctx, rev))
}

// Grant implements Client.
func (r *reach) Grant(ctx context.Context, ttlSeconds int64) (int64, error) {
	lease, err := r.Client.Grant(ctx, ttlSeconds)
	return lease, r.observe(&r.writes, err)
}

// KeepAlive implements Client. It says nothing of writes: the leader renews
// without its disk.
func (r *reach) KeepAlive(ctx context.Context, lease int64) error {
	return r.observe(&r.reads, r.Client.KeepAlive(ctx, lease))
}

// Revoke implements Client.
func (r *reach) Revoke(ctx context.Context, lease int64) error {
	return r.observe(&r.writes, r.Client.Revoke(ctx, lease))
}

// Status implements Client.
func (r *reach) Status(ctx context.Context) (Status, error) {
	s, err := r.Client.Status(ctx)
	return s, r.observe(&r.reads, err)
}
