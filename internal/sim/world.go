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

// world is what brokers and clients live in.
type world struct {
	seed   uint64
	mem    *bucket.Mem
	net    *network
	logger *slog.Logger
	faulty bool // faults may be drawn
	// instants keeps apart whatever happens: two things of one nanosecond race.
	instants etcdfake.Instants

	history   *History
	processes []*process

	mu        sync.Mutex // guards what follows
	etcd      *etcdfake.Store
	etcds     []*etcdfake.Store // all there were
	lines     []string          // the trace
	calm      bool              // no more faults: the end of a run
	gate      chan struct{}     // closed: processes may not run; nil: they may
	open      chan struct{}     // closed when the gate opens
	recovered int
	expect    bool // brokers are expected to stop
	stops     int  // brokers that did
	traps     []*trap
	damage    int // archives to damage on their way into the bucket
	// What is to be damaged on its way out of it.
	damageReads, damageCheckpoints int
	billed                         requests
	dead                           map[string]bool // lives that were killed
	seen                           *watchful
	late                           int // PUTs that landed after their caller had given up
	clients                        map[string]*etcdfake.Client
}

const cluster = "main"

func newWorld(seed uint64, faulty bool, logger *slog.Logger) *world {
	w := &world{seed: seed, mem: bucket.NewMem(), logger: logger, faulty: faulty, history: newHistory(), clients: map[string]*etcdfake.Client{}, seen: newWatchful(), dead: map[string]bool{}}
	w.net = newNetwork(w.draw, &w.instants)
	w.etcd = w.newEtcd("etcd")
	w.etcds = append(w.etcds, w.etcd)
	w.gate = make(chan struct{})
	return w
}

// draw is a number that depends on the seed and its arguments only.
func (w *world) draw(kind, id string, n int) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d/%s/%s/%d", w.seed, kind, id, n)
	v := h.Sum64()
	v ^= v >> 33
	v *= 0xff51afd7ed558ccd
	v ^= v >> 33
	v *= 0xc4ceb9fe1a85ec53
	return v ^ v>>33
}

// pause lets up to 100 µs pass, and ends at an instant of its own.
func (w *world) pause(what string, n int) {
	d := time.Duration(1 + w.draw(what, "", n)%100_000)
	time.Sleep(w.instants.In(d, fmt.Sprintf("%s %d", what, n)))
}

// newEtcd starts an empty etcd; life tells one from the next.
func (w *world) newEtcd(life string) *etcdfake.Store {
	rates := etcdfake.Config{Seed: w.draw("etcd", life, 0), TailOneIn: 200, Spread: 20 * time.Microsecond, Instants: &w.instants}
	lose, before, landLate, cancel := 0, 0, 0, 0
	if w.faulty {
		lose, before, landLate, cancel = 3, 4, 2, 2
	}
	rates.LoseReply, rates.FailBefore, rates.LandLate, rates.CancelWatch = lose, before, landLate, cancel
	rates.Script = w.etcdFate
	return etcdfake.New(rates)
}

// bucketFor is the bucket as one process sees it: its own connection.
func (w *world) bucketFor(process string) (*bucket.Fault, bucket.Bucket) {
	plan := bucket.FaultPlan{Seed: w.draw("bucket", process, 0), Before: 0.01, Lost: 0.005, After: 0.005, Late: 0.01, LateBy: 4 * time.Second, Hang: 0.005}
	took, fated := newCounter(), newCounter()
	slow := bucket.Delay(damaging{w.mem, w, process}, func(op bucket.Op, name string, _ int, size int64) time.Duration {
		attempt := took.next(op.String() + "/" + name)
		v := w.draw(op.String()+"/"+process, name, attempt)
		d := 3*time.Millisecond + time.Duration((v>>16)%20_000_000)
		if v%31 == 0 {
			d += time.Duration((v >> 32) % 400_000_000)
		}
		return w.instants.In(d, op.String()+"/"+process+"/"+name)
	})
	fault := bucket.NewFault(slow, func(op bucket.Op, name string, _ int) bucket.Fate {
		attempt := fated.next(op.String() + "/" + name)
		return w.bucketFate(process, plan, op, name, attempt)
	})
	traced := bucket.Trace(fault, func(l bucket.TraceLine) {
		if w.isDead(process) {
			return
		}
		w.sawBucket(process, l)
		w.trace("s3 %s %s %s %d+%d %d %08x %v %d", process, l.Op, l.Name, l.Off, l.Len, l.Bytes, l.Sum, l.Err != nil, l.Took)
	})
	retry := bucket.DefaultRetry()
	retry.Timeout = 2 * time.Second
	all := bucket.Retry(traced, retry)
	if process == "operator" { // nobody's bill
		return fault, all
	}
	return fault, billed{all, &w.billed, process}
}

// counter counts the instants at which something was asked. What is asked at
// one instant has no order, so it has one number.
type counter struct {
	mu sync.Mutex
	n  map[string]int
	at map[string]time.Time // of the last
}

func newCounter() *counter { return &counter{n: map[string]int{}, at: map[string]time.Time{}} }

// next counts from 1.
func (c *counter) next(what string) int {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !now.Equal(c.at[what]) {
		c.n[what], c.at[what] = c.n[what]+1, now
	}
	return c.n[what]
}

func (w *world) setCalm() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calm = true
}

func (w *world) isCalm() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calm
}

// trace notes an event at its virtual instant.
func (w *world) trace(format string, args ...any) {
	line := fmt.Sprintf("%020d "+format, append([]any{time.Now().UnixNano()}, args...)...)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, line)
}

// digest hashes the trace. Lines of one instant have no order.
func (w *world) digest() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines := slices.Sorted(slices.Values(w.lines))
	h := sha256.New()
	for _, l := range lines {
		h.Write([]byte(l))
		h.Write([]byte{'\n'})
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// openLog opens the cluster's log for a process, creating the cluster where
// this is the first.
func (w *world) openLog(ctx context.Context, c *etcdfake.Client, process string, life int) (*etcdlog.Log, error) {
	if _, _, err := etcdlog.Create(ctx, c, cluster, "token"); err != nil {
		return nil, err
	}
	return etcdlog.Open(ctx, etcdlog.Config{Cluster: cluster, Client: c, Logger: w.logger, Rand: w.rand("log/"+process, life), LeaseTTL: 4 * time.Second,
		DeletePause: 80 * time.Millisecond})
}
