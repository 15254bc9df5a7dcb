package dashboards

import (
	"context"
	"encoding/json"
	"log/slog"
	"math/big"
	"strconv"
	"testing"

	"github.com/zonewise/zonewise/costmodel"
	"github.com/zonewise/zonewise/internal/costkeys"
	"github.com/zonewise/zonewise/metadata"
)

// applied is a Source over a real state that a short history was applied to.
type applied struct {
	state *metadata.State
	lanes [metadata.LaneCount]metadata.LaneSeq
	rev   metadata.Revision
	puts  uint64
}

func (a *applied) Ledger(plan func(metadata.UnixMilli) []Window) (Ledger, error) {
	return ReadLedger(a.state, plan), nil
}

func (a *applied) Cluster(context.Context) Cluster { return Cluster{Name: "main"} }

const session = metadata.SessionID(2)

// commit applies an entry of the only session.
func (a *applied) commit(t testing.TB, e *metadata.Entry) {
	t.Helper()
	a.rev++
	a.lanes[e.Lane]++
	e.Session, e.Seq, e.Level, e.Time = session, a.lanes[e.Lane], 1, 1
	e.Route = metadata.Route{Broker: "b", Member: "a", Leader: "a", Followers: []metadata.ZoneID{"b", "c"}}
	raw, err := metadata.AppendEntry(nil, e)
	if err != nil {
		t.Fatal(err)
	}
	out, _ := a.state.Apply(&metadata.CommittedEntry{Revision: a.rev, Extent: 1, Session: session, Lane: e.Lane, Seq: e.Seq, Bytes: raw})
	if out.Code != metadata.CodeOK {
		t.Fatalf("entry %d: %v %s", a.rev, out.Code, out.Text)
	}
	for _, c := range out.Commands {
		if c.Code != metadata.CodeOK {
			t.Fatalf("entry %d: %v %s", a.rev, c.Code, c.Text)
		}
	}
}

func (a *applied) command(t testing.TB, c metadata.Command) {
	a.commit(t, &metadata.Entry{Commands: []metadata.Command{c}})
}

// produce commits one object of two topics, or the same inline.
func (a *applied) produce(t testing.TB, inline bool) {
	e := &metadata.Entry{Lane: metadata.LaneLow, Topics: []metadata.TopicID{topicID(0), topicID(1)}, Principals: []string{"User:x"}}
	object := metadata.InlineObject
	if inline {
		e.Inline = make([]byte, 4000)
	} else {
		object = 0
		a.puts++
		e.Objects = []metadata.ObjectRef{{Name: metadata.ObjectName{Session: session, Lane: metadata.LaneLow, Number: a.puts}, Size: 5000, Puts: 1}}
	}
	for i := range 2 {
		e.Parts = append(e.Parts, metadata.Part{Topic: i, Object: object, Position: int64(i) * 1000, Length: int64(1000 + 2000*i), Runs: []metadata.Run{{
			Producer: metadata.NoProducer, Epoch: -1, FirstSequence: -1, Batches: 1, Records: 10, Bytes: uint32(1000 + 2000*i), MaxTimestamp: 1,
		}}})
	}
	a.commit(t, e)
}

// What the state's own ledger holds is priced to the PUT: windows by minutes
// and by hours agree, and rows equal meters.
func TestARealStatesLedgerIsPricedToTheRequest(t *testing.T) {
	a := &applied{state: metadata.NewState(), rev: 2}
	a.command(t, metadata.OpenSession{Want: metadata.NoBroker, Zone: "b", MinLevel: 1, MaxLevel: 1})
	begin := metadata.UnixMilli(1_795_430_537_000)
	a.command(t, metadata.Tick{To: begin})
	for i, name := range []string{"orders", "clicks"} {
		a.command(t, metadata.CreateTopic{ID: topicID(i), Name: name, Partitions: 1, ReplicationFactor: 3})
	}
	for i := range 110 { // minutes: less than two hours, so that both windows see all of it
		a.command(t, metadata.Tick{To: begin + metadata.UnixMilli(i+1)*50_000})
		a.produce(t, i%3 == 0)
	}
	a.command(t, metadata.DeleteTopic{ID: topicID(1)})
	book, err := costmodel.Default()
	if err != nil {
		t.Fatal(err)
	}
	h, err := New(a, Config{Book: book, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	var totals []string
	for _, window := range []string{"2h", "24h"} {
		var got struct {
			AsOf   int64 `json:"as_of_revision"`
			Rows   []map[string]string
			Meters []map[string]string
			Total  string `json:"total_nano_usd"`
		}
		answer := get(t, h, "/api/v1/cost?by=topic,component&window="+window)
		if err := json.Unmarshal(answer.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if got.AsOf != int64(a.rev) {
			t.Errorf("as of %d, applied %d", got.AsOf, a.rev)
		}
		sum := new(big.Int)
		for _, row := range got.Rows {
			n, _ := new(big.Int).SetString(row["nano_usd"], 10)
			sum.Add(sum, n)
		}
		if sum.String() != got.Total {
			t.Errorf("%s: rows %s, total %s", window, sum, got.Total)
		}
		for _, m := range got.Meters {
			if m["meter"] == string(costkeys.MeterPut) && m["nano_usd"] != strconv.FormatUint(a.puts*5000, 10) {
				t.Errorf("%s: %d PUTs cost %s", window, a.puts, m["nano_usd"])
			}
		}
		totals = append(totals, got.Total)
		names := map[string]bool{}
		for _, row := range got.Rows {
			names[row["topic"]] = true
		}
		if !names["orders"] || !names["clicks (deleted)"] {
			t.Errorf("%s: topics %v", window, names)
		}
	}
	if totals[0] != totals[1] || totals[0] == "0" {
		t.Errorf("two hours by minutes cost %s, a day by hours %s", totals[0], totals[1])
	}
	if code := get(t, h, "/").Code; code != 200 {
		t.Errorf("the page answers %d", code)
	}
}
