package broker

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/internal/costkeys"
	"github.com/zonewise/zonewise/metadata"
)

// sumOf adds the cells of some components, by topic.
func sumOf(cells []metadata.Cell, by func(metadata.CellKey) (string, bool)) map[string]uint64 {
	out := map[string]uint64{}
	for _, c := range cells {
		if k, ok := by(c.Key); ok {
			out[k] += c.Quantity.Lo
		}
	}
	return out
}

func socketBytes(k metadata.CellKey) (string, bool) {
	switch k.Component {
	case costkeys.ComponentProduce, costkeys.ComponentProduceReply, costkeys.ComponentFetch, costkeys.ComponentFetchReply,
		costkeys.ComponentGroup, costkeys.ComponentControl:
		return "all", true
	}
	return "", false
}

func TestMeterCountsEveryByteOfTheSocketOnce(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		wire := &countedConn{Conn: r.c}
		r.c = wire
		one, two := r.makeTopic("one", 1), r.makeTopic("two", 1)
		q := produceOf(9, "one", one, -1, batchOf(nowMs(), string(make([]byte, 3000))))
		q.Topics = append(q.Topics, produceOf(9, "two", two, -1, batchOf(nowMs(), string(make([]byte, 1000)))).Topics...)
		r.roundTrip(q)
		r.fetch(fetchOf(11, 0, -1, 10, fetchWant{topic: "one"}, fetchWant{topic: "two"}))
		r.roundTrip(kmsg.NewPtrMetadataRequest())
		r.send(kmsg.NewPtrMetadataRequest())
		r.c.Write([]byte{0, 0, 1, 0, 0, 3, 0, 0, 0, 0, 0, 0, 1})
		r.answer()
		r.c.Close()
		synctest.Wait()
		cells := n.server.Meter().Take()
		if got, want := sumOf(cells, socketBytes)["all"], uint64(wire.in.Load()+wire.out.Load()); got != want {
			t.Errorf("meter has %d bytes, the socket carried %d", got, want)
		}
		out := sumOf(cells, func(k metadata.CellKey) (string, bool) {
			return fmt.Sprint(k.Topic == one, k.Topic == two), k.Component == costkeys.ComponentBytesOut
		})
		if len(out) != 2 || out["true false"] <= 3000 || out["false true"] >= 2000 {
			t.Errorf("bytes served: %v", out)
		}
		by := sumOf(cells, func(k metadata.CellKey) (string, bool) {
			return k.Topic.String(), k.Component == costkeys.ComponentProduce
		})
		if by[one.String()] < 2*by[two.String()] || by[two.String()] < 1000 {
			t.Errorf("produce bytes are not shared by record bytes: %v", by)
		}
		if again := n.server.Meter().Take(); len(again) != 0 {
			t.Errorf("%d cells left after Take", len(again))
		}
	})
}

func TestMeterFoldsKeysBeyondItsLimitAndLosesNothing(t *testing.T) {
	m := newMeter("a")
	for i := range MaxMeterCells + 500 {
		m.Add(metadata.CellKey{Component: costkeys.ComponentFetch, Group: fmt.Sprint(i)}, costkeys.Units(1))
	}
	cells := m.Take()
	total := sumOf(cells, func(metadata.CellKey) (string, bool) { return "", true })[""]
	if len(cells) > MaxMeterCells+1 || total != MaxMeterCells+500 {
		t.Errorf("%d cells, %d in all", len(cells), total)
	}
}

func TestFetchBelongsToTheGroupOfItsClient(t *testing.T) {
	x := newClientGroupIndex()
	put := func(name string, members ...string) {
		g := metadata.Group{Name: name}
		for _, m := range members {
			g.Members = append(g.Members, metadata.GroupMember{ClientID: m, ClientHost: "/h"})
		}
		x.observeEntry(&metadata.AppliedEntry{Entry: &metadata.Entry{Commands: []metadata.Command{metadata.PutGroup{Group: g}}}, Outcome: &metadata.Outcome{}})
	}
	put("g", "a", "b")
	put("h", "b", "c")
	for id, want := range map[string]string{"a": "g", "b": "", "c": "h", "d": ""} {
		if got := x.findGroup(id, "/h"); got != want {
			t.Errorf("client %s reads for %q, want %q", id, got, want)
		}
	}
	put("h")
	if got := x.findGroup("b", "/h"); got != "g" || len(x.clients) != 1 {
		t.Errorf("after h emptied: client b reads for %q", got)
	}
}

func TestIdempotentProducerIDsAreNeverGivenTwice(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		seen := map[int64]bool{}
		r := dial()
		for range 250 {
			resp := r.roundTrip(kmsg.NewPtrInitProducerIDRequest()).(*kmsg.InitProducerIDResponse)
			if resp.ErrorCode != 0 || resp.ProducerEpoch != 0 || seen[resp.ProducerID] {
				t.Fatalf("%+v, seen %v", resp, seen[resp.ProducerID])
			}
			seen[resp.ProducerID] = true
		}
		q := kmsg.NewPtrInitProducerIDRequest()
		q.TransactionalID = kmsg.StringPtr("txn")
		for timeout, want := range map[int32]int16{0: 50, -1: 50, MaxTxnTimeoutMs + 1: 50, 1000: 0} {
			q.TransactionTimeoutMillis = timeout
			resp := r.roundTrip(q).(*kmsg.InitProducerIDResponse)
			if resp.ErrorCode != want || (resp.ProducerID == -1) != (want != 0) || seen[resp.ProducerID] {
				t.Errorf("transactional id with timeout %d: %+v, want %d", timeout, resp, want)
			}
		}
	})
}

func TestRetryOfAnIdempotentBatchIsAnsweredWithItsFirstOffset(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		id := r.makeTopic("t", 1)
		pid := r.roundTrip(kmsg.NewPtrInitProducerIDRequest()).(*kmsg.InitProducerIDResponse).ProducerID
		ask := func(seq int32, values ...string) (int16, int64) {
			p := r.roundTrip(produceOf(13, "", id, -1, batchWith(nowMs(), pid, seq, 0, values...))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
			return p.ErrorCode, p.BaseOffset
		}
		for _, tt := range []struct {
			seq  int32
			code int16
			base int64
		}{{0, 0, 0}, {2, 0, 2}, {0, 0, 0}, {2, 0, 2}, {9, 45, -1}, {4, 0, 4}} {
			if code, base := ask(tt.seq, "a", "b"); code != tt.code || base != tt.base {
				t.Errorf("sequence %d: error %d offset %d, want %d, %d", tt.seq, code, base, tt.code, tt.base)
			}
		}
	})
}
