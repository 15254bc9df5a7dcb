package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/zonewise/zonewise/metadata"
)

// etl copies a topic exactly once with transactional consumers in three zones,
// a part of whose transactions is aborted.
func etl(t *testing.T, more ...kgo.Opt) (epoch int16) {
	w := newWorld(t)
	zones := []metadata.ZoneID{"a", "b", "c"}
	var nodes []*node
	for _, z := range zones {
		nodes = append(nodes, w.tcp(z, zones, nil))
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	seed := func(i int) kgo.Opt { return kgo.SeedBrokers(nodes[i].zoned[zones[i]]) }
	open := func(opts ...kgo.Opt) *kgo.Client {
		cl, err := kgo.NewClient(append(opts, more...)...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cl.Close)
		return cl
	}
	in := open(seed(0), kgo.ProducerLinger(0))
	if _, err := kadm.NewClient(in).CreateTopics(ctx, 6, 3, nil, "in", "out"); err != nil {
		t.Fatal(err)
	}
	const total = 3000
	for i := range total {
		in.Produce(ctx, &kgo.Record{Topic: "in", Value: fmt.Appendf(nil, "%06d", i)}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Errorf("produce: %v", err)
			}
		})
	}
	if err := in.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	var aborts, copied atomic.Int64
	var wg sync.WaitGroup
	done, stop := context.WithCancel(ctx)
	for i := range 3 {
		sess, err := kgo.NewGroupTransactSession(append([]kgo.Opt{seed(i), kgo.TransactionalID(fmt.Sprintf("etl-%d", i)), kgo.ConsumerGroup("etl"), kgo.ConsumeTopics("in"),
			kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
			kgo.DefaultProduceTopic("out"), kgo.FetchMaxWait(50 * time.Millisecond)}, more...)...)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer sess.Close()
			for n := 0; done.Err() == nil; n++ {
				fetches := sess.PollRecords(done, 100)
				if done.Err() != nil {
					return
				}
				if err := sess.Begin(); err != nil {
					t.Errorf("begin: %v", err)
					return
				}
				count := int64(0)
				fetches.EachRecord(func(r *kgo.Record) {
					count++
					sess.Produce(ctx, kgo.SliceRecord(r.Value), nil)
				})
				commit := kgo.TransactionEndTry(n%4 != 2)
				ended, err := sess.End(ctx, commit)
				switch {
				case err != nil:
					t.Errorf("end: %v", err)
					return
				case ended:
					copied.Add(count)
				case commit == kgo.TryAbort:
					aborts.Add(1)
				}
			}
		})
	}
	out := open(seed(1), kgo.ConsumeTopics("out"), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(50*time.Millisecond))
	seen := map[string]int{}
	for len(seen) < total {
		f := out.PollFetches(ctx)
		if ctx.Err() != nil {
			break
		}
		f.EachError(func(topic string, p int32, err error) {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("fetch %s %d: %v", topic, p, err)
			}
		})
		f.EachRecord(func(r *kgo.Record) { seen[string(r.Value)]++ })
	}
	stop()
	wg.Wait()
	for v, n := range seen {
		if n != 1 {
			t.Errorf("%s was read %d times", v, n)
		}
	}
	if len(seen) != total || aborts.Load() == 0 {
		t.Fatalf("%d of %d records, %d aborts, %d copied", len(seen), total, aborts.Load(), copied.Load())
	}
	nodes[0].replica.View(func(s *metadata.State) {
		for _, id := range s.Txns() {
			v, _ := s.Txn(id)
			epoch = max(epoch, int16(v.Epoch))
		}
	})
	return epoch
}

// KIP-890: the epoch rises with every transaction.
func TestCopiedExactlyOnceWithTheNewerProtocol(t *testing.T) {
	if epoch := etl(t); epoch < 5 {
		t.Fatalf("the greatest epoch is %d: this was not the newer protocol", epoch)
	}
}

// What Kafka 3.9 spoke: partitions and groups are named ahead.
func TestCopiedExactlyOnceWithTheOlderProtocol(t *testing.T) {
	if epoch := etl(t, kgo.MaxVersions(kversion.V3_6_0())); epoch > 1 {
		t.Fatalf("the greatest epoch is %d: this was not the older protocol", epoch)
	}
}

// A second producer of a transactional id ends what the first had under way,
// and the first is told that it is fenced.
func TestTheNewestProducerOfATransactionalIDWins(t *testing.T) {
	w := newWorld(t)
	a, b := w.tcp("a", nil, nil), w.tcp("b", nil, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	open := func(n *node) *kgo.Client {
		cl, err := kgo.NewClient(kgo.SeedBrokers(n.addr), kgo.TransactionalID("only"), kgo.DefaultProduceTopic("t"), kgo.AllowAutoTopicCreation(), kgo.ProducerLinger(0))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cl.Close)
		return cl
	}
	first, second := open(a), open(b)
	if err := first.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := first.ProduceSync(ctx, kgo.StringRecord("lost")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := second.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := second.ProduceSync(ctx, kgo.StringRecord("kept")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := second.EndTransaction(ctx, kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	if err := first.ProduceSync(ctx, kgo.StringRecord("late")).FirstErr(); err == nil {
		t.Fatal("a fenced producer's record was taken")
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(b.addr), kgo.ConsumeTopics("t"), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	var got []string
	for len(got) == 0 && ctx.Err() == nil {
		reader.PollFetches(ctx).EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
	}
	if len(got) != 1 || got[0] != "kept" {
		t.Fatalf("read %q", got)
	}
	admin := kadm.NewClient(reader)
	listed, err := admin.ListTransactions(ctx, nil, nil)
	if err != nil || len(listed) != 1 {
		t.Fatalf("listed %v: %v", listed, err)
	}
	described, err := admin.DescribeTransactions(ctx, "only")
	if err != nil || described["only"].State != "CompleteCommit" {
		t.Fatalf("described %+v: %v", described, err)
	}
}
