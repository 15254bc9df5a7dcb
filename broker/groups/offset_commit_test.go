package groups

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// The fencing table of OffsetCommit.
func TestCommitFencing(t *testing.T) {
	stranger := "i-unknown"
	taken := "i-b"
	type ask struct {
		name       string
		generation int32
		id         string // "a": the member's own
		instance   *string
		version    int16
		want       int16
	}
	check := func(t *testing.T, n *node, a *consumer, table []ask) {
		t.Helper()
		for _, row := range table {
			r := a.commitRequest("t", 1, 5)
			r.Version, r.Generation, r.MemberID, r.InstanceID = row.version, row.generation, row.id, row.instance
			if row.id == "a" {
				r.MemberID = a.id
			}
			got := n.coord.CommitOffsets(context.Background(), Client{}, r).Topics[0].Partitions[0].ErrorCode
			if got != row.want {
				t.Errorf("%s: code %d, want %d", row.name, got, row.want)
			}
		}
	}
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		a := n.consumer("")
		check(t, n, a, []ask{
			{"no group, generation, before v9", 3, "x", nil, 8, kerr.IllegalGeneration.Code},
			{"no group, generation, v9", 3, "x", nil, 9, kerr.GroupIDNotFound.Code},
			{"no group, no generation", -1, "", nil, 8, noError},
			{"simple group, generation", 3, "x", nil, 9, kerr.UnknownMemberID.Code},
			{"simple group, member without generation", -1, "x", nil, 9, noError},
		})
		b := n.consumer("i-b")
		w.gather(a, b)
		check(t, n, a, []ask{
			{"stable, all right", 1, "a", nil, 8, noError},
			{"stable, old generation", 0, "a", nil, 8, kerr.IllegalGeneration.Code},
			{"stable, no generation", -1, "a", nil, 8, kerr.IllegalGeneration.Code},
			{"stable, nobody", -1, "", nil, 8, kerr.UnknownMemberID.Code},
			{"stable, stranger", 1, "x", nil, 8, kerr.UnknownMemberID.Code},
			{"stable, strange instance", 1, "a", &stranger, 8, kerr.UnknownMemberID.Code},
			{"stable, instance of another", 1, "a", &taken, 8, kerr.FencedInstanceID.Code},
		})
		c := n.consumer("")
		got := make(chan int16, 1)
		go func() { got <- c.join() }()
		time.Sleep(time.Second)
		check(t, n, a, []ask{{"preparing", 1, "a", nil, 8, noError}})
		together(func() { a.join() }, func() { b.join() })
		want(t, "join", <-got, noError)
		check(t, n, a, []ask{{"completing", 2, "a", nil, 8, kerr.RebalanceInProgress.Code}})
	})
}

func TestCommitOfManyPartitionsAnswersEach(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		r := (&consumer{group: "g", generation: -1}).commitRequest("t", 0, 1)
		long, fits := strings.Repeat("x", 4097), strings.Repeat("x", 4096)
		p := r.Topics[0].Partitions[0]
		add := func(partition int32, offset int64, note *string) {
			p.Partition, p.Offset, p.Metadata = partition, offset, note
			r.Topics[0].Partitions = append(r.Topics[0].Partitions, p)
		}
		add(1, 2, &long)
		add(2, 3, &fits)
		add(4, 3, nil)
		add(-1, 3, nil)
		add(3, -7, nil)
		r.Topics = append(r.Topics, r.Topics[0])
		r.Topics[1].Topic = "unknown"
		out := n.coord.CommitOffsets(context.Background(), Client{}, r)
		for i, code := range []int16{noError, kerr.OffsetMetadataTooLarge.Code, noError, kerr.UnknownTopicOrPartition.Code, kerr.UnknownTopicOrPartition.Code, noError} {
			want(t, "partition", out.Topics[0].Partitions[i].ErrorCode, code)
		}
		want(t, "unknown topic", out.Topics[1].Partitions[0].ErrorCode, kerr.UnknownTopicOrPartition.Code)
		if got := []int64{n.offset("g", 0), n.offset("g", 1), n.offset("g", 2), n.offset("g", 3)}; got[0] != 1 || got[1] != -1 || got[2] != 3 || got[3] != -7 {
			t.Errorf("offsets %v", got)
		}
	})
}

// More than a command holds becomes several.
func TestLargeCommitIsSplit(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		n.submit(metadata.CreateTopic{ID: metadata.TopicID{2}, Name: "wide", Partitions: 500, ReplicationFactor: 3})
		writes := 0
		n.writer.fault = func([]metadata.Command) error { writes++; return nil }
		note := strings.Repeat("m", 4096)
		r := (&consumer{group: "g", generation: -1}).commitRequest("wide", 0, 1)
		p := r.Topics[0].Partitions[0]
		p.Metadata = &note
		r.Topics[0].Partitions = nil
		for i := range int32(500) {
			p.Partition = i
			r.Topics[0].Partitions = append(r.Topics[0].Partitions, p)
		}
		for _, p := range n.coord.CommitOffsets(context.Background(), Client{}, r).Topics[0].Partitions {
			want(t, "partition", p.ErrorCode, noError)
		}
		if writes < 16 {
			t.Errorf("%d writes for 2 MB", writes)
		}
	})
}

// A write that fails is 15, and does not cost the slot; a lost session is 16.
func TestCommitWhenTheLogFails(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		a := n.consumer("")
		w.gather(a)
		n.writer.fault = func([]metadata.Command) error { return errors.New("etcd is away") }
		want(t, "fault", a.commit(1), kerr.CoordinatorNotAvailable.Code)
		n.writer.fault = nil
		want(t, "afterwards", a.commit(1), noError)
		n.writer.fault = func([]metadata.Command) error { return metadata.ErrSessionLost }
		want(t, "session lost", a.commit(2), kerr.NotCoordinator.Code)
		n.writer.fault = nil
		want(t, "afterwards", a.heartbeat(), kerr.NotCoordinator.Code)
	})
}

// A topic deleted while its commit is on the way costs only its own part.
func TestCommitRacingWithADeletedTopic(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		m := w.start(2)
		defer m.stop()
		m.submit(metadata.CreateTopic{ID: metadata.TopicID{2}, Name: "u", Partitions: 1, ReplicationFactor: 3})
		r := (&consumer{group: "g", generation: -1}).commitRequest("u", 0, 1)
		r.Topics = append(r.Topics, (&consumer{}).commitRequest("t", 0, 77).Topics...)
		n.writer.fault = func([]metadata.Command) error {
			n.writer.fault = nil
			m.submit(metadata.DeleteTopic{ID: metadata.TopicID{2}})
			return nil
		}
		out := n.coord.CommitOffsets(context.Background(), Client{}, r)
		want(t, "deleted", out.Topics[0].Partitions[0].ErrorCode, kerr.UnknownTopicOrPartition.Code)
		want(t, "other", out.Topics[1].Partitions[0].ErrorCode, noError)
		if o := n.offset("g", 0); o != 77 {
			t.Errorf("offset %d", o)
		}
	})
}

// Who learns of a new generation finds every offset that the one before was
// allowed to commit.
func TestNewGenerationWaitsForOlderCommits(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		a, b := n.consumer(""), n.consumer("")
		w.gather(a, b)
		n.writer.before = func(cmds []metadata.Command) {
			if _, commit := cmds[0].(metadata.CommitOffsets); commit {
				time.Sleep(4 * time.Second)
			}
		}
		var committed atomic.Bool
		together(func() {
			want(t, "commit", a.commit(100), noError)
			committed.Store(true)
		}, func() {
			time.Sleep(time.Second)
			want(t, "leave", b.leave(), noError)
			w.gather(a)
			if !committed.Load() {
				t.Error("the new generation was told before the older commit was resolved")
			}
		})
	})
}

// Unknown groups, topics and partitions are offset -1 without an error,
// as in Kafka.
func TestRow09FetchOfTheUnknownIsNoError(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		ask := func(version int16, group string, topics ...string) *kmsg.OffsetFetchResponse {
			r := kmsg.NewPtrOffsetFetchRequest()
			r.Version, r.Group = version, group
			r.Topics = []kmsg.OffsetFetchRequestTopic{}
			for _, name := range topics {
				t := kmsg.NewOffsetFetchRequestTopic()
				t.Topic, t.Partitions = name, []int32{0, 9}
				r.Topics = append(r.Topics, t)
			}
			return n.coord.FetchOffsets(context.Background(), Client{}, r)
		}
		for version := int16(1); version <= 7; version++ {
			out := ask(version, "g", "t", "unknown")
			for _, topic := range out.Topics {
				for _, p := range topic.Partitions {
					if p.Offset != -1 || p.ErrorCode != 0 || p.LeaderEpoch != -1 || p.Metadata == nil {
						t.Errorf("v%d: %+v", version, p)
					}
				}
			}
		}
		if out := ask(7, "g"); len(out.Topics) != 0 {
			t.Errorf("no topics asked: %+v", out)
		}
		// A slot of somebody else: at the top from version 2, below it in 1.
		other := "h"
		for metadata.GroupSlot(other) == metadata.GroupSlot("g") {
			other += "h"
		}
		want(t, "v2", ask(2, other, "t").ErrorCode, kerr.NotCoordinator.Code)
		want(t, "v1", ask(1, other, "t").Topics[0].Partitions[1].ErrorCode, kerr.NotCoordinator.Code)
	})
}

func TestFetchOfManyGroupsAndOfAllTopics(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		c := &consumer{n: n, group: "g", generation: -1, ctx: context.Background()}
		for p := range int32(3) {
			want(t, "commit", n.coord.CommitOffsets(context.Background(), Client{}, c.commitRequest("t", 2-p, int64(p))).Topics[0].Partitions[0].ErrorCode, noError)
		}
		r := kmsg.NewPtrOffsetFetchRequest()
		r.Version = 9
		all, none := kmsg.NewOffsetFetchRequestGroup(), kmsg.NewOffsetFetchRequestGroup()
		all.Group, none.Group = "g", "g"
		none.Topics = []kmsg.OffsetFetchRequestGroupTopic{}
		r.Groups = []kmsg.OffsetFetchRequestGroup{all, none}
		out := n.coord.FetchOffsets(context.Background(), Client{}, r)
		if len(out.Groups[1].Topics) != 0 {
			t.Errorf("none: %+v", out.Groups[1])
		}
		if len(out.Groups[0].Topics) != 1 || len(out.Groups[0].Topics[0].Partitions) != 3 {
			t.Fatalf("all: %+v", out.Groups[0])
		}
		for i, p := range out.Groups[0].Topics[0].Partitions {
			if p.Partition != int32(i) || p.Offset != int64(2-i) || p.LeaderEpoch != 5 {
				t.Errorf("partition %d: %+v", i, p)
			}
		}
	})
}
