package node

import (
	"testing"

	"github.com/zonewise/zonewise/costmodel"
	"github.com/zonewise/zonewise/internal/costkeys"
	"github.com/zonewise/zonewise/metadata"
)

// routes returns every route over three zones and an unknown one, with up to two
// followers.
func routes() (out []metadata.Route) {
	zones := []metadata.ZoneID{metadata.UnknownZone, "a", "b", "c"}
	for _, broker := range zones {
		for _, member := range zones {
			for _, leader := range zones {
				followers := [][]metadata.ZoneID{nil}
				for _, f := range zones {
					followers = append(followers, []metadata.ZoneID{f})
					for _, g := range zones {
						followers = append(followers, []metadata.ZoneID{f, g})
					}
				}
				for _, f := range followers {
					out = append(out, metadata.Route{Broker: broker, Member: member, Leader: leader, Followers: f})
				}
			}
		}
	}
	return out
}

// crossings counts a route's hops between known zones, independently of
// NetworkHops.
func crossings(r *metadata.Route) (n uint64) {
	pairs := [][2]metadata.ZoneID{{r.Broker, r.Member}, {r.Member, r.Leader}}
	for _, f := range r.Followers {
		pairs = append(pairs, [2]metadata.ZoneID{r.Leader, f})
	}
	for _, p := range pairs {
		if p[0] != p[1] && p[0] != "" && p[1] != "" {
			n++
		}
	}
	return n
}

// An entry's route is money in three places: the ledger books its bytes on every
// hop, the metrics count them, and an inline byte is priced by the number of
// hops. For every route all three agree.
func TestBookedCountedAndPricedHopsAgree(t *testing.T) {
	const session = metadata.SessionID(2)
	state, seq := metadata.NewState(), metadata.LaneSeq(0)
	apply := func(e *metadata.Entry) int {
		seq++
		e.Session, e.Seq, e.Level, e.Time = session, seq, 1, 1
		raw, err := metadata.AppendEntry(nil, e)
		if err != nil {
			t.Fatal(err)
		}
		if out, _ := state.Apply(&metadata.CommittedEntry{Revision: metadata.Revision(seq), Extent: 1, Session: session, Seq: seq, Bytes: raw}); out.Code != metadata.CodeOK {
			t.Fatalf("entry %d: %v %s", seq, out.Code, out.Text)
		}
		return len(raw)
	}
	topic := metadata.TopicID{1}
	apply(&metadata.Entry{Commands: []metadata.Command{metadata.OpenSession{Want: metadata.NoBroker, Zone: "a", MinLevel: 1, MaxLevel: 1}}})
	apply(&metadata.Entry{Commands: []metadata.Command{metadata.CreateTopic{ID: topic, Name: "t", Partitions: 1, ReplicationFactor: 3}}})
	booked := func() (sum uint64) {
		for _, c := range state.Ledger(0, 60_000).Cells {
			if k := c.Key.Component; k == costkeys.ComponentInline || k == costkeys.ComponentEtcd {
				sum += c.Quantity.Lo
			}
		}
		return sum
	}
	before := booked()
	for _, r := range routes() {
		e := &metadata.Entry{Route: r, Topics: []metadata.TopicID{topic}, Principals: []string{"User:x"}, Inline: make([]byte, 300),
			Parts: []metadata.Part{{Object: metadata.InlineObject, Length: 300, Runs: []metadata.Run{{
				Producer: metadata.NoProducer, Epoch: -1, FirstSequence: -1, Batches: 1, Records: 1, Bytes: 300, MaxTimestamp: 1}}}}}
		size := uint64(apply(e))
		after := booked()
		var seen traffic
		seen.countEntry(&metadata.CommittedEntry{Bytes: make([]byte, size)}, &r)
		if want := crossings(&r); after-before != want*size || seen.entryBytes.Load() != want*size || uint64(r.CountNetworkHops()) != want {
			t.Errorf("%+v: booked %d bytes, counted %d, priced %d hops; want %d hops of %d bytes", r, after-before, seen.entryBytes.Load(), r.CountNetworkHops(), want, size)
		}
		before = after
	}
	book, err := costmodel.Default()
	if err != nil {
		t.Fatal(err)
	}
	one, err := costmodel.InlineLimit(book, 1)
	if err != nil {
		t.Fatal(err)
	}
	if four, err := costmodel.InlineLimit(book, 4); err != nil || four > one/4+1 || four < one/4-1 {
		t.Errorf("inline up to %d bytes at one hop and %d at four, %v", one, four, err)
	}
}
