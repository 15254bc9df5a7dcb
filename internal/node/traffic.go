package node

import (
	"context"
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// observedBucket is a bucket whose every request is counted in the metrics,
// whatever its caller and context.
type observedBucket struct {
	bucket.Bucket
	observe func(bucket.Attempt)
}

func (o observedBucket) withObserver(ctx context.Context) context.Context {
	return bucket.WithObserver(ctx, o.observe)
}

// Put implements bucket.Bucket.
func (o observedBucket) Put(ctx context.Context, name string, body []byte) error {
	return o.Bucket.Put(o.withObserver(ctx), name, body)
}

// Get implements bucket.Bucket.
func (o observedBucket) Get(ctx context.Context, name string, off, length int64) ([]byte, error) {
	return o.Bucket.Get(o.withObserver(ctx), name, off, length)
}

// List implements bucket.Bucket.
func (o observedBucket) List(ctx context.Context, prefix, after string, limit int) ([]bucket.Info, error) {
	return o.Bucket.List(o.withObserver(ctx), prefix, after, limit)
}

// Delete implements bucket.Bucket.
func (o observedBucket) Delete(ctx context.Context, names ...string) ([]string, error) {
	return o.Bucket.Delete(o.withObserver(ctx), names...)
}

// requestMetrics counts requests by operation, cause and whether they are
// billed. The counters of requests for records exist from the start, so that a
// broker without requests shows 0.
func requestMetrics(to *prometheus.Registry) func(bucket.Attempt) {
	all := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "zonewise_s3_requests_total", Help: "Requests of the bucket, by operation, cause, and whether S3 bills them."},
		[]string{"op", "cause", "billed"})
	bytes := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "zonewise_s3_bytes_total", Help: "Bytes sent to the bucket and received from it."}, []string{"op", "cause"})
	to.MustRegister(all, bytes)
	requests := func(op bucket.Op, cause bucket.Cause, billed bool) prometheus.Counter {
		return all.WithLabelValues(op.String(), string(cause), strconv.FormatBool(billed))
	}
	requests(bucket.OpPut, bucket.CauseWAL, true)
	requests(bucket.OpGet, bucket.CauseFetch, true)
	return func(a bucket.Attempt) {
		cause := a.Cause
		if cause == "" {
			cause = "other"
		}
		requests(a.Op, cause, a.Billable()).Inc()
		bytes.WithLabelValues(a.Op.String(), string(cause)).Add(float64(a.Bytes))
	}
}

// traffic counts the bytes that this broker caused to cross zones: entries on
// their network hops through etcd, and what its clients sent and received.
type traffic struct{ entryBytes, clientBytes atomic.Uint64 }

// countEntry counts an entry of this broker's own session.
func (t *traffic) countEntry(c *metadata.CommittedEntry, r *metadata.Route) {
	t.entryBytes.Add(uint64(r.CountNetworkHops() * len(c.Bytes)))
}

// countCells counts the bytes of clients in a usage report.
func (t *traffic) countCells(cells []metadata.Cell) {
	for i := range cells {
		k := &cells[i].Key
		if k.Component.IsClientTransfer() && metadata.CrossesZones(k.Src, k.Dst) {
			t.clientBytes.Add(cells[i].Quantity.Lo)
		}
	}
}

// noteTraffic counts what this broker's own entries carried between zones, and
// charges what other brokers' entries took of the cluster's rates to the
// governor.
func (n *Node) noteTraffic(a *metadata.AppliedEntry) {
	s := n.currentSession.Load()
	own := s != nil && a.Committed.Session == s.log.ID()
	switch {
	case own && a.Entry != nil:
		n.traffic.countEntry(a.Committed, &a.Entry.Route)
	case !own && n.replica.CaughtUp(): // what is replayed was spent long ago
		n.governor.ChargeRemote(metadata.CostOf(a))
	}
}
