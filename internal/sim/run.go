package sim

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// Result is what a seed came to.
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
	Quiet  bool // no faults: the control run
	Logger *slog.Logger
}

// bounds of a run.
const (
	settleTime = 90 * time.Second // after the last fault everything is acknowledged
	hardLimit  = 10 * time.Minute
)

// run is one seed in progress.
type run struct {
	*world
	ctx     context.Context
	opt     Options
	clients sync.WaitGroup // producers: they end by themselves
	tails   sync.WaitGroup // readers, the committer: they end with tailing
	tailing context.Context
	stop    chan struct{} // closed when producers need not make more
	faults  int
	later   sync.WaitGroup // faults that last
}

// Run lives through one seed. It must be called inside a synctest bubble.
func Run(ctx context.Context, seed uint64, opt Options) Result {
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	w := newWorld(seed, !opt.Quiet, opt.Logger)
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, hardLimit)
	r := &run{world: w, ctx: ctx, opt: opt, stop: make(chan struct{})}
	r.live()
	res := Result{Seed: seed, Faults: r.faults, Virtual: time.Since(begun), Coverage: r.coverage()}
	cancel()
	for _, p := range w.processes {
		<-p.ended
	}
	for _, e := range w.etcds {
		e.Close()
	}
	res.Wrong = w.history.Check()
	res.What = w.history.Faults
	res.Batches = len(w.history.Sent)
	res.Digest, res.lines = w.digest(), w.lines
	return res
}

// topics of a run: what is produced to.
var topics = []struct {
	name       string
	partitions int32
	latency    string
}{{"fast", 2, "low"}, {"bulk", 3, "standard"}, {"trim", 1, "standard"}, {"grow", 1, "low"}}

func (r *run) live() {
	for i, zone := range []metadata.ZoneID{"a", "b", "c"} {
		p := r.newProcess(fmt.Sprintf("%s%d", zone, 0), zone)
		go func() {
			time.Sleep(time.Duration(i)*time.Millisecond + 1)
			p.run(r.ctx)
		}()
	}
	if err := r.createTopics(); err != nil {
		r.history.wrong("create topics: %v", err)
		return
	}
	tailing, cancel := context.WithCancel(r.ctx)
	r.tailing = tailing
	r.startClients()
	r.plan()
	r.setCalm()
	close(r.stop)
	if !r.waitFor(settleTime, r.clients.Wait) {
		r.history.wrong("not everything was acknowledged within %v after the last fault", settleTime)
	}
	r.allReady()
	time.Sleep(2 * time.Second) // readers get the rest
	cancel()
	r.tails.Wait()
	r.lastLook()
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

// addrs are the addresses a client tries, beginning with the first-th process.
func (r *run) addrs(first int) (out []string) {
	n := 3
	for i := range n {
		p := r.processes[(first+i)%n]
		out = append(out, p.addr(-1), p.addr(first%n))
	}
	return out
}

func (r *run) createTopics() error {
	c := &client{w: r.world, name: "setup", addrs: r.addrs(0)}
	defer c.drop()
	for _, t := range topics {
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
		resp, err := c.ask(r.ctx, q, 5)
		if err != nil {
			return err
		}
		switch code := resp.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode; {
		case code == errNone || code == errTopicExists:
			return nil
		case !retriable(code):
			return fmt.Errorf("topic %s: error %d", name, code)
		}
		if err := c.pause(r.ctx); err != nil {
			return err
		}
	}
}

func (r *run) startClients() {
	fast := []TP{{"fast", 0}, {"fast", 1}}
	bulk := []TP{{"bulk", 0}, {"bulk", 1}, {"bulk", 2}}
	for i := range 10 {
		targets := [][]TP{fast, bulk, {{"bulk", 1}, {"fast", 0}}, {{"trim", 0}, {"grow", 0}}}[i%4]
		p := r.newProducer(fmt.Sprintf("p%d", i), i != 4 && i != 9, r.addrs(i), targets...)
		r.clients.Go(func() {
			time.Sleep(p.start())
			p.run(r.ctx, r.stop)
		})
	}
	for i := range 4 {
		t := topics[i%len(topics)]
		var parts []int32
		for p := range t.partitions {
			parts = append(parts, p)
		}
		rd := r.newReader(fmt.Sprintf("r%d", i), r.addrs(i+1), t.name, parts...)
		r.tails.Go(func() {
			time.Sleep(rd.start())
			rd.run(r.tailing)
		})
	}
}

// start is when a client begins: no two at one instant.
func (c *client) start() time.Duration {
	return 1 + time.Duration(c.w.draw("start", c.name, 0)%50_000_000)
}

func (r Result) sorted() []string { return slices.Sorted(slices.Values(r.lines)) }
