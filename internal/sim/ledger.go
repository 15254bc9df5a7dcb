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
	Op   bucket.Op
	At   time.Time // when its answer was known
	Life string    // of the process that made it
}

// Ledger is the bill as the last broker tells it, and what it must be.
type Ledger struct {
	Window   metadata.LedgerWindow
	At       time.Time // of the look
	Requests []Request // of all brokers
	Topics   map[string]metadata.TopicID
	// Opened are the lives that opened a session: what one asked for that died
	// before is in nobody's report, and no session's end tells of a gap.
	Opened map[string]bool
}

// requests are the billable ones of all lives.
type requests struct {
	mu  sync.Mutex
	all []Request
}

func (q *requests) add(r Request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.all = append(q.all, r)
}

func (q *requests) take() []Request {
	q.mu.Lock()
	defer q.mu.Unlock()
	return append([]Request(nil), q.all...)
}

// billed is a bucket whose billable requests are noted, as S3 would: whatever
// becomes of who made them.
type billed struct {
	bucket.Bucket
	to   *requests
	life string
}

func (b billed) watch(ctx context.Context) context.Context {
	return bucket.WithObserver(ctx, func(a bucket.Attempt) {
		if a.Billable() {
			b.to.add(Request{a.Op, time.Now(), b.life})
		}
	})
}

func (b billed) Put(ctx context.Context, name string, body []byte) error {
	return b.Bucket.Put(b.watch(ctx), name, body)
}

func (b billed) Get(ctx context.Context, name string, off, length int64) ([]byte, error) {
	return b.Bucket.Get(b.watch(ctx), name, off, length)
}

func (b billed) List(ctx context.Context, prefix, after string, limit int) ([]bucket.Info, error) {
	return b.Bucket.List(b.watch(ctx), prefix, after, limit)
}

func (b billed) Delete(ctx context.Context, names ...string) error {
	return b.Bucket.Delete(b.watch(ctx), names...)
}

// opened are the lives that were seen with a session.
func (w *world) opened() map[string]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.seen.opened)
}

// lookAtLedger notes the whole run's bill.
func (r *run) lookAtLedger() {
	l := r.anyLife()
	if l == nil {
		return
	}
	out := &Ledger{At: time.Now(), Requests: r.billed.take(), Topics: map[string]metadata.TopicID{}, Opened: r.opened()}
	l.node.Replica().View(func(st *metadata.State) {
		out.Window = st.Ledger(max(0, st.Time()-metadata.UnixMilli(time.Hour.Milliseconds())), st.Time()+1)
		for _, t := range st.Topics() {
			out.Topics[t.Name] = t.ID
		}
	})
	r.history.note(func() { r.history.Ledger = out })
}
