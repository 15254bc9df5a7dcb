package groups

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// tick brings state time up to the clock.
func (n *node) tick() {
	n.w.t.Helper()
	for to, at := metadata.UnixMilli(time.Now().UnixMilli()), metadata.UnixMilli(0); at < to; {
		n.replica.View(func(s *metadata.State) { at = s.Time() })
		if at == 0 {
			at = to
		}
		at = min(to, at+metadata.MaxTickStep)
		n.submit(metadata.Tick{To: at})
	}
}

// tickFor lets state time go by, a minute to an entry, and the bubble's with it.
func (n *node) tickFor(d time.Duration) {
	n.w.t.Helper()
	for range int(d / time.Minute) {
		time.Sleep(time.Minute)
		n.tick()
	}
}

// simple commits a position of a client that assigns itself.
func (n *node) simple(group string, partition int32) int16 {
	c := n.consumer("")
	c.group, c.generation = group, -1
	return n.coord.CommitOffsets(context.Background(), Client{}, c.commitRequest("t", partition, 9)).Topics[0].Partitions[0].ErrorCode
}

func (n *node) known(group string) (known bool) {
	n.replica.View(func(s *metadata.State) { _, known = s.Group(group) })
	return known
}

func TestPositionsExpireFromEmptyAndSimpleOnesFromTheirCommit(t *testing.T) {
	for _, protocol := range []string{"classic", "consumer", "simple"} {
		t.Run(protocol, func(t *testing.T) {
			inWorld(t, func(w *world) {
				n := w.single()
				defer n.stop()
				n.coord.cfg.OffsetRetention = 2 * time.Hour
				n.tick()
				switch protocol {
				case "classic":
					a := n.consumer("")
					a.session = 30 * time.Minute
					w.gather(a)
					want(t, "commit", a.commit(9), noError)
					for range 6 {
						n.tickFor(25 * time.Minute)
						want(t, "heartbeat", a.heartbeat(), noError)
					}
					if n.offset("g", 0) != 9 {
						t.Error("expired while a member subscribes")
					}
					want(t, "leave", a.leave(), noError)
				case "consumer":
					a := n.modern("a")
					rounds(t, 1, a)
					want(t, "commit", a.commit(9, a.epoch), noError)
					for range 240 {
						time.Sleep(40 * time.Second)
						rounds(t, 1, a)
						n.tick()
					}
					if n.offset("g", 0) != 7 {
						t.Error("expired while a member subscribes")
					}
					want(t, "leave", a.leave(-1), noError)
				case "simple":
					want(t, "commit", n.simple("g", 0), noError)
				}
				n.tickFor(110 * time.Minute)
				if n.offset("g", 0) < 0 {
					t.Error("expired too early")
				}
				want(t, "commit anew", n.simple("g", 1), noError)
				n.tickFor(25 * time.Minute)
				if n.offset("g", 0) >= 0 || n.offset("g", 1) < 0 {
					t.Errorf("offsets %d and %d, want the first expired", n.offset("g", 0), n.offset("g", 1))
				}
				n.tickFor(2 * time.Hour)
				if n.known("g") {
					t.Error("the group is left without positions or members")
				}
				again := n.modern("b") // and can be made again
				rounds(t, 1, again)
				if again.epoch != 2 {
					t.Errorf("epoch %d in a new group", again.epoch)
				}
			})
		})
	}
}

// Positions of topics that no member subscribes to any more expire beside
// members; a group of another kind keeps all.
func TestPositionsOfTopicsNobodySubscribesToExpire(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		n.submit(metadata.CreateTopic{ID: metadata.TopicID{2}, Name: "u", Partitions: 1, ReplicationFactor: 3})
		n.coord.cfg.OffsetRetention = time.Hour
		n.tick()
		a := n.consumer("")
		a.session = 30 * time.Minute
		w.gather(a)
		want(t, "commit", a.commit(9), noError)
		r := a.commitRequest("u", 0, 5)
		want(t, "commit", n.coord.CommitOffsets(context.Background(), Client{}, r).Topics[0].Partitions[0].ErrorCode, noError)
		for range 4 {
			n.tickFor(20 * time.Minute)
			want(t, "heartbeat", a.heartbeat(), noError)
		}
		f := kmsg.NewPtrOffsetFetchRequest()
		f.Version, f.Group = 7, "g"
		out := n.coord.FetchOffsets(context.Background(), Client{}, f)
		if len(out.Topics) != 1 || out.Topics[0].Topic != "t" {
			t.Errorf("left: %+v", out.Topics)
		}
	})
}

// A group that has lost its last position is there, Empty, until its slot's
// holder looks for what is due, whoever holds it then.
func TestAGroupThatLostItsPositionsIsEmptyUntilItIsLookedAt(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		n.tick()
		want(t, "commit", n.simple("g", 0), noError)
		r := kmsg.NewPtrOffsetDeleteRequest()
		r.Group, r.Topics = "g", []kmsg.OffsetDeleteRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 0}}}}
		there := func(n *node) {
			t.Helper()
			want(t, "delete again", n.coord.DeleteOffsets(context.Background(), Client{}, r).ErrorCode, noError)
			if d := n.describe("g"); d.ErrorCode != noError || d.State != "Empty" {
				t.Errorf("described as %+v", d)
			}
			if l := n.listed(); l != "g classic Empty ;" {
				t.Errorf("list %q", l)
			}
			stale := n.modern("a")
			stale.epoch = 3
			want(t, "heartbeat of a member", stale.sendHeartbeat(), kerr.GroupIDNotFound.Code)
			want(t, "commit of a member", stale.commit(9, 3), kerr.UnknownMemberID.Code)
		}
		there(n)
		w.log.ExpireSession(n.session.ID())
		n.stop()
		m := w.start(2)
		defer m.stop()
		m.hold("g")
		there(m)
		m.tickFor(25 * time.Minute)
		if d := m.describe("g"); d.ErrorCode != kerr.GroupIDNotFound.Code || d.State != "Dead" || m.known("g") || m.listed() != "" {
			t.Errorf("described as %+v after it was looked at", d)
		}
	})
}
