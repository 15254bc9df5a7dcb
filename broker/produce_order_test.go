package broker

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/wal"
)

// Clients send on before they hear that a batch was refused. On a partition
// that is new to the producer any sequence looks as good as another: what was
// sent behind a refused batch must not land before it.
func TestWhatFollowsARefusedBatchWaitsForItToComeAgain(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r, other := dial(), dial()
		id := r.makeTopic("t", 1)
		pid := r.roundTrip(kmsg.NewPtrInitProducerIDRequest()).(*kmsg.InitProducerIDResponse).ProducerID
		send := func(r *raw, seq int32) kmsg.ProduceResponseTopicPartition {
			q := produceOf(13, "", id, -1, batchWith(nowMs(), pid, seq, 0, "v"))
			q.Topics[0].Partitions[0].Partition = 1
			return r.roundTrip(q).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		}
		if got := send(r, 0); got.ErrorCode != 3 {
			t.Fatalf("a partition that is not there yet: %+v", got)
		}
		grow := kmsg.NewPtrCreatePartitionsRequest()
		grow.TimeoutMillis = 5000
		grow.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: "t", Count: 2}}
		r.roundTrip(grow)
		if got := send(r, 1); !willRetry(got.ErrorCode) {
			t.Errorf("behind the refused batch: %+v", got)
		}
		for seq := range int32(3) {
			if got := send(r, seq); got.ErrorCode != 0 || got.BaseOffset != int64(seq) {
				t.Errorf("sequence %d, in order: %+v", seq, got)
			}
		}
		if got := send(other, 2); got.ErrorCode != 0 || got.BaseOffset != 2 {
			t.Errorf("a retry by another connection: %+v", got)
		}
	})
}

// A producer's batches are under way when its topic is deleted and made again;
// it learns of the new topic before it hears that the first of them failed.
func TestBatchesDoNotOvertakeOneWhoseTopicIsGone(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r, other := dial(), dial() // the other's requests do not wait behind the producer's
		first := r.makeTopic("t", 1)
		pid := r.roundTrip(kmsg.NewPtrInitProducerIDRequest()).(*kmsg.InitProducerIDResponse).ProducerID
		to := func(id metadata.TopicID, seq int32) *kmsg.ProduceRequest {
			return produceOf(13, "", id, -1, batchWith(nowMs(), pid, seq, 0, "v"))
		}
		code := func(resp kmsg.Response) (int16, int64) {
			p := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
			return p.ErrorCode, p.BaseOffset
		}
		if got, _ := code(r.roundTrip(to(first, 0))); got != 0 {
			t.Fatalf("the first batch: %d", got)
		}
		del := kmsg.NewPtrDeleteTopicsRequest()
		del.Version, del.Topics = 6, []kmsg.DeleteTopicsRequestTopic{{Topic: kmsg.StringPtr("t")}}
		other.roundTrip(del)
		second := other.makeTopic("t", 1)
		sent := []kmsg.Request{to(first, 1), to(second, 2), to(second, 3)}
		for _, q := range sent {
			r.send(q)
		}
		for i, q := range sent {
			if got, _ := code(r.receive(q, r.next-2+int32(i))); !willRetry(got) {
				t.Errorf("batch %d: %d", i+1, got)
			}
		}
		for seq := range int32(3) {
			if got, at := code(r.roundTrip(to(second, 1+seq))); got != 0 || at != int64(seq) {
				t.Errorf("batch %d again: code %d, offset %d, want offset %d", 1+seq, got, at, seq)
			}
		}
		// Other topics are not held up; one that never comes again is not waited
		// for long.
		side := other.makeTopic("side", 1)
		r.roundTrip(to(first, 4))
		if got, _ := code(r.roundTrip(to(side, 1))); got != 0 {
			t.Errorf("to another topic: %d", got)
		}
		q := to(second, 6) // to a partition that is not there yet
		q.Topics[0].Partitions[0].Partition = 1
		r.roundTrip(q)
		grow := kmsg.NewPtrCreatePartitionsRequest()
		grow.TimeoutMillis = 5000
		grow.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: "t", Count: 2}}
		other.roundTrip(grow)
		q = to(second, 7)
		q.Topics[0].Partitions[0].Partition = 1
		if got, _ := code(r.roundTrip(q)); !willRetry(got) {
			t.Errorf("behind one that was refused: %d", got)
		}
		time.Sleep(wal.RefusedTime)
		if got, _ := code(r.roundTrip(q)); got != 0 {
			t.Errorf("behind one that was given up: %d", got)
		}
	})
}

func TestOrderForgetsWhatWasTakenFirst(t *testing.T) {
	var c produceOrder
	first := metadata.BatchHeader{Producer: 7, Epoch: 1, BaseSequence: 5}
	c.recordBatch(orderKey{topic: "kept", producer: 7}, first).Refuse()
	for i := range int32(maxOrderedBatches + 10) {
		c.recordBatch(orderKey{topic: "t", partition: i, producer: 7}, first)
	}
	if len(c.last) > maxOrderedBatches {
		t.Errorf("%d remembered, at most %d", len(c.last), maxOrderedBatches)
	}
	next := first
	next.BaseSequence = 6
	if !c.findPredecessor(orderKey{topic: "kept", producer: 7}, next).Refused() {
		t.Error("what was refused is forgotten before what was taken")
	}
	if c.findPredecessor(orderKey{topic: "kept", producer: 7}, first) != nil {
		t.Error("the refused batch may not come again itself")
	}
	newer := next
	newer.Epoch = 2
	if c.findPredecessor(orderKey{topic: "kept", producer: 7}, newer) != nil {
		t.Error("a producer that began anew waits for its past")
	}
}
