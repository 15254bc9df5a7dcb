package sim

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// Request is one request of the bucket that S3 would bill.
type Request struct {
	Op       bucket.Op
	At       time.Time // when its response was known
	Instance string    // of the process that made it
}

// Ledger is the bill as the last broker reports it, and the requests that it must contain.
type Ledger struct {
	Window   metadata.LedgerWindow
	At       time.Time // when it was read
	Requests []Request // of all brokers
	Topics   map[string]metadata.TopicID
	// Opened are the instances that opened a session: requests of an instance that
	// died before are in no report, and no end of a session records a gap for them.
	Opened map[string]bool
}

// requestLog records the billable requests of all instances.
type requestLog struct {
	mu  sync.Mutex
	all []Request
}

func (q *requestLog) addRequest(r Request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.all = append(q.all, r)
}

func (q *requestLog) copyAll() []Request {
	q.mu.Lock()
	defer q.mu.Unlock()
	return append([]Request(nil), q.all...)
}

// billedBucket is a bucket that records billable requests as S3 would, whatever
// happens to the process that made them.
type billedBucket struct {
	bucket.Bucket
	log      *requestLog
	instance string
}

func (b billedBucket) observeRequests(ctx context.Context) context.Context {
	return bucket.WithObserver(ctx, func(a bucket.Attempt) {
		if a.Billable() {
			b.log.addRequest(Request{a.Op, time.Now(), b.instance})
		}
	})
}

func (b billedBucket) Put(ctx context.Context, name string, body []byte) error {
	return b.Bucket.Put(b.observeRequests(ctx), name, body)
}

func (b billedBucket) Get(ctx context.Context, name string, off, length int64) ([]byte, error) {
	return b.Bucket.Get(b.observeRequests(ctx), name, off, length)
}

func (b billedBucket) List(ctx context.Context, prefix, after string, limit int) ([]bucket.Info, error) {
	return b.Bucket.List(b.observeRequests(ctx), prefix, after, limit)
}

func (b billedBucket) Delete(ctx context.Context, names ...string) ([]string, error) {
	return b.Bucket.Delete(b.observeRequests(ctx), names...)
}

// instancesWithSession returns the instances that had a session.
func (w *world) instancesWithSession() map[string]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.observed.sessionOpened)
}

// recordLedger records the bill of the whole run.
func (r *run) recordLedger() {
	l := r.anyInstance()
	if l == nil {
		return
	}
	out := &Ledger{At: time.Now(), Requests: r.billable.copyAll(), Topics: map[string]metadata.TopicID{}, Opened: r.instancesWithSession()}
	l.node.Replica().View(func(st *metadata.State) {
		out.Window = st.Ledger(max(0, st.Time()-metadata.UnixMilli(time.Hour.Milliseconds())), st.Time()+1)
		for _, t := range st.Topics() {
			out.Topics[t.Name] = t.ID
		}
	})
	r.history.update(func() { r.history.Ledger = out })
}
