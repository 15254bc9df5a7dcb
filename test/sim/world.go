package sim

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/zonewise/zonewise/metadata/etcdlog"
	"github.com/zonewise/zonewise/metadata/etcdlog/etcdfake"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// world is the environment of brokers and clients.
type world struct {
	seed          uint64
	mem           *bucket.Mem
	net           *network
	logger        *slog.Logger
	faultsEnabled bool // faults may be generated
	// instants keeps effects apart: two in the same nanosecond would race.
	instants etcdfake.Instants

	history   *History
	processes []*process

	mu             sync.Mutex // guards what follows
	etcd           *etcdfake.Store
	etcds          []*etcdfake.Store // all so far
	traceLines     []string          // the trace
	faultsOver     bool              // no more faults: the end of a run
	gate           chan struct{}     // closed: processes may not run; nil: they may
	gateOpened     chan struct{}     // closed when the gate opens
	recoveries     int
	stopsExpected  bool // brokers are expected to stop
	stops          int  // number of brokers that stopped
	triggers       []*faultTrigger
	damageArchives int // archives to damage in transit to the bucket
	// Reads to damage in transit from it.
	damageReads, damageCheckpoints int
	billable                       requestLog
	deadInstances                  map[string]bool // killed instances
	observed                       *observations
	latePuts                       int // PUTs that took effect after their caller had given up
	lateDeletes                    sync.WaitGroup
	storage                        storageObservations
	etcdClients                    map[string]*etcdfake.Client
}

const cluster = "main"

func newWorld(seed uint64, faulty bool, logger *slog.Logger) *world {
	w := &world{seed: seed, mem: bucket.NewMem(), logger: logger, faultsEnabled: faulty, history: newHistory(), etcdClients: map[string]*etcdfake.Client{}, observed: newObservations(), deadInstances: map[string]bool{}, storage: newStorageObservations()}
	w.net = newNetwork(w.generateNumber, &w.instants)
	w.etcd = w.newEtcd("etcd")
	w.etcds = append(w.etcds, w.etcd)
	w.gate = make(chan struct{})
	return w
}

// generateNumber returns a number that depends only on the seed and the arguments.
func (w *world) generateNumber(kind, id string, n int) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d/%s/%s/%d", w.seed, kind, id, n)
	v := h.Sum64()
	v ^= v >> 33
	v *= 0xff51afd7ed558ccd
	v ^= v >> 33
	v *= 0xc4ceb9fe1a85ec53
	return v ^ v>>33
}

// sleepDistinct sleeps up to 100 µs, and ends at a distinct instant.
func (w *world) sleepDistinct(what string, n int) {
	d := time.Duration(1 + w.generateNumber(what, "", n)%100_000)
	time.Sleep(w.instants.TakeIn(d, fmt.Sprintf("%s %d", what, n)))
}

// newEtcd starts an empty etcd; instance distinguishes it from earlier ones.
func (w *world) newEtcd(instance string) *etcdfake.Store {
	rates := etcdfake.Config{Seed: w.generateNumber("etcd", instance, 0), TailOneIn: 200, Spread: 20 * time.Microsecond, Instants: &w.instants}
	lose, before, landLate, cancel := 0, 0, 0, 0
	if w.faultsEnabled {
		lose, before, landLate, cancel = 3, 4, 2, 2
	}
	rates.LoseReply, rates.FailBefore, rates.LandLate, rates.CancelWatch = lose, before, landLate, cancel
	rates.Script = w.decideEtcdFault
	return etcdfake.New(rates)
}

// bucketFor returns one process's connection to the bucket.
func (w *world) bucketFor(process string) (*bucket.FaultyBucket, bucket.Bucket) {
	plan := bucket.FaultPlan{Seed: w.generateNumber("bucket", process, 0), Before: 0.01, Lost: 0.005, After: 0.005, Late: 0.01, LateBy: 4 * time.Second, Hang: 0.005, Partial: 0.3, PartialShare: 0.3}
	took, fated := newRequestCounter(), newRequestCounter()
	slow := bucket.Delay(damagingBucket{w.mem, w, process}, func(op bucket.Op, name string, _ int, size int64) time.Duration {
		attempt := took.countInstant(op.String() + "/" + name)
		v := w.generateNumber(op.String()+"/"+process, name, attempt)
		d := 3*time.Millisecond + time.Duration((v>>16)%20_000_000)
		if v%31 == 0 {
			d += time.Duration((v >> 32) % 400_000_000)
		}
		return w.instants.TakeIn(d, op.String()+"/"+process+"/"+name)
	})
	fault := bucket.NewFaultyBucket(slow, func(op bucket.Op, name string, _ int) bucket.InjectedFault {
		attempt := fated.countInstant(op.String() + "/" + name)
		return w.decideBucketFault(process, plan, op, name, attempt)
	})
	traced := bucket.Trace(fault, func(l bucket.TraceLine) {
		if w.isDead(process) {
			return
		}
		w.observeBucketRequest(process, l)
		w.trace("s3 %s %s %s %d+%d %d %08x %v %d", process, l.Op, l.Name, l.Off, l.Len, l.Bytes, l.Sum, l.Err != nil, l.Took)
	})
	retry := bucket.DefaultRetry()
	retry.Timeout = 2 * time.Second
	all := bucket.Retry(traced, retry)
	if process == "operator" { // not billed to the cluster
		return fault, all
	}
	return fault, suspendedBucket{billedBucket{all, &w.billable, process}, w, process}
}

// requestCounter counts the instants at which requests were made. Requests of the
// same instant have no order, so they share a number.
type requestCounter struct {
	mu sync.Mutex
	n  map[string]int
	at map[string]time.Time // of the last
}

func newRequestCounter() *requestCounter {
	return &requestCounter{n: map[string]int{}, at: map[string]time.Time{}}
}

// countInstant counts from 1.
func (c *requestCounter) countInstant(what string) int {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !now.Equal(c.at[what]) {
		c.n[what], c.at[what] = c.n[what]+1, now
	}
	return c.n[what]
}

func (w *world) setFaultsOver() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faultsOver = true
}

func (w *world) areFaultsOver() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.faultsOver
}

// trace records an event at its virtual instant.
func (w *world) trace(format string, args ...any) {
	line := fmt.Sprintf("%020d "+format, append([]any{time.Now().UnixNano()}, args...)...)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.traceLines = append(w.traceLines, line)
}

// traceDigest hashes the trace. Lines of one instant have no order.
func (w *world) traceDigest() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines := slices.Sorted(slices.Values(w.traceLines))
	h := sha256.New()
	for _, l := range lines {
		h.Write([]byte(l))
		h.Write([]byte{'\n'})
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// openLog opens the cluster's log for a process, and creates the cluster if this is
// the first.
func (w *world) openLog(ctx context.Context, c *etcdfake.Client, process string, instance int) (*etcdlog.Log, error) {
	if _, _, err := etcdlog.Create(ctx, c, cluster, "token"); err != nil {
		return nil, err
	}
	return etcdlog.Open(ctx, etcdlog.Config{Cluster: cluster, Client: c, Logger: w.logger, Rand: w.newRand("log/"+process, instance), LeaseTTL: 4 * time.Second,
		DeletePause: 80 * time.Millisecond})
}
