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
	Quiet   bool // no faults: the control run
	Entries bool // list the log's entries behind the trace
	Logger  *slog.Logger
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
	apps    []*app
	entries []string       // that are in archives and etcd at the end
	left    int            // objects that dead sessions left behind
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
	for _, m := range r.seen.moves {
		r.history.Risked += int(m[1])
	}
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
	res.lines = append(res.lines, r.entries...)
	return res
}

// topic is one that a run creates and produces to.
type topic struct {
	name       string
	partitions int32
	latency    string
}

func topics() []topic {
	return []topic{{"fast", 2, "low"}, {"bulk", 3, "standard"}, {"trim", 1, "standard"}, {"grow", 1, "low"}, {"pay", 2, "low"}, {"ship", 2, "standard"}, {knocks, 4, "low"}, {moving, 2, "standard"}}
}

func (r *run) live() {
	for i, name := range []string{"a0", "b0", "c0", "a1"} {
		p := r.newProcess(name, metadata.ZoneID(name[:1]))
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
	r.startOthers()
	r.plan()
	r.setCalm()
	close(r.stop)
	if !r.waitFor(settleTime, r.clients.Wait) {
		r.history.wrong("not everything was acknowledged within %v after the last fault", settleTime)
	}
	r.trace("calm: all is acknowledged")
	r.allReady()
	r.trace("calm: all serve")
	r.nothingOpen()
	r.trace("calm: nothing is open")
	r.readersThere()
	r.trace("calm: readers are there")
	time.Sleep(8 * time.Second) // entries name what uploads left behind
	cancel()
	r.tails.Wait()
	r.lastLook()
	r.committedAtEnd()
	r.lookAtLedger()
	r.checkBucket()
}

// readersThere waits until every reader has read what there is.
func (r *run) readersThere() {
	end := time.Now().Add(readyTime)
	for time.Now().Before(end) {
		time.Sleep(100*time.Millisecond + 1)
		behind := false
		next := r.ends()
		r.history.note(func() {
			for key, at := range r.history.Ends {
				_, tp, _ := strings.Cut(key, " ")
				behind = behind || at < next[tp]
			}
		})
		if !behind {
			return
		}
	}
}

// ends are the ends of all partitions as the first broker that is up knows
// them.
func (r *run) ends() map[string]int64 {
	next := map[string]int64{}
	l := r.anyLife()
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

// A cluster begins with so many brokers in so many zones.
const brokers, zones = 4, 3

// addrs are the addresses a client tries, beginning with the first-th process.
func (r *run) addrs(first int) (out []string) {
	for i := range brokers {
		p := r.processes[(first+i)%brokers]
		out = append(out, p.addr(-1), p.addr(first%zones))
	}
	return out
}

func (r *run) createTopics() error {
	c := &client{w: r.world, name: "setup", addrs: r.addrs(0)}
	defer c.drop()
	for _, t := range topics() {
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
		if i%3 == 0 { // it goes to another broker while the first is merely slow
			p.patience = 150*time.Millisecond + time.Duration(r.draw("patience", p.name, 0)%400_000_000)
		}
		r.clients.Go(func() {
			time.Sleep(p.start())
			p.run(r.ctx, r.stop)
		})
	}
	for i := range 4 {
		t := topics()[i]
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

// startOthers starts everybody but producers and readers.
func (r *run) startOthers() {
	late := r.newProducer("late", true, r.addrs(2), TP{"grow", 1}, TP{"grow", 2})
	r.clients.Go(func() {
		time.Sleep(4*time.Second + late.start())
		late.run(r.ctx, r.stop)
	})
	more := r.newReader("r-late", r.addrs(0), "grow", 1, 2)
	k := &committer{client: client{w: r.world, name: "committer", addrs: r.addrs(1)}, group: "offsets", tps: []TP{{"fast", 0}, {"bulk", 2}}, offset: map[TP]int64{}}
	a := &admin{client: client{w: r.world, name: "admin", addrs: r.addrs(2)}, r: r}
	r.tails.Go(func() { time.Sleep(4*time.Second + more.start()); more.run(r.tailing) })
	r.tails.Go(func() { time.Sleep(k.start()); k.run(r.tailing) })
	r.tails.Go(a.run)
	for i := range 3 {
		m := &member{client: client{w: r.world, name: fmt.Sprintf("m%d", i), addrs: r.addrs(i)}, group: "team", topic: "bulk", parts: 3}
		r.tails.Go(func() {
			time.Sleep(time.Duration(i)*time.Second + m.start())
			m.run(r.tailing)
		})
	}
	r.startConsumers()
	r.startMovers()
	temp := &temper{client: client{w: r.world, name: "temp", addrs: r.addrs(3)}}
	lanes := &temper{client: client{w: r.world, name: "lanes", addrs: r.addrs(0)}}
	r.tails.Go(func() { time.Sleep(time.Second + temp.start()); temp.run(r.tailing) })
	crowd := &crowd{temper{client: client{w: r.world, name: "crowd", addrs: r.addrs(1)}}}
	if r.limits() != nil {
		r.tails.Go(func() { time.Sleep(3*time.Second + crowd.start()); crowd.run(r.tailing) })
	}
	r.tails.Go(func() { time.Sleep(time.Second + lanes.start()); lanes.moveLanes(r.tailing, "bulk") })
	r.tails.Go(r.sampleHashes)
	r.startApps()
}

// sampleHashes notes every broker's state now and then.
func (r *run) sampleHashes() {
	for n := 0; r.tailing.Err() == nil; n++ {
		for _, p := range r.processes {
			if l := p.now.Load(); l != nil {
				r.noteHash(l)
				r.sawLife(l)
			}
		}
		select {
		case <-time.After(100*time.Millisecond + time.Duration(r.draw("hash", "", n)%50_000_000)):
		case <-r.tailing.Done():
		}
	}
}

// start is when a client begins: no two at one instant.
func (c *client) start() time.Duration {
	return 1 + time.Duration(c.w.draw("start", c.name, 0)%50_000_000)
}

func (r Result) sorted() []string { return slices.Sorted(slices.Values(r.lines)) }
