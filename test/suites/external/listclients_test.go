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

	"github.com/zonewise/zonewise/test/listappend"
	"github.com/zonewise/zonewise/test/testenv/cluster"
)

const (
	listProducers  = 12
	listPartitions = 10
	// listTimeout is the transaction timeout: short, so that a client that was cut off
	// loses some transactions to it.
	listTimeout = 15 * time.Second
	// listCallTimeout bounds one call of a client; after it the client is recreated.
	listCallTimeout = 45 * time.Second
)

// listRun is one run: its topic, its clients, and what they saw.
type listRun struct {
	c     *cluster.Cluster
	topic string
	began time.Time
	value atomic.Int64

	mu      sync.Mutex // guards history and errs
	history []listappend.Transaction
	errs    map[string]int
}

// historyTime is the clock of the history.
func (l *listRun) historyTime() int64 { return int64(time.Since(l.began)) }

func (l *listRun) addTransaction(t listappend.Transaction) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.history = append(l.history, t)
}

func (l *listRun) countError(what string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errs[what+": "+err.Error()]++
}

// seedBrokers returns the listeners of a zone on all brokers, the zone's own first.
func (l *listRun) seedBrokers(zone int) kgo.Opt {
	var all []string
	for i := range l.c.Brokers {
		all = append(all, l.c.Bootstrap((zone+i)%len(l.c.Brokers), zone))
	}
	return kgo.SeedBrokers(all...)
}

// listConsumer reads committed records of all partitions from the start.
type listConsumer struct {
	run      *listRun
	client   *kgo.Client
	assigned map[int]bool // partitions of which it received records
}

func (l *listRun) newConsumer(zone int) (*listConsumer, error) {
	from := map[int32]kgo.Offset{}
	for p := range int32(listPartitions) {
		from[p] = kgo.NewOffset().At(0)
	}
	k, err := kgo.NewClient(l.seedBrokers(zone), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{l.topic: from}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(200*time.Millisecond))
	return &listConsumer{run: l, client: k, assigned: map[int]bool{}}, err
}

// pollOps returns what a consumer receives within some time, by partition.
func (c *listConsumer) pollOps(ctx context.Context, patience time.Duration) (ops []listappend.Op) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	fetches := c.client.PollFetches(ctx)
	at := c.run.historyTime()
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if f.Err != nil && !errors.Is(f.Err, context.DeadlineExceeded) && !errors.Is(f.Err, context.Canceled) {
			c.run.countError("fetch", f.Err)
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
				v = -1 // no transaction sent it: the checker reports that
			}
			op.Read = append(op.Read, listappend.Record{Offset: r.Offset, Value: listappend.Value(v)})
		}
		ops = append(ops, op)
	})
	return ops
}

// runReader polls until ctx ends.
func (l *listRun) runReader(ctx context.Context, process, zone int) {
	c, err := l.newConsumer(zone)
	if err != nil {
		l.countError("start a reader", err)
		return
	}
	defer c.client.Close()
	for ctx.Err() == nil {
		if ops := c.pollOps(ctx, time.Second); len(ops) > 0 {
			l.addTransaction(listappend.Transaction{Process: process, Status: listappend.Committed, Ops: ops})
		}
	}
}

// listProducer is one process: transactions one after the other, under one id.
type listProducer struct {
	run      *listRun
	process  int
	r        *rand.Rand
	client   *kgo.Client // nil: not created yet
	consumer *listConsumer
}

// Every second process uses the protocol of Kafka 3.6, before KIP-890.
func (p *listProducer) newClient() (err error) {
	o := []kgo.Opt{p.run.seedBrokers(p.process % 3), kgo.TransactionalID(fmt.Sprintf("%s-%d", p.run.topic, p.process)), kgo.TransactionTimeout(listTimeout),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0), kgo.DefaultProduceTopic(p.run.topic)}
	if p.process%2 == 1 {
		o = append(o, kgo.MaxVersions(kversion.V3_6_0()))
	}
	p.client, err = kgo.NewClient(o...)
	return err
}

// runTransactions runs transactions until stop ends; the last one is finished.
func (p *listProducer) runTransactions(stop context.Context) {
	var err error
	if p.consumer, err = p.run.newConsumer(p.process % 3); err != nil {
		p.run.countError("start a consumer", err)
		return
	}
	defer p.consumer.client.Close()
	for stop.Err() == nil {
		if p.client == nil {
			if err := p.newClient(); err != nil {
				p.run.countError("start a producer", err)
				return
			}
		}
		if !p.runTransaction() {
			p.client.Close()
			p.client = nil
			time.Sleep(100 * time.Millisecond) // do not flood a cluster in trouble
		}
	}
	if p.client != nil {
		p.client.Close()
	}
}

// runTransaction runs one transaction; it returns false if the client must be recreated.
func (p *listProducer) runTransaction() bool {
	if err := p.client.BeginTransaction(); err != nil {
		p.run.countError("begin", err)
		return false
	}
	t := listappend.Transaction{Process: p.process, Status: listappend.Aborted}
	defer func() { p.run.addTransaction(t) }()
	if p.r.IntN(3) == 0 {
		t.Ops = append(t.Ops, p.consumer.pollOps(context.Background(), 50*time.Millisecond)...)
	}
	sent, err := p.appendValues(1 + p.r.IntN(4))
	t.Ops = append(t.Ops, sent...)
	if p.r.IntN(3) == 0 {
		t.Ops = append(t.Ops, p.consumer.pollOps(context.Background(), 50*time.Millisecond)...)
	}
	if err == nil && p.r.IntN(6) > 0 {
		t.Ending = p.run.historyTime()
		patience := listCallTimeout
		if p.r.IntN(20) == 0 {
			patience = time.Duration(p.r.IntN(100)) * time.Millisecond // a client that does not wait for the response
		}
		if err = p.endTransaction(kgo.TryCommit, patience); err == nil {
			t.Status = listappend.Committed
			return true
		}
		if !errors.Is(err, kerr.OperationNotAttempted) && !errors.Is(err, kerr.TransactionAbortable) {
			t.Status = listappend.Info
		}
		p.run.countError("commit", err)
	} else if err != nil {
		p.run.countError("send", err)
	}
	if err := p.endTransaction(kgo.TryAbort, listCallTimeout); err != nil {
		p.run.countError("abort", err)
		return false
	}
	return true
}

func (p *listProducer) endTransaction(how kgo.TransactionEndTry, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if how == kgo.TryAbort {
		if err := p.client.AbortBufferedRecords(ctx); err != nil {
			return err
		}
	}
	return p.client.EndTransaction(ctx, how)
}

// appendValues sends n values and waits for every acknowledgement.
func (p *listProducer) appendValues(n int) ([]listappend.Op, error) {
	ctx, cancel := context.WithTimeout(context.Background(), listCallTimeout)
	defer cancel()
	ops, errs := make([]listappend.Op, n), make([]error, n)
	var wait sync.WaitGroup
	for i := range n {
		part, v := p.r.IntN(listPartitions), p.run.value.Add(1)
		ops[i] = listappend.Op{Kind: listappend.Send, Partition: part, Sent: listappend.Record{Offset: listappend.Unknown, Value: listappend.Value(v)}}
		wait.Add(1)
		p.client.Produce(ctx, &kgo.Record{Partition: int32(part), Value: strconv.AppendInt(nil, v, 10)}, func(r *kgo.Record, err error) {
			defer wait.Done()
			if errs[i] = err; err == nil {
				ops[i].Sent.Offset = r.Offset
			}
		})
	}
	wait.Wait()
	return ops, errors.Join(errs...)
}

// readWhole appends a last value to every partition; then a new reader in each zone
// reads up to it: an open transaction, or a gap, would stop them.
func (l *listRun) readWhole(process int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	last, err := l.appendLast(ctx, process)
	if err != nil {
		return err
	}
	for z := range cluster.Zones {
		c, err := l.newConsumer(z)
		if err != nil {
			return err
		}
		defer c.client.Close()
		for left := len(last); left > 0; {
			ops := c.pollOps(ctx, 5*time.Second)
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
			l.addTransaction(listappend.Transaction{Process: process + 1 + z, Status: listappend.Committed, Ops: ops})
		}
	}
	return nil
}

// appendLast commits one value on every partition.
func (l *listRun) appendLast(ctx context.Context, process int) (map[listappend.Value]bool, error) {
	k, err := kgo.NewClient(l.seedBrokers(0), kgo.DefaultProduceTopic(l.topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
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
	l.addTransaction(t)
	return last, nil
}
