package broker

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// Clients send on before they hear that a batch was refused. On a partition
// that is new to the producer any sequence looks as good as another: what was
// sent behind a refused batch must not land before it.
func TestWhatFollowsARefusedBatchWaitsForItToComeAgain(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r, other := dial(), dial()
		id := r.makeTopic("t", 1)
		pid := r.ask(kmsg.NewPtrInitProducerIDRequest()).(*kmsg.InitProducerIDResponse).ProducerID
		send := func(r *raw, seq int32) kmsg.ProduceResponseTopicPartition {
			q := produceOf(13, "", id, -1, batchWith(nowMs(), pid, seq, 0, "v"))
			q.Topics[0].Partitions[0].Partition = 1
			return r.ask(q).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		}
		if got := send(r, 0); got.ErrorCode != 3 {
			t.Fatalf("a partition that is not there yet: %+v", got)
		}
		grow := kmsg.NewPtrCreatePartitionsRequest()
		grow.TimeoutMillis = 5000
		grow.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: "t", Count: 2}}
		r.ask(grow)
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

func TestOrderForgetsWhatWasTakenFirst(t *testing.T) {
	var c produceOrder
	first := metadata.BatchHeader{Producer: 7, Epoch: 1, BaseSequence: 5}
	c.note(orderKey{topic: "kept", producer: 7}, first).Refuse()
	for i := range int32(maxOrdered + 10) {
		c.note(orderKey{topic: "t", partition: i, producer: 7}, first)
	}
	if len(c.last) > maxOrdered {
		t.Errorf("%d remembered, at most %d", len(c.last), maxOrdered)
	}
	next := first
	next.BaseSequence = 6
	if !c.behind(orderKey{topic: "kept", producer: 7}, next).Refused() {
		t.Error("what was refused is forgotten before what was taken")
	}
	if c.behind(orderKey{topic: "kept", producer: 7}, first) != nil {
		t.Error("the refused batch may not come again itself")
	}
	newer := next
	newer.Epoch = 2
	if c.behind(orderKey{topic: "kept", producer: 7}, newer) != nil {
		t.Error("a producer that began anew waits for its past")
	}
}
