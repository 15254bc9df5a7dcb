package verify

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// ErrOtherEtcd means that the bucket belongs to a newer incarnation than etcd: what
// etcd names there says nothing about what is needed.
var ErrOtherEtcd = errors.New("the cluster was recovered into another etcd")

// Run compares the bucket with the state. An error means that it could not: what is
// wrong with the bucket is in the report.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	w := &walk{cfg: cfg, totals: totals{}, pace: pacer{rate: cfg.BytesPerSecond}, suspects: map[string]*suspect{}}
	w.report.Started, w.report.Deep = time.Now(), cfg.Deep
	w.count.beginStage("list the bucket", 0)
	stop := w.reportProgress()
	err := w.walkBucket(bucket.WithCause(ctx, bucket.CauseVerify))
	stop()
	if err != nil {
		return nil, fmt.Errorf("verify the bucket: %w", err)
	}
	return w.buildReport(), nil
}

// walk is one run.
type walk struct {
	cfg    Config
	count  counters
	pace   pacer
	report Report
	totals totals

	listed   map[string]listedObject // by key; nil once all was compared with it
	listedAt time.Time
	// pointerSize is the listed size of the checkpoint that the log points at.
	pointerSize int64
	log         logView // that the listing is compared with
	newer       logView // that suspects are compared with

	mu       sync.Mutex
	suspects map[string]*suspect // by key; guarded by mu while objects are read
}

// suspect is an object that seems to be at fault, until a newer state and another
// look into the bucket prove it.
type suspect struct {
	metadata.NamedObject // as named; as listed where nothing names it
	status               Status
	want                 int64 // bytes, as named; 0: not known
	modified             int64 // unix ms, as listed
	probe                bool  // its place and size are looked at again
	awaited              bool  // its upload may be under way: it is looked at again later
	what                 string
	certain              bool   // it follows from one state alone
	counted              Status // as what the totals have it; empty: not yet
	lost                 []lostSpan
	judged               bool // its spans were read: lost is all that is lost
}

func (w *walk) walkBucket(ctx context.Context) (err error) {
	if err := w.listBucket(ctx); err != nil {
		return err
	}
	w.count.beginStage("compare with the state", len(w.listed))
	if w.log, err = w.readLog(ctx); err != nil {
		return err
	}
	if err := w.compareListing(ctx); err != nil {
		return err
	}
	w.checkChain()
	w.listed = nil
	if w.cfg.Deep {
		if err := w.readObjects(ctx); err != nil {
			return err
		}
	}
	return w.settleSuspects(ctx)
}

// suspectObject remembers an object to be looked at again. The first suspicion stays,
// but that of being missing gives way to what was read of the object.
func (w *walk) suspectObject(s *suspect) {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := w.suspects[s.Key]
	if first != nil && (first.certain || first.status != Missing || s.status == Missing) {
		return
	}
	if first != nil {
		s.counted = first.counted
	}
	w.suspects[s.Key] = s
}

// suspicion returns of what an object is suspected; empty: of nothing.
func (w *walk) suspicion(key string) Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.suspects[key]; s != nil {
		return s.status
	}
	return ""
}

func (w *walk) buildReport() *Report {
	r := &w.report
	r.Revision, r.StateTimeMs, r.Incarnation = w.log.state.Revision(), w.log.state.Time(), w.log.start.Incarnation
	r.Lists, r.Gets, r.BytesRead = w.count.lists.Load(), w.count.gets.Load(), w.count.read.Load()
	r.Seconds = time.Since(r.Started).Seconds()
	r.Totals = w.totals.rows()
	if r.Findings == nil {
		r.Findings = []Finding{}
	}
	r.finish(w.cfg.MaxFindings)
	return r
}
