package groups

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/zonewise/zonewise/metadata"
)

func TestNoPartitionIsReadTwiceAndAllAreReadInTheEnd(t *testing.T) {
	for seed := range uint64(120) {
		w := newConsumerGroupWorld(t, seed)
		for i := range 600 {
			w.step(i)
		}
		if len(w.clients) == 0 {
			w.join()
		}
		w.settle()
		rest := 0
		for _, p := range w.r.members {
			rest += boolToInt(w.r.isReconciled(p))
		}
		if s := w.r.stateName(); s != "Stable" || rest != w.r.reconciledMembers {
			t.Fatalf("seed %d: state %s after everybody had its say", seed, s)
		}
		want := map[metadata.TopicPartition]bool{}
		for _, c := range w.clients {
			for _, name := range c.names {
				topic := w.topics.topics[name]
				for p := range topic.partitions {
					want[metadata.TopicPartition{Topic: topic.id, Partition: metadata.Partition(p)}] = true
				}
			}
		}
		for _, c := range w.clients {
			for _, tp := range c.owned {
				if !want[tp] {
					t.Fatalf("seed %d: %s reads %v, which nobody subscribes to or another reads", seed, c.id, tp)
				}
				delete(want, tp)
			}
		}
		if len(want) > 0 {
			t.Fatalf("seed %d: nobody reads %v", seed, want)
		}
		// Another coordinator goes on without a change.
		epoch, moves := w.r.epoch, w.moves
		w.fresh()
		w.settle()
		if w.r.epoch != epoch || w.moves != moves {
			t.Fatalf("seed %d: a new coordinator moved %d partitions, epoch %d after %d", seed, w.moves-moves, w.r.epoch, epoch)
		}
	}
}

// What an answer says is written before; where that fails, so does the answer,
// and the same is written again, in order, before anything moves on.
func TestAnswersWaitForTheirWrite(t *testing.T) {
	w := newConsumerGroupWorld(t, 1)
	var out []consumerHeartbeatResult
	b := &consumerHeartbeat{id: "a", rebalanceTimeout: time.Minute, topicNames: []string{"a"}, reportsOwned: true, isFullRequest: true, timeouts: w.r.timeouts, reply: func(r consumerHeartbeatResult) { out = append(out, r) }}
	w.r.handleConsumerHeartbeat(w.now, b)
	if len(out) != 0 || !w.r.writeBuffer.shouldWrite(w.now) {
		t.Fatalf("answered %+v with nothing written", out)
	}
	first := w.r.takeBatch(1)
	w.r.writeBuffer.completeBatch(w.now, kerr.CoordinatorNotAvailable.Code)
	if len(out) != 1 || out[0].code != kerr.CoordinatorNotAvailable.Code || w.r.writeBuffer.shouldWrite(w.now) {
		t.Fatalf("answered %+v to a write that failed", out)
	}
	w.r.handleConsumerHeartbeat(w.now, b)
	if len(out) != 2 || out[1].code != kerr.CoordinatorNotAvailable.Code {
		t.Fatalf("moved on: %+v", out)
	}
	w.now = w.now.Add(writeRetryDelay)
	if !w.r.writeBuffer.shouldWrite(w.now) {
		t.Fatal("nothing is written again")
	}
	again := w.r.takeBatch(1)
	if fmt.Sprint(again.entries) != fmt.Sprint(first.entries) {
		t.Errorf("written again: %v, was %v", again.entries, first.entries)
	}
	w.r.writeBuffer.completeBatch(w.now, noError)
	w.r.handleConsumerHeartbeat(w.now, b)
	if len(out) != 3 || out[2].code != noError || out[2].epoch != 2 || len(out[2].assigned) != 6 {
		t.Fatalf("%+v", out)
	}
}

// A write of several entries that was cut off in the middle may leave a
// partition with who gave it up, beside who has it now.
func TestAPartitionOfTwoIsTheLaterOnes(t *testing.T) {
	w := newConsumerGroupWorld(t, 1)
	topic := w.topics.topics["a"].id
	ranges := func(first, n, since int32) []metadata.HeldRange {
		return []metadata.HeldRange{{PartitionRange: metadata.PartitionRange{Topic: topic, First: metadata.Partition(first), Count: n}, Since: since}}
	}
	member := func(id string, epoch int32, has []metadata.HeldRange) metadata.MemberView {
		return metadata.MemberView{ConsumerMember: metadata.ConsumerMember{ID: id, Topics: []string{"a"}, RebalanceTimeoutMs: 60_000},
			Assignment: metadata.MemberAssignment{Epoch: epoch, Assigned: has}}
	}
	later, earlier := member("a", 3, ranges(3, 3, 3)), member("z", 2, ranges(0, 6, 2))
	later.Target = []metadata.PartitionRange{{Topic: topic, First: 3, Count: 3}}
	earlier.Target = []metadata.PartitionRange{{Topic: topic, First: 0, Count: 3}}
	w.log.head = &metadata.ConsumerGroup{Epoch: 3, AssignmentEpoch: 3, Members: 2}
	w.log.members["a"], w.log.members["z"] = &later, &earlier
	w.fresh()
	z := &heartbeatClient{id: "z", epoch: 2, owned: metadata.Partitions([]metadata.PartitionRange{{Topic: topic, First: 0, Count: 3}})}
	w.sendHeartbeat(z, false)
	if z.epoch != 3 || len(z.assigned) != 3 {
		t.Fatalf("epoch %d, %v", z.epoch, z.assigned)
	}
	for p := range metadata.Partition(6) {
		want := holding{"z", 2}
		if p >= 3 {
			want = holding{"a", 3}
		}
		if got := w.r.owners[metadata.TopicPartition{Topic: topic, Partition: p}]; got != want {
			t.Errorf("partition %d: %+v, want %+v", p, got, want)
		}
	}
}
