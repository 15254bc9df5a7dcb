package broker

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream"
)

// batchesIn counts the batches one behind the other in b.
func batchesIn(t *testing.T, b []byte) (n int) {
	t.Helper()
	for ; len(b) > 0; n++ {
		size := 12 + int(binary.BigEndian.Uint32(b[8:]))
		if size > len(b) {
			t.Fatalf("a batch of %d bytes is cut to %d", size, len(b))
		}
		b = b[size:]
	}
	return n
}

// spread produces rounds of batches of random sizes to random partitions: each
// is a span of its own. It returns each partition's batch sizes.
func (r *raw) spread(rnd *rand.Rand, topic string, partitions, rounds int, size func(partition int) int) [][]int {
	r.t.Helper()
	sizes := make([][]int, partitions)
	for range rounds {
		q := produceOf(9, topic, metadata.TopicID{}, -1)
		q.Topics[0].Partitions = nil
		for p := range partitions {
			if rnd.IntN(3) > 0 {
				continue
			}
			rp := kmsg.NewProduceRequestTopicPartition()
			rp.Partition, rp.Records = int32(p), batchOf(nowMs(), strings.Repeat("v", size(p)))
			q.Topics[0].Partitions = append(q.Topics[0].Partitions, rp)
			sizes[p] = append(sizes[p], len(rp.Records))
		}
		if len(q.Topics[0].Partitions) == 0 {
			continue
		}
		for _, p := range r.roundTrip(q).(*kmsg.ProduceResponse).Topics[0].Partitions {
			if p.ErrorCode != 0 {
				r.t.Fatalf("produce: %d", p.ErrorCode)
			}
		}
	}
	return sizes
}

func TestFetchNeverExceedsItsLimits(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		const partitions = 30
		rnd := rand.New(rand.NewPCG(7, 7))
		r := dial()
		r.makeTopic("t", partitions)
		sizes := r.spread(rnd, "t", partitions, 60, func(p int) int {
			switch p % 10 {
			case 0:
				return 50_000 + rnd.IntN(300_000)
			case 1, 2:
				return 5_000 + rnd.IntN(20_000)
			}
			return rnd.IntN(1500)
		})
		oversized, short, beside := 0, 0, false
		for try := range 600 {
			q := fetchOf(11, 0, -1, 10)
			q.MaxBytes = []int32{0, 1, 500, 5_000, 50_000, 500_000, 1 << 20, 1<<31 - 1}[rnd.IntN(8)]
			each := []int32{0, 1, 300, 3_000, 30_000, 300_000, 1 << 20}[rnd.IntN(7)]
			there := 0
			for _, p := range rnd.Perm(partitions)[:1+rnd.IntN(partitions)] {
				from := rnd.IntN(len(sizes[p]) + 1)
				left := 0
				for _, size := range sizes[p][from:] {
					left += size
				}
				there += min(left, int(each))
				w := fetchOf(11, 0, -1, 0, fetchWant{topic: "t", index: int32(p), offset: int64(from)})
				w.Topics[0].Partitions[0].PartitionMaxBytes = each
				q.Topics = append(q.Topics, w.Topics...)
			}
			limit := int(min(q.MaxBytes, MaxFetchBytes))
			total, with, first := 0, 0, 0
			over := false
			for _, rt := range r.fetch(q).Topics {
				for _, p := range rt.Partitions {
					if p.ErrorCode != 0 {
						t.Fatalf("try %d: error %d", try, p.ErrorCode)
					}
					if len(p.RecordBatches) == 0 {
						continue
					}
					total, with = total+len(p.RecordBatches), with+1
					switch large := len(p.RecordBatches) > int(each); {
					case first == 0:
						first, over = batchesIn(t, p.RecordBatches), large
					case large:
						t.Fatalf("try %d: %d bytes of a partition that is not the first, at most %d", try, len(p.RecordBatches), each)
					}
					beside = beside || over && with > 1
				}
			}
			switch {
			case total > limit && with != 1, (total > limit || over) && first != 1:
				t.Fatalf("try %d: %d bytes of %d partitions; the limits are %d and %d for each", try, total, with, limit, each)
			case total > limit || over:
				oversized++
			case total == 0 && there > 0:
				t.Fatalf("try %d: nothing of %d bytes that are there", try, there)
			case there > 2*limit && limit > 1<<20 && total < limit/2:
				short++
			}
		}
		if oversized == 0 || !beside || short > 0 {
			t.Errorf("%d answers with a large batch (%v: others beside it), %d far below their limit", oversized, beside, short)
		}
		synctest.Wait()
		if used := n.server.responses.used(); used != 0 {
			t.Errorf("%d bytes of answers still held", used)
		}
	})
}

// Every lagging partition of a session gets on, in turn, however many there are.
func TestLaggingPartitionsAllGetOn(t *testing.T) {
	for _, partitions := range []int{8, 300} {
		inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
			rnd := rand.New(rand.NewPCG(3, 3))
			r := dial()
			r.makeTopic("t", int32(partitions))
			sizes := r.spread(rnd, "t", partitions, 30, func(int) int { return 4_000 + rnd.IntN(4_000) })
			offsets := make([]int64, partitions)
			q := fetchOf(11, 0, 0, 10)
			for p := range partitions {
				w := fetchOf(11, 0, 0, 0, fetchWant{topic: "t", index: int32(p)})
				w.Topics[0].Partitions[0].PartitionMaxBytes = 16_000
				q.Topics = append(q.Topics, w.Topics...)
			}
			served := make([]int, partitions)
			for turn := 1; ; turn++ {
				q.MaxBytes = 100_000
				resp := r.fetch(q)
				q = fetchOf(11, resp.SessionID, int32(turn), 10)
				got := 0
				for _, rt := range resp.Topics {
					for _, p := range rt.Partitions {
						k := batchesIn(t, p.RecordBatches)
						if got += k; k == 0 {
							continue
						}
						served[p.Partition]++
						offsets[p.Partition] += int64(k)
						w := fetchOf(11, 0, 0, 0, fetchWant{topic: "t", index: p.Partition, offset: offsets[p.Partition]})
						w.Topics[0].Partitions[0].PartitionMaxBytes = 16_000
						q.Topics = append(q.Topics, w.Topics...)
					}
				}
				if got == 0 {
					break
				}
				least, most := 1<<30, 0
				for p := range partitions {
					if int(offsets[p]) < len(sizes[p]) {
						least = min(least, served[p])
					}
					most = max(most, served[p])
				}
				if least != 1<<30 && most > least+1 {
					t.Fatalf("%d partitions, turn %d: one was served %d times, one that lags %d times", partitions, turn, most, least)
				}
			}
			for p := range partitions {
				if int(offsets[p]) != len(sizes[p]) {
					t.Errorf("partition %d ends at %d of %d", p, offsets[p], len(sizes[p]))
				}
			}
		})
	}
}

// heldReader holds each read for a second, and notes how much is being read.
type heldReader struct {
	Reader
	mu        sync.Mutex
	now, most int
}

func (h *heldReader) Read(ctx context.Context, q s3stream.ReadRequest) (s3stream.ReadResult, error) {
	h.mu.Lock()
	h.now += q.MaxBytes
	h.most = max(h.most, h.now)
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		h.now -= q.MaxBytes
		h.mu.Unlock()
	}()
	time.Sleep(time.Second)
	return h.Reader.Read(ctx, q)
}

func TestFetchesStayWithinTheMemoryForAnswers(t *testing.T) {
	var held *heldReader
	change := func(c *Config) {
		held = &heldReader{Reader: c.Reader}
		c.Reader, c.ResponseBytes = held, 2*MaxFrameBytes
	}
	inBubble(t, change, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		r.makeTopic("t", 40)
		for p := range 40 {
			q := produceOf(9, "t", metadata.TopicID{}, -1, batchOf(nowMs(), strings.Repeat("v", 1<<20-200)))
			q.Topics[0].Partitions[0].Partition = int32(p)
			r.roundTrip(q)
		}
		var all sync.WaitGroup
		for range 50 {
			c := dial()
			all.Go(func() {
				q := fetchOf(11, 0, -1, 10)
				q.MaxBytes = 32 << 20
				for p := range 40 {
					q.Topics = append(q.Topics, fetchOf(11, 0, -1, 0, fetchWant{topic: "t", index: int32(p)}).Topics...)
				}
				if resp := c.fetch(q); len(describeFetch(resp)) == 0 {
					t.Error("an empty answer")
				}
			})
		}
		all.Wait()
		if held.most > 2*MaxFrameBytes || held.most < 32<<20 {
			t.Errorf("%d MiB were read at once, of the %d there are", held.most>>20, 2*MaxFrameBytes>>20)
		}
		synctest.Wait()
		if used := n.server.responses.used(); used != 0 {
			t.Errorf("%d bytes of answers still held", used)
		}
	})
}

// A consumer at the old end after a recovery is given the marker at the end of
// the gap, once; from there it waits as one at the end does, and gets what
// comes next.
func TestAConsumerBelowAGapWaits(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r, p := dial(), dial()
		id := r.makeTopic("t", 1)
		p.roundTrip(produceOf(9, "t", id, -1, batchOf(nowMs(), "before")))
		out, err := n.wal.Submit(t.Context(), []metadata.Command{metadata.RecoverCluster{Incarnation: n.session.ID().Incarnation()}}, nil)
		if err != nil || out.Code != metadata.CodeOK || out.Commands[0].Code != metadata.CodeOK {
			t.Fatalf("jump: %v %+v", err, out)
		}
		resp := r.fetch(fetchOf(11, 0, -1, 500, fetchWant{topic: "t", offset: 1}))
		end := resp.Topics[0].Partitions[0].HighWatermark
		if describeFetch(resp) != "0:0:true " {
			t.Fatalf("below the gap: said %q, want the marker", describeFetch(resp))
		}
		begun := time.Now()
		resp = r.fetch(fetchOf(11, 0, -1, 500, fetchWant{topic: "t", offset: end}))
		if got := resp.Topics[0].Partitions[0]; got.ErrorCode != 0 || got.HighWatermark < 1<<30 || len(got.RecordBatches) > 0 || time.Since(begun) < 500*time.Millisecond {
			t.Fatalf("error %d, high watermark %d, %d bytes after %v; want nothing after 500 ms", got.ErrorCode, got.HighWatermark, len(got.RecordBatches), time.Since(begun))
		}
		r.send(fetchOf(11, 0, -1, 60_000, fetchWant{topic: "t", offset: end}))
		time.Sleep(time.Second)
		p.roundTrip(produceOf(9, "t", id, -1, batchOf(nowMs(), "behind it")))
		resp = r.receive(fetchOf(11, 0, -1, 0), r.next).(*kmsg.FetchResponse)
		if describeFetch(resp) != "0:0:true " {
			t.Errorf("said %q", describeFetch(resp))
		}
	})
}

// brokenReader fails the reads that may go beyond their limit.
type brokenReader struct{ Reader }

func (b brokenReader) Read(ctx context.Context, q s3stream.ReadRequest) (s3stream.ReadResult, error) {
	if q.MinOne {
		return s3stream.ReadResult{}, errors.New("broken")
	}
	return b.Reader.Read(ctx, q)
}

// A first batch that cannot be read keeps no memory, however many follow it.
func TestAnOversizedBatchThatCannotBeReadHoldsNothing(t *testing.T) {
	inBubble(t, func(c *Config) { c.Reader = brokenReader{c.Reader} }, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		r.makeTopic("t", 4)
		for p := range 4 {
			q := produceOf(9, "t", metadata.TopicID{}, -1, batchOf(nowMs(), strings.Repeat("v", 200_000)))
			q.Topics[0].Partitions[0].Partition = int32(p)
			r.roundTrip(q)
		}
		for range 3 {
			q := fetchOf(11, 0, -1, 10)
			for p := range 4 {
				w := fetchOf(11, 0, -1, 0, fetchWant{topic: "t", index: int32(p)})
				w.Topics[0].Partitions[0].PartitionMaxBytes = 100_000
				q.Topics = append(q.Topics, w.Topics...)
			}
			r.fetch(q)
			synctest.Wait()
			if used := n.server.responses.used(); used != 0 {
				t.Fatalf("%d bytes of answers still held", used)
			}
		}
	})
}
