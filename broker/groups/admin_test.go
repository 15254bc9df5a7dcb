package groups

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

func (n *node) list(version int16, states, types []string) []kmsg.ListGroupsResponseGroup {
	r := kmsg.NewPtrListGroupsRequest()
	r.Version, r.StatesFilter, r.TypesFilter = version, states, types
	return n.coord.List(context.Background(), Client{}, r).Groups
}

func (n *node) deleteGroup(name string) int16 {
	r := kmsg.NewPtrDeleteGroupsRequest()
	r.Version, r.Groups = 2, []string{name}
	return n.coord.Delete(context.Background(), Client{}, r).Groups[0].ErrorCode
}

func TestListGroupsOfHeldSlotsByStateAndType(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		if got := n.list(5, nil, nil); len(got) != 0 {
			t.Errorf("%+v", got)
		}
		a := n.consumer("")
		w.gather(a)
		for _, row := range []struct {
			version       int16
			states, types []string
			count         int
		}{
			{0, nil, nil, 1}, {4, []string{"stable"}, nil, 1}, {4, []string{"Empty"}, nil, 0},
			{5, nil, []string{"Classic"}, 1}, {5, nil, []string{"consumer"}, 0}, {5, []string{"Stable", "Dead"}, []string{"classic", "share"}, 1},
		} {
			if got := n.list(row.version, row.states, row.types); len(got) != row.count {
				t.Errorf("%+v: %+v", row, got)
			}
		}
		if g := n.list(5, nil, nil)[0]; g.Group != "g" || g.GroupState != "Stable" || g.GroupType != "classic" || g.ProtocolType != "consumer" {
			t.Errorf("%+v", g)
		}
		want(t, "leave", a.leave(), noError)
		if g := n.list(5, []string{"empty"}, nil); len(g) != 1 || g[0].ProtocolType != "consumer" {
			t.Errorf("%+v", g)
		}
		n.coord.Release(metadata.GroupSlot("g"))
	})
}

// A group that no broker holds is in no answer: who asks meanwhile is told to
// ask again. What another broker holds is that one's to tell.
func TestListGroupsSaysThatASlotIsOnItsWay(t *testing.T) {
	inWorld(t, func(w *world) {
		one, two := w.single(), w.start(2)
		defer one.stop()
		defer two.stop()
		check := func(when string, n *node, groups int, code int16) {
			t.Helper()
			r := kmsg.NewPtrListGroupsRequest()
			r.Version = 5
			if got := n.coord.List(context.Background(), Client{}, r); len(got.Groups) != groups || got.ErrorCode != code {
				t.Errorf("%s: %+v", when, got)
			}
		}
		want(t, "commit", one.simple("g", 0), noError)
		time.Sleep(100 * time.Millisecond)
		check("held", one, 1, noError)
		check("held by the other", two, 0, noError)
		one.coord.Release(metadata.GroupSlot("g"))
		one.drop("g")
		check("given up", one, 0, kerr.CoordinatorLoadInProgress.Code)
		two.hold("g")
		time.Sleep(100 * time.Millisecond)
		check("held by the other since", one, 0, noError)
		check("taken", two, 1, noError)
		one.submit(metadata.CloseSession{Session: two.session.ID()})
		time.Sleep(100 * time.Millisecond)
		check("holder is gone", one, 0, kerr.CoordinatorLoadInProgress.Code)
	})
}

func TestDescribeOfAnUnknownGroupIsDead(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		for version := int16(0); version <= 6; version++ {
			r := kmsg.NewPtrDescribeGroupsRequest()
			r.Version, r.Groups = version, []string{"g"}
			g := n.coord.Describe(context.Background(), Client{}, r).Groups[0]
			code := noError
			if version == 6 {
				code = kerr.GroupIDNotFound.Code
			}
			if g.State != "Dead" || g.ErrorCode != code || (g.ErrorMessage != nil) != (version == 6) {
				t.Errorf("v%d: %+v", version, g)
			}
		}
		want(t, "commit", (&consumer{n: n, group: "g", generation: -1, ctx: context.Background()}).commit(1), noError)
		if g := n.describe("g"); g.State != "Empty" || g.ErrorCode != noError {
			t.Errorf("simple group: %+v", g)
		}
	})
}

func TestDeleteGroups(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		want(t, "unknown", n.deleteGroup("g"), kerr.GroupIDNotFound.Code)
		a := n.consumer("")
		w.gather(a)
		want(t, "commit", a.commit(4), noError)
		want(t, "with members", n.deleteGroup("g"), kerr.NonEmptyGroup.Code)
		want(t, "leave", a.leave(), noError)
		want(t, "empty", n.deleteGroup("g"), noError)
		want(t, "again", n.deleteGroup("g"), kerr.GroupIDNotFound.Code)
		if n.offset("g", 0) != -1 || n.describe("g").State != "Dead" {
			t.Errorf("something is left: %+v", n.describe("g"))
		}
		b := n.consumer("")
		w.gather(b)
		if b.generation != 1 {
			t.Errorf("generation %d after a deletion", b.generation)
		}
	})
}

func TestDeleteOffsetsOnlyOfWhatNobodyReads(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		n.submit(metadata.CreateTopic{ID: metadata.TopicID{2}, Name: "u", Partitions: 1, ReplicationFactor: 3})
		ask := func() (int16, int16, int16, int16) {
			r := kmsg.NewPtrOffsetDeleteRequest()
			r.Group = "g"
			for _, name := range []string{"t", "u", "unknown"} {
				topic := kmsg.NewOffsetDeleteRequestTopic()
				topic.Topic, topic.Partitions = name, []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 0}}
				r.Topics = append(r.Topics, topic)
			}
			out := n.coord.DeleteOffsets(context.Background(), Client{}, r)
			if len(out.Topics) == 0 {
				return out.ErrorCode, 0, 0, 0
			}
			return out.ErrorCode, out.Topics[0].Partitions[0].ErrorCode, out.Topics[1].Partitions[0].ErrorCode, out.Topics[2].Partitions[0].ErrorCode
		}
		top, _, _, _ := ask()
		want(t, "unknown group", top, kerr.GroupIDNotFound.Code)
		a := n.consumer("")
		w.gather(a)
		want(t, "commit", a.commit(4), noError)
		top, read, unread, unknown := ask()
		want(t, "top", top, noError)
		want(t, "subscribed", read, kerr.GroupSubscribedToTopic.Code)
		want(t, "not subscribed", unread, noError)
		want(t, "unknown topic", unknown, kerr.UnknownTopicOrPartition.Code)
		want(t, "leave", a.leave(), noError)
		_, read, _, _ = ask()
		want(t, "empty group", read, noError)
		if o := n.offset("g", 0); o != -1 {
			t.Errorf("offset %d", o)
		}
	})
}

// A deletion does not overtake the write of the empty group, which would
// bring it back.
func TestDeleteGroupComesAfterTheGroupsOwnWrites(t *testing.T) {
	inWorld(t, func(w *world) {
		n := w.single()
		defer n.stop()
		a := n.consumer("")
		w.gather(a)
		n.writer.before = func(cmds []metadata.Command) {
			if _, put := cmds[0].(metadata.PutGroup); put {
				time.Sleep(time.Second)
			}
		}
		want(t, "leave", a.leave(), noError)
		want(t, "delete", n.deleteGroup("g"), noError)
		time.Sleep(5 * time.Second)
		if g := n.describe("g"); g.State != "Dead" {
			t.Errorf("deleted, and %s", g.State)
		}
	})
}
