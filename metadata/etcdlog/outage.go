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
	reportAfter    = time.Second     // failures without a success between them
	reportInterval = 5 * time.Second // between two log lines
	runbook        = "docs/operations.md, section "
)

// outageReporter is a Client that reports when etcd cannot serve, in one line at
// a time: what is not reachable, since when, what stops and what does not, and
// where to read more. Callers get metadata.ErrUnavailable and need not report it
// again.
type outageReporter struct {
	Client
	log *slog.Logger

	mu            sync.Mutex // guards the fields below
	reads, writes failureStreak
	lastReport    time.Time // of the last line
	outageSince   time.Time // since when etcd has not served, once reported; zero: it serves
}

// failureStreak is failures without a success between them.
type failureStreak struct {
	since time.Time // of the first; zero: the last one succeeded
	last  error
}

// recordResult records the result of a call, and returns its error.
func (r *outageReporter) recordResult(s *failureStreak, err error) error {
	if errors.Is(err, context.Canceled) || status.Code(err) == codes.Canceled {
		return context.Canceled // by the caller: no evidence about etcd
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !cannotServe(err) {
		*s = failureStreak{}
		if !r.outageSince.IsZero() && r.reads.since.IsZero() && r.writes.since.IsZero() {
			r.log.Info("etcd serves again", "after", now.Sub(r.outageSince).Round(time.Millisecond))
			r.outageSince, r.lastReport = time.Time{}, time.Time{}
		}
		return err
	}
	if s.since.IsZero() {
		s.since = now
	}
	if s.last = err; now.Sub(s.since) >= reportAfter && now.Sub(r.lastReport) >= reportInterval {
		r.lastReport = now
		if r.outageSince.IsZero() {
			r.outageSince = s.since
		}
		r.logOutage(s, now)
	}
	return &unavailableError{err}
}

// logOutage logs the line. The mutex is held.
func (r *outageReporter) logOutage(s *failureStreak, now time.Time) {
	what, see := "etcd is not reachable", "etcd is not reachable"
	why := failureReason(s.last)
	switch {
	case errors.Is(s.last, rpctypes.ErrNoSpace):
		what, see = "etcd's database is full: it accepts no writes until `zonewise repair nospace` has freed space", "etcd fills up"
	case s == &r.writes && r.reads.since.IsZero():
		what = "etcd answers and takes no writes: it has no quorum, or its leader's disk stalls or is full"
	}
	if t, ok := r.Client.(interface{ UnavailableReason() string }); ok {
		if text := t.UnavailableReason(); text != "" {
			why = text
		}
	}
	r.log.Error(what, "why", why, "since", r.outageSince.UTC().Format(time.RFC3339), "for", now.Sub(r.outageSince).Round(time.Second),
		"stands_still", "what is produced, committed offsets, groups, topics", "goes_on", "reading what was committed; this broker tries again by itself",
		"see", runbook+see)
}

// cannotServe reports errors of an etcd that does not answer or cannot serve, as
// opposed to its refusals.
func cannotServe(err error) bool {
	return err != nil && (MemberCannotServe(err) || isTimeout(err) || errors.Is(err, rpctypes.ErrNoSpace))
}

// isTimeout reports errors of a call that took too long.
func isTimeout(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || status.Code(err) == codes.DeadlineExceeded
}

// unavailableError is the error of a call that etcd could not serve, without the
// prefixes of the layers below.
type unavailableError struct{ err error }

func (u *unavailableError) Error() string   { return "etcd: " + failureReason(u.err) }
func (u *unavailableError) Unwrap() []error { return []error{metadata.ErrUnavailable, u.err} }

// failureReason returns the informative part of an error.
func failureReason(err error) string {
	text := err.Error()
	switch {
	case strings.Contains(text, "connection refused"):
		return "connection refused"
	case isTimeout(err) || strings.Contains(text, "server preface"):
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
func (r *outageReporter) Range(ctx context.Context, q *etcdserverpb.RangeRequest) (*etcdserverpb.RangeResponse, error) {
	resp, err := r.Client.Range(ctx, q)
	return resp, r.recordResult(&r.reads, err)
}

// Txn implements Client.
func (r *outageReporter) Txn(ctx context.Context, q *etcdserverpb.TxnRequest) (*etcdserverpb.TxnResponse, error) {
	resp, err := r.Client.Txn(ctx, q)
	if isReadOnly(q) {
		return resp, r.recordResult(&r.reads, err)
	}
	return resp, r.recordResult(&r.writes, err)
}

// Compact implements Client.
func (r *outageReporter) Compact(ctx context.Context, rev int64) error {
	return r.recordResult(&r.writes, r.Client.Compact(ctx, rev))
}

// Grant implements Client.
func (r *outageReporter) Grant(ctx context.Context, ttlSeconds int64) (int64, error) {
	lease, err := r.Client.Grant(ctx, ttlSeconds)
	return lease, r.recordResult(&r.writes, err)
}

// KeepAlive implements Client. Its success is no evidence about writes: the
// leader renews without its disk.
func (r *outageReporter) KeepAlive(ctx context.Context, lease int64) error {
	return r.recordResult(&r.reads, r.Client.KeepAlive(ctx, lease))
}

// Revoke implements Client.
func (r *outageReporter) Revoke(ctx context.Context, lease int64) error {
	return r.recordResult(&r.writes, r.Client.Revoke(ctx, lease))
}

// Status implements Client.
func (r *outageReporter) Status(ctx context.Context) (Status, error) {
	s, err := r.Client.Status(ctx)
	return s, r.recordResult(&r.reads, err)
}
