package sim

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// Result is the result of a seed.
type Result struct {
	Seed     uint64
	Digest   string // of everything that happened
	Wrong    []string
	Batches  int // sent
	Faults   int
	What     []string // the faults
	Virtual  time.Duration
	Coverage Coverage
	lines    []string
}

// Options change a run.
type Options struct {
	Quiet   bool // no faults: the control run
	Entries bool // append the log's entries to the trace
	Logger  *slog.Logger
}

// bounds of a run.
const (
	ackTimeout = 90 * time.Second // from the last fault until everything is acknowledged
	runTimeout = 10 * time.Minute
)

// run is one seed in progress.
type run struct {
	*world
	ctx           context.Context
	opt           Options
	producers     sync.WaitGroup // end by themselves
	background    sync.WaitGroup // readers, the committer: they end with tailing
	backgroundCtx context.Context
	stopProducing chan struct{} // closed when producers may stop
	faults        int
	faultsEnded   time.Time
	apps          []*txnApp
	entries       []string // in archives and etcd at the end
	keeper        *retentionKeeper
	lastingFaults sync.WaitGroup // faults that last
}

// Run runs one seed. It must be called inside a synctest bubble.
func Run(ctx context.Context, seed uint64, opt Options) Result {
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	w := newWorld(seed, !opt.Quiet, opt.Logger)
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	r := &run{world: w, ctx: ctx, opt: opt, stopProducing: make(chan struct{})}
	r.runSimulation()
	for _, m := range r.observed.handovers {
		r.history.OrderRisks += int(m[1])
	}
	res := Result{Seed: seed, Faults: r.faults, Virtual: time.Since(begun), Coverage: r.collectCoverage()}
	cancel()
	for _, p := range w.processes {
		<-p.ended
	}
	w.lateDeletes.Wait()
	for _, e := range w.etcds {
		e.Close()
	}
	res.Wrong = w.history.Check()
	res.What = w.history.Faults
	res.Batches = len(w.history.Sent)
	res.Digest, res.lines = w.traceDigest(), w.traceLines
	res.lines = append(res.lines, r.entries...)
	return res
}

// topic is one that a run creates and produces to.
type topic struct {
	name       string
	partitions int32
	latency    string
}

func testTopics() []topic {
	return []topic{{"fast", 2, "low"}, {"bulk", 3, "standard"}, {"trim", 1, "standard"}, {"grow", 1, "low"}, {"pay", 2, "low"}, {"ship", 2, "standard"}, {barrierTopic, 4, "low"}, {leaderProducerTopic, 2, "standard"}, {ageTopic, 1, "standard"}, {sizeTopic, 2, "low"}}
}

func (r *run) runSimulation() {
	for i, name := range []string{"a0", "b0", "c0", "a1"} {
		p := r.newProcess(name, metadata.ZoneID(name[:1]))
		go func() {
			time.Sleep(time.Duration(i)*time.Millisecond + 1)
			p.supervise(r.ctx)
		}()
	}
	if err := r.createTopics(); err != nil {
		r.history.reportViolation("create topics: %v", err)
		return
	}
	tailing, cancel := context.WithCancel(r.ctx)
	r.backgroundCtx = tailing
	r.startClients()
	r.startOtherClients()
	r.injectFaults()
	r.setFaultsOver()
	r.faultsEnded = time.Now()
	close(r.stopProducing)
	if !r.waitFor(ackTimeout, r.producers.Wait) {
		r.history.reportViolation("not everything was acknowledged within %v after the last fault", ackTimeout)
	}
	r.trace("calm: all is acknowledged")
	r.freezeRetention()
	r.waitAllReady()
	r.trace("calm: all serve")
	r.waitNoOpenTxns()
	r.trace("calm: nothing is open")
	r.waitReadersCaughtUp()
	r.trace("calm: readers are there")
	time.Sleep(8 * time.Second) // entries name orphaned uploads
	cancel()
	r.background.Wait()
	r.readAllPartitions()
	r.readAllCommitted()
	r.recordLedger()
	r.checkStorage()
}

// waitReadersCaughtUp waits until every reader has read everything.
func (r *run) waitReadersCaughtUp() {
	end := time.Now().Add(readyTimeout)
	for time.Now().Before(end) {
		time.Sleep(100*time.Millisecond + 1)
		behind := false
		next := r.partitionEnds()
		r.history.update(func() {
			for key, at := range r.history.ReaderEnds {
				_, tp, _ := strings.Cut(key, " ")
				behind = behind || at < next[tp]
			}
		})
		if !behind {
			return
		}
	}
}

// partitionEnds returns the log end offsets of all partitions from the first running
// broker.
func (r *run) partitionEnds() map[string]int64 {
	next := map[string]int64{}
	l := r.anyInstance()
	if l == nil {
		return next
	}
	l.node.Replica().View(func(st *metadata.State) {
		for _, t := range st.Topics() {
			for p := range t.Partitions {
				v, _ := st.Partition(metadata.TopicPartition{Topic: t.ID, Partition: metadata.Partition(p)})
				next[TP{t.Name, int32(p)}.String()] = int64(v.Next)
			}
		}
	})
	return next
}

// waitFor calls wait and reports whether it returned in time.
func (r *run) waitFor(limit time.Duration, wait func()) bool {
	done := make(chan struct{})
	go func() { wait(); close(done) }()
	select {
	case <-done:
		return true
	case <-time.After(limit):
		return false
	}
}

// The initial size of a cluster.
const brokers, zones = 4, 3

// brokerAddrs returns the addresses that a client tries, starting with process first.
func (r *run) brokerAddrs(first int) (out []string) {
	for i := range brokers {
		p := r.processes[(first+i)%brokers]
		out = append(out, p.zoneAddr(-1), p.zoneAddr(first%zones))
	}
	return out
}

func (r *run) createTopics() error {
	c := &client{w: r.world, name: "setup", addrs: r.brokerAddrs(0)}
	defer c.closeConn()
	for _, t := range testTopics() {
		if err := r.createTopic(c, t.name, t.partitions, t.latency); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) createTopic(c *client, name string, partitions int32, latency string) error {
	for {
		q := kmsg.NewPtrCreateTopicsRequest()
		q.TimeoutMillis = 5000
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, -1
		cfg := kmsg.NewCreateTopicsRequestTopicConfig()
		cfg.Name, cfg.Value = "zonewise.latency", &latency
		t.Configs = append(t.Configs, cfg)
		q.Topics = append(q.Topics, t)
		resp, err := c.requestWithRetry(r.ctx, q, 5)
		if err != nil {
			return err
		}
		switch code := resp.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode; {
		case code == errNone || code == errTopicExists:
			return nil
		case !isRetriable(code):
			return fmt.Errorf("topic %s: error %d", name, code)
		}
		if err := c.backOff(r.ctx); err != nil {
			return err
		}
	}
}

func (r *run) startClients() {
	fast := []TP{{"fast", 0}, {"fast", 1}}
	bulk := []TP{{"bulk", 0}, {"bulk", 1}, {"bulk", 2}}
	for i := range 10 {
		targets := [][]TP{fast, bulk, {{"bulk", 1}, {"fast", 0}}, {{"trim", 0}, {"grow", 0}}}[i%4]
		p := r.newProducer(fmt.Sprintf("p%d", i), i != 4 && i != 9, r.brokerAddrs(i), targets...)
		if i%3 == 0 { // it moves to another broker while the first is merely slow
			p.timeoutOverride = 150*time.Millisecond + time.Duration(r.generateNumber("patience", p.name, 0)%400_000_000)
		}
		r.producers.Go(func() {
			time.Sleep(p.startDelay())
			p.run(r.ctx, r.stopProducing)
		})
	}
	for i := range 4 {
		t := testTopics()[i]
		var parts []int32
		for p := range t.partitions {
			parts = append(parts, p)
		}
		rd := r.newReader(fmt.Sprintf("r%d", i), r.brokerAddrs(i+1), t.name, parts...)
		r.background.Go(func() {
			time.Sleep(rd.startDelay())
			rd.run(r.backgroundCtx)
		})
	}
}

// startOtherClients starts all clients except producers and readers.
func (r *run) startOtherClients() {
	late := r.newProducer("late", true, r.brokerAddrs(2), TP{"grow", 1}, TP{"grow", 2})
	r.producers.Go(func() {
		time.Sleep(4*time.Second + late.startDelay())
		late.run(r.ctx, r.stopProducing)
	})
	more := r.newReader("r-late", r.brokerAddrs(0), "grow", 1, 2)
	k := &offsetCommitter{client: client{w: r.world, name: "committer", addrs: r.brokerAddrs(1)}, group: "offsets", tps: []TP{{"fast", 0}, {"bulk", 2}}, offset: map[TP]int64{}}
	a := &topicAdmin{client: client{w: r.world, name: "admin", addrs: r.brokerAddrs(2)}, r: r}
	r.background.Go(func() { time.Sleep(4*time.Second + more.startDelay()); more.run(r.backgroundCtx) })
	r.background.Go(func() { time.Sleep(k.startDelay()); k.run(r.backgroundCtx) })
	r.background.Go(a.run)
	for i := range 3 {
		m := &classicMember{client: client{w: r.world, name: fmt.Sprintf("m%d", i), addrs: r.brokerAddrs(i)}, group: "team", topic: "bulk", parts: 3}
		r.background.Go(func() {
			time.Sleep(time.Duration(i)*time.Second + m.startDelay())
			m.run(r.backgroundCtx)
		})
	}
	r.startConsumers()
	r.startLeaderProducers()
	r.startExpiringClients()
	temp := &topicChurnClient{client: client{w: r.world, name: "temp", addrs: r.brokerAddrs(3)}}
	lanes := &topicChurnClient{client: client{w: r.world, name: "lanes", addrs: r.brokerAddrs(0)}}
	r.background.Go(func() { time.Sleep(time.Second + temp.startDelay()); temp.run(r.backgroundCtx) })
	crowd := &topicLimitClient{topicChurnClient{client: client{w: r.world, name: "crowd", addrs: r.brokerAddrs(1)}}}
	if r.clusterLimits() != nil {
		r.background.Go(func() { time.Sleep(3*time.Second + crowd.startDelay()); crowd.run(r.backgroundCtx) })
	}
	r.background.Go(func() { time.Sleep(time.Second + lanes.startDelay()); lanes.moveLanes(r.backgroundCtx, "bulk") })
	r.background.Go(r.sampleBrokers)
	r.startApps()
}

// sampleBrokers periodically records every broker's state.
func (r *run) sampleBrokers() {
	for n := 0; r.backgroundCtx.Err() == nil; n++ {
		for _, p := range r.processes {
			if l := p.current.Load(); l != nil {
				r.recordStateHash(l)
				r.observeInstance(l)
			}
		}
		if n%storageSampling == 0 {
			r.checkNamedObjects()
		}
		select {
		case <-time.After(100*time.Millisecond + time.Duration(r.generateNumber("hash", "", n)%50_000_000)):
		case <-r.backgroundCtx.Done():
		}
	}
}

// startDelay is a client's start time: no two are equal.
func (c *client) startDelay() time.Duration {
	return 1 + time.Duration(c.w.generateNumber("start", c.name, 0)%50_000_000)
}

func (r Result) sortedTrace() []string { return slices.Sorted(slices.Values(r.lines)) }
