//go:build external

package external

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/zonewise/zonewise/internal/listappend"
	"github.com/zonewise/zonewise/internal/testenv/cluster"
)

const (
	listProducers  = 12
	listPartitions = 10
	// listTimeout is the transactions' own: short, so that a client that was cut
	// off loses some to it.
	listTimeout = 15 * time.Second
	// listPatience bounds one call of a client; beyond it the client is made anew.
	listPatience = 45 * time.Second
)

// lists is one run: its topic, its clients, and what they saw.
type lists struct {
	c     *cluster.Cluster
	topic string
	began time.Time
	value atomic.Int64

	mu      sync.Mutex // guards history and errs
	history []listappend.Transaction
	errs    map[string]int
}

// now is the clock of the history.
func (l *lists) now() int64 { return int64(time.Since(l.began)) }

func (l *lists) record(t listappend.Transaction) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.history = append(l.history, t)
}

func (l *lists) failed(what string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errs[what+": "+err.Error()]++
}

// seeds are all brokers, through the listeners of a zone, its own first.
func (l *lists) seeds(zone int) kgo.Opt {
	var all []string
	for i := range l.c.Brokers {
		all = append(all, l.c.Bootstrap((zone+i)%len(l.c.Brokers), zone))
	}
	return kgo.SeedBrokers(all...)
}

// listConsumer reads committed records of all partitions from the start.
type listConsumer struct {
	l        *lists
	k        *kgo.Client
	assigned map[int]bool // those that it has been handed records of
}

func (l *lists) consumer(zone int) (*listConsumer, error) {
	from := map[int32]kgo.Offset{}
	for p := range int32(listPartitions) {
		from[p] = kgo.NewOffset().At(0)
	}
	k, err := kgo.NewClient(l.seeds(zone), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{l.topic: from}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(200*time.Millisecond))
	return &listConsumer{l: l, k: k, assigned: map[int]bool{}}, err
}

// poll is what a consumer is handed within some time, by partition.
func (c *listConsumer) poll(ctx context.Context, patience time.Duration) (ops []listappend.Op) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	fetches := c.k.PollFetches(ctx)
	at := c.l.now()
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if f.Err != nil && !errors.Is(f.Err, context.DeadlineExceeded) && !errors.Is(f.Err, context.Canceled) {
			c.l.failed("fetch", f.Err)
		}
		if len(f.Records) == 0 {
			return
		}
		p := int(f.Partition)
		op := listappend.Op{Kind: listappend.Poll, Partition: p, At: at, Assigned: !c.assigned[p]}
		c.assigned[p] = true
		for _, r := range f.Records {
			v, err := strconv.ParseInt(string(r.Value), 10, 64)
			if err != nil {
				v = -1 // no transaction sent it: the checker says so
			}
			op.Read = append(op.Read, listappend.Record{Offset: r.Offset, Value: listappend.Value(v)})
		}
		ops = append(ops, op)
	})
	return ops
}

// reader polls until it is told to stop.
func (l *lists) reader(ctx context.Context, process, zone int) {
	c, err := l.consumer(zone)
	if err != nil {
		l.failed("start a reader", err)
		return
	}
	defer c.k.Close()
	for ctx.Err() == nil {
		if ops := c.poll(ctx, time.Second); len(ops) > 0 {
			l.record(listappend.Transaction{Process: process, Status: listappend.Committed, Ops: ops})
		}
	}
}

// listProducer is one process: transactions one after the other, under one id.
type listProducer struct {
	l       *lists
	process int
	r       *rand.Rand
	k       *kgo.Client // nil: to be made
	c       *listConsumer
}

// Each second process speaks the protocol of Kafka 3.6: before KIP-890.
func (p *listProducer) open() (err error) {
	o := []kgo.Opt{p.l.seeds(p.process % 3), kgo.TransactionalID(fmt.Sprintf("%s-%d", p.l.topic, p.process)), kgo.TransactionTimeout(listTimeout),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0), kgo.DefaultProduceTopic(p.l.topic)}
	if p.process%2 == 1 {
		o = append(o, kgo.MaxVersions(kversion.V3_6_0()))
	}
	p.k, err = kgo.NewClient(o...)
	return err
}

// run makes transactions until it is told to stop; the last one is finished.
func (p *listProducer) run(stop context.Context) {
	var err error
	if p.c, err = p.l.consumer(p.process % 3); err != nil {
		p.l.failed("start a consumer", err)
		return
	}
	defer p.c.k.Close()
	for stop.Err() == nil {
		if p.k == nil {
			if err := p.open(); err != nil {
				p.l.failed("start a producer", err)
				return
			}
		}
		if !p.transaction() {
			p.k.Close()
			p.k = nil
			time.Sleep(100 * time.Millisecond) // do not flood a cluster in trouble
		}
	}
	if p.k != nil {
		p.k.Close()
	}
}

// transaction makes one; it says false when the client is to be made anew.
func (p *listProducer) transaction() bool {
	if err := p.k.BeginTransaction(); err != nil {
		p.l.failed("begin", err)
		return false
	}
	t := listappend.Transaction{Process: p.process, Status: listappend.Aborted}
	defer func() { p.l.record(t) }()
	if p.r.IntN(3) == 0 {
		t.Ops = append(t.Ops, p.c.poll(context.Background(), 50*time.Millisecond)...)
	}
	sent, err := p.appends(1 + p.r.IntN(4))
	t.Ops = append(t.Ops, sent...)
	if p.r.IntN(3) == 0 {
		t.Ops = append(t.Ops, p.c.poll(context.Background(), 50*time.Millisecond)...)
	}
	if err == nil && p.r.IntN(6) > 0 {
		t.Ending = p.l.now()
		patience := listPatience
		if p.r.IntN(20) == 0 {
			patience = time.Duration(p.r.IntN(100)) * time.Millisecond // a client that does not wait for the answer
		}
		if err = p.end(kgo.TryCommit, patience); err == nil {
			t.Status = listappend.Committed
			return true
		}
		if !errors.Is(err, kerr.OperationNotAttempted) && !errors.Is(err, kerr.TransactionAbortable) {
			t.Status = listappend.Info
		}
		p.l.failed("commit", err)
	} else if err != nil {
		p.l.failed("send", err)
	}
	if err := p.end(kgo.TryAbort, listPatience); err != nil {
		p.l.failed("abort", err)
		return false
	}
	return true
}

func (p *listProducer) end(how kgo.TransactionEndTry, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if how == kgo.TryAbort {
		if err := p.k.AbortBufferedRecords(ctx); err != nil {
			return err
		}
	}
	return p.k.EndTransaction(ctx, how)
}

// appends sends n values and waits for every acknowledgement.
func (p *listProducer) appends(n int) ([]listappend.Op, error) {
	ctx, cancel := context.WithTimeout(context.Background(), listPatience)
	defer cancel()
	ops, errs := make([]listappend.Op, n), make([]error, n)
	var wait sync.WaitGroup
	for i := range n {
		part, v := p.r.IntN(listPartitions), p.l.value.Add(1)
		ops[i] = listappend.Op{Kind: listappend.Send, Partition: part, Sent: listappend.Record{Offset: listappend.Unknown, Value: listappend.Value(v)}}
		wait.Add(1)
		p.k.Produce(ctx, &kgo.Record{Partition: int32(part), Value: strconv.AppendInt(nil, v, 10)}, func(r *kgo.Record, err error) {
			defer wait.Done()
			if errs[i] = err; err == nil {
				ops[i].Sent.Offset = r.Offset
			}
		})
	}
	wait.Wait()
	return ops, errors.Join(errs...)
}

// readWhole appends a last value to every partition, after which a new reader
// in each zone reads up to it: an open transaction, or a hole, would stop them.
func (l *lists) readWhole(process int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	last, err := l.bolt(ctx, process)
	if err != nil {
		return err
	}
	for z := range cluster.Zones {
		c, err := l.consumer(z)
		if err != nil {
			return err
		}
		defer c.k.Close()
		for left := len(last); left > 0; {
			ops := c.poll(ctx, 5*time.Second)
			if ctx.Err() != nil {
				return fmt.Errorf("the last reader of zone %d is short of the end of %d partitions", z, left)
			}
			for _, op := range ops {
				for _, r := range op.Read {
					if last[r.Value] {
						left--
					}
				}
			}
			l.record(listappend.Transaction{Process: process + 1 + z, Status: listappend.Committed, Ops: ops})
		}
	}
	return nil
}

// bolt commits one value on every partition.
func (l *lists) bolt(ctx context.Context, process int) (map[listappend.Value]bool, error) {
	k, err := kgo.NewClient(l.seeds(0), kgo.DefaultProduceTopic(l.topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return nil, err
	}
	defer k.Close()
	t := listappend.Transaction{Process: process, Status: listappend.Committed}
	last := map[listappend.Value]bool{}
	for part := range listPartitions {
		v := l.value.Add(1)
		r, err := k.ProduceSync(ctx, &kgo.Record{Partition: int32(part), Value: strconv.AppendInt(nil, v, 10)}).First()
		if err != nil {
			return nil, fmt.Errorf("send a last record: %w", err)
		}
		last[listappend.Value(v)] = true
		t.Ops = append(t.Ops, listappend.Op{Kind: listappend.Send, Partition: part, Sent: listappend.Record{Offset: r.Offset, Value: listappend.Value(v)}})
	}
	l.record(t)
	return last, nil
}
