package groups

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// commitAt commits partition 0 of each topic under an epoch, and returns the
// codes. A topic that begins with "large-" has more metadata than is taken.
func (c *modern) commitAt(epoch int32, topics ...string) string {
	r := kmsg.NewPtrOffsetCommitRequest()
	r.Version, r.Group, r.Generation, r.MemberID = 9, "g", epoch, c.id
	large := strings.Repeat("x", 4097)
	for _, name := range topics {
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		if strings.HasPrefix(name, "large-") {
			p.Metadata = &large
		}
		topic := kmsg.NewOffsetCommitRequestTopic()
		topic.Topic, topic.Partitions = strings.TrimPrefix(name, "large-"), []kmsg.OffsetCommitRequestTopicPartition{p}
		r.Topics = append(r.Topics, topic)
	}
	var codes []string
	for _, t := range c.n.coord.CommitOffsets(context.Background(), Client{}, r).Topics {
		codes = append(codes, fmt.Sprint(t.Partitions[0].ErrorCode))
	}
	return strings.Join(codes, " ")
}

// subscribe beats with other topics; it says that it has what it has.
func (c *modern) subscribe(t *testing.T, names ...string) {
	t.Helper()
	r := c.request()
	r.RebalanceTimeoutMillis, r.SubscribedTopicNames = 60_000, names
	want(t, "subscribe", c.send(r), noError)
}

// A member's epoch may rise while a commit is on its way: it is good for what
// the member has had since the epoch that it names (KIP-1251), also at the
// next coordinator.
func TestACommitUnderAnOlderEpochIsGoodForWhatWasKept(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		for i, name := range []string{"u", "v"} {
			n.submit(metadata.CreateTopic{ID: metadata.TopicID{7, byte(i)}, Name: name, Partitions: 1, ReplicationFactor: 3})
		}
		a := n.modern("a")
		check := func(epoch int32, wanted string, topics ...string) {
			t.Helper()
			if got := a.commitAt(epoch, topics...); got != wanted {
				t.Errorf("%v under epoch %d of %d: %s, want %s", topics, epoch, a.epoch, got, wanted)
			}
		}
		a.subscribe(t, "t")           // epoch 2
		a.subscribe(t, "t", "u")      // epoch 3
		a.subscribe(t, "t", "u", "v") // epoch 4
		if a.epoch != 4 {
			t.Fatalf("epoch %d", a.epoch)
		}
		held := func() {
			t.Helper()
			check(2, "0", "t")
			check(3, "0 0", "t", "u")
			check(2, "113", "u")
			check(2, "113 113", "t", "u") // one that it had not is the whole commit's
			check(3, "113", "v")
			check(4, "0 0 0", "t", "u", "v")
			check(5, "113", "t")
			check(1, "113", "t")
			check(0, "113", "t")
			check(-1, "113", "t")
			check(2, "0 3", "t", "unknown")
			check(2, "113 3", "u", "unknown")
			check(2, "0 12", "t", "large-u") // what is not stored is not judged
			check(2, "113 113", "u", "large-t")
		}
		held()
		w.log.ExpireSession(n.session.ID())
		n.stop()
		a.n = w.start(2)
		defer a.n.stop()
		a.n.hold("g")
		held()
		// What is to be given up is its until it was.
		a.subscribe(t, "t", "v")
		if a.epoch != 4 || len(a.owned) != 2 {
			t.Fatalf("epoch %d, %v", a.epoch, a.owned)
		}
		held()
		rounds(t, 1, a)
		if a.epoch != 5 {
			t.Fatalf("epoch %d", a.epoch)
		}
		check(4, "113", "u")
		check(2, "0", "t")
		// Given again: since now.
		a.subscribe(t, "t", "u", "v")
		check(5, "113", "u")
		check(6, "0", "u")
	})
}

// The same for a transaction's positions. Before version 6 a stale epoch is
// told as an illegal generation.
func TestATransactionUnderAnOlderEpochIsGoodForWhatWasKept(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		n.submit(metadata.CreateTopic{ID: metadata.TopicID{7}, Name: "u", Partitions: 1, ReplicationFactor: 3})
		a := n.modern("a")
		a.subscribe(t, "t")
		a.subscribe(t, "t", "u")
		for _, row := range []struct {
			version int16
			epoch   int32
			topic   string
			want    int16
		}{
			{6, 2, "t", noError}, {5, 2, "t", noError}, {3, 2, "t", noError}, {6, 3, "u", noError},
			{6, 2, "u", kerr.StaleMemberEpoch.Code}, {5, 2, "u", kerr.IllegalGeneration.Code}, {6, 1, "t", kerr.StaleMemberEpoch.Code}, {6, 4, "t", kerr.StaleMemberEpoch.Code},
		} {
			r := kmsg.NewPtrTxnOffsetCommitRequest()
			r.Version, r.TransactionalID, r.Group, r.MemberID, r.Generation = row.version, "tx", "g", "a", row.epoch
			r.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: row.topic, Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{{Offset: 1}}}}
			got := n.coord.CommitTxnOffsets(context.Background(), Client{}, r).Topics[0].Partitions[0].ErrorCode
			if got == kerr.InvalidProducerIDMapping.Code { // the group let it through; there is no such transaction
				got = noError
			}
			want(t, fmt.Sprint(row), got, row.want)
		}
	})
}

// Who takes an absent static member's place may commit under any epoch, as at
// Kafka, which forgets since when the member had its partitions.
func TestAStaticMembersEpochsEndWhenItGoes(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		instance := "i"
		a, b := n.modern("a"), n.modern("b")
		a.instance, b.instance = &instance, &instance
		a.subscribe(t, "t")
		want(t, "before its epoch", a.commit(9, 1), kerr.StaleMemberEpoch.Code)
		want(t, "goes, to be back", a.leave(-2), noError)
		want(t, "under the epoch it had", a.commit(9, 2), kerr.StaleMemberEpoch.Code)
		rounds(t, 1, b)
		want(t, "its place is taken", a.commit(9, 2), kerr.UnknownMemberID.Code)
		for epoch, code := range map[int32]int16{0: noError, 1: noError, 2: noError, 3: kerr.StaleMemberEpoch.Code, -1: kerr.StaleMemberEpoch.Code} {
			want(t, fmt.Sprint("successor under ", epoch), b.commit(9, epoch), code)
		}
	})
}

// A member that came with its classic group has what it has since the group's
// generation, and one that speaks the classic protocol is told of a generation.
func TestMembersFromAClassicGroupKeepTheirGeneration(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		old := n.consumer("")
		w.gatherConsumers(old)
		c := n.modern("c")
		rounds(t, 1, c)
		want(t, "heartbeat", old.heartbeat(), kerr.RebalanceInProgress.Code)
		kept := old.partitions()
		for range 2 {
			old.own(kept...)
			want(t, "join", old.join(), noError)
			want(t, "sync", old.sync(), noError)
			kept = old.partitions()
		}
		if old.generation != 2 || len(kept) != 2 {
			t.Fatalf("generation %d, %v", old.generation, kept)
		}
		at := func(generation, partition int32) int16 {
			r := old.commitRequest("t", partition, 1)
			r.Generation = generation
			return n.coord.CommitOffsets(context.Background(), Client{}, r).Topics[0].Partitions[0].ErrorCode
		}
		want(t, "its generation", at(2, kept[0]), noError)
		want(t, "the one before", at(1, kept[0]), noError)
		want(t, "before it was a member", at(0, kept[0]), kerr.IllegalGeneration.Code)
		rounds(t, 1, c)
		want(t, "what it gave up", at(1, c.has()[0]), kerr.IllegalGeneration.Code)
	})
}
