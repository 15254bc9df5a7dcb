package broker

import (
	"context"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/wal"
)

func (n *node) drain(t *testing.T) {
	t.Helper()
	if _, err := n.wal.Submit(t.Context(), []metadata.Command{metadata.DrainSession{}}, nil); err != nil {
		t.Fatal(err)
	}
}

func TestDrainingBrokerNamesTheOneThatTakesOver(t *testing.T) { // KIP-951
	w := newWorld(t)
	one, two := w.tcp("a", []metadata.ZoneID{"a"}, nil), w.tcp("a", []metadata.ZoneID{"a"}, nil)
	c, err := net.Dial("tcp", one.zoned["a"])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := &raw{t: t, c: c}
	id := r.makeTopic("t", 1)
	before := r.roundTrip(&kmsg.MetadataRequest{Version: 12}).(*kmsg.MetadataResponse).Topics[0].Partitions[0]
	one.drain(t)
	go one.server.Drain(t.Context())
	for !one.server.draining.Load() {
		time.Sleep(time.Millisecond)
	}
	p := r.roundTrip(produceOf(13, "", id, -1, batchOf(nowMs(), "x"))).(*kmsg.ProduceResponse)
	got := p.Topics[0].Partitions[0]
	if got.ErrorCode != 6 || got.CurrentLeader.LeaderID != int32(two.id) {
		t.Fatalf("produce: %+v", got)
	}
	if before.Leader == int32(one.id) && got.CurrentLeader.LeaderEpoch <= before.LeaderEpoch {
		t.Errorf("leader moved but its epoch did not rise: %d then %d", before.LeaderEpoch, got.CurrentLeader.LeaderEpoch)
	}
	if len(p.Brokers) != 1 || net.JoinHostPort(p.Brokers[0].Host, fmt.Sprint(p.Brokers[0].Port)) != two.zoned["a"] {
		t.Errorf("nodes: %+v", p.Brokers)
	}
	f := r.fetch(fetchOf(16, 0, -1, 1000, fetchWant{id: id}))
	if fp := f.Topics[0].Partitions[0]; fp.ErrorCode != 6 || fp.CurrentLeader.LeaderID != int32(two.id) || len(f.Brokers) != 1 {
		t.Errorf("fetch: %+v", f)
	}
	m := r.roundTrip(&kmsg.MetadataRequest{Version: 12}).(*kmsg.MetadataResponse)
	if len(m.Brokers) != 1 || m.ControllerID != int32(two.id) || m.Topics[0].Partitions[0].Leader != int32(two.id) {
		t.Errorf("metadata while draining: %+v", m)
	}
}

func TestProducerOutlivesADrainWithoutErrorOrRepeat(t *testing.T) {
	w := newWorld(t)
	one := w.tcp("a", []metadata.ZoneID{"a"}, func(c *Config) { c.DefaultPartitions = 4 })
	two := w.tcp("a", []metadata.ZoneID{"a"}, nil)
	ctx := testContext(t)
	cl := two.client(t, "a", kgo.DefaultProduceTopic("t"), kgo.AllowAutoTopicCreation(), kgo.ProducerLinger(0))
	const total = 2000
	drained := make(chan error, 1)
	for i := range total {
		if i == total/2 {
			one.drain(t)
			go func() { drained <- one.server.Drain(ctx) }()
		}
		cl.Produce(ctx, kgo.KeySliceRecord([]byte(fmt.Sprint(i%50)), []byte(fmt.Sprint(i))), func(_ *kgo.Record, err error) {
			if err != nil {
				t.Errorf("produce: %v", err)
			}
		})
		time.Sleep(100 * time.Microsecond)
	}
	if err := cl.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	read := two.client(t, "a", kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	last, seen := map[int]int{}, 0
	for seen < total && ctx.Err() == nil {
		read.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			var i int
			fmt.Sscan(string(r.Value), &i)
			if before, ok := last[i%50]; ok && i <= before {
				t.Errorf("key %d: %d after %d", i%50, i, before)
			}
			last[i%50] = i
			seen++
		})
	}
	if seen != total {
		t.Errorf("read %d of %d", seen, total)
	}
}

func TestOldClientsAreServedByTheirVersions(t *testing.T) {
	w := newWorld(t)
	n := w.tcp("a", []metadata.ZoneID{"a"}, nil)
	ctx := testContext(t)
	for name, versions := range map[string]*kversion.Versions{"1.0": kversion.V1_0_0(), "2.1": kversion.V2_1_0(), "2.8": kversion.V2_8_0(), "4.0": kversion.V4_0_0()} {
		t.Run(name, func(t *testing.T) {
			topic := "t" + name
			cl := n.client(t, "a", kgo.MaxVersions(versions), kgo.DefaultProduceTopic(topic), kgo.ConsumeTopics(topic), kgo.AllowAutoTopicCreation(),
				kgo.ConsumerGroup("g"+name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
			if err := cl.ProduceSync(ctx, kgo.StringRecord("a"), kgo.StringRecord("b")).FirstErr(); err != nil {
				t.Fatal(err)
			}
			for got := 0; got < 2; {
				f := cl.PollFetches(ctx)
				if err := f.Err(); err != nil {
					t.Fatal(err)
				}
				got += f.NumRecords()
			}
			if err := cl.CommitUncommittedOffsets(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

// stuckWriter is a WAL whose memory is full until it is let go.
type stuckWriter struct {
	Writer
	freed chan struct{}
}

func (w stuckWriter) Append(ctx context.Context, b wal.Batch) (Ack, error) {
	select {
	case <-w.freed:
		return w.Writer.Append(ctx, b)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestFullMemoryStopsReadingTheSocketAndNothingElse(t *testing.T) {
	free := make(chan struct{})
	stuck := func(c *Config) { c.Writer = stuckWriter{c.Writer, free} }
	synctest.Test(t, func(t *testing.T) {
		free = make(chan struct{})
		w := newWorld(t)
		ln := newPipeListener()
		n := w.start("a", nil, stuck, func() (net.Listener, string, int32) { return ln, "pipe", 1 })
		r, other := &raw{t: t, c: ln.dial()}, &raw{t: t, c: ln.dial()}
		id := r.makeTopic("t", 1)
		var frames []byte
		const total = 200
		for range total {
			frames = append(frames, r.frame(produceOf(13, "", id, -1, batchOf(nowMs(), string(make([]byte, 1000)))))...)
		}
		go r.c.Write(frames)
		synctest.Wait()
		if used := n.server.frames.used(); used > 10_000 {
			t.Errorf("%d bytes of frames are held for a client that should not be read", used)
		}
		other.roundTrip(kmsg.NewPtrMetadataRequest())
		close(free)
		for range total {
			if _, err := r.answer(); err != nil {
				t.Fatal(err)
			}
		}
		r.c.Close()
		other.c.Close()
		n.close()
	})
}
