package metadata

import (
	"fmt"
	"testing"
)

// txnWorld writes random histories of transactional and plain producers, of both
// protocol versions, and keeps the transaction of every record.
type txnWorld struct {
	*world
	clients   []*txnClient
	records   map[TopicPartition][]txnRecord
	ends      map[txnKey]bool // commit or not
	open      map[txnKey]bool
	marks     map[txnKey]int // partitions marked
	producers map[ProducerID]string
}

// txnKey names one transaction: its producer and the revision it began at.
type txnKey struct {
	id    string
	start Revision
}

type txnRecord struct {
	first Offset
	count uint32
	txn   txnKey // not in a transaction
}

// txnClient is the state of one transactional producer in its library.
type txnClient struct {
	id       string
	v2       bool
	producer ProducerID
	epoch    ProducerEpoch
	fenced   bool
	seqs     map[TopicPartition]Sequence
	added    map[TopicPartition]bool
}

func newTxnWorld(t testing.TB, seed uint64) *txnWorld {
	w := &txnWorld{world: newWorld(seed), records: map[TopicPartition][]txnRecord{}, ends: map[txnKey]bool{}, open: map[txnKey]bool{}, marks: map[txnKey]int{}, producers: map[ProducerID]string{}}
	for len(w.topics) < 4 {
		w.step(t)
	}
	for i := range 6 {
		w.clients = append(w.clients, &txnClient{id: fmt.Sprintf("txn-%d", i), v2: i%2 == 0, fenced: true})
	}
	w.do(t, ClaimRole{GroupSlotRole(GroupSlot("g")), 1})
	w.do(t, Tick{1_700_000_000_000})
	return w
}

func (w *txnWorld) do(t testing.TB, c Command) CommandOutcome {
	t.Helper()
	before := map[string]TxnView{}
	for _, id := range w.state.Txns() {
		before[id], _ = w.state.Txn(id)
	}
	_, out := w.commit(t, &Entry{Session: w.sessions[0], Commands: []Command{c}})
	if out.Code != CodeOK {
		t.Fatalf("%+v: %+v", c, out)
	}
	w.note(t, before)
	return out.Commands[0]
}

// note compares the transactions under way before and now.
func (w *txnWorld) note(t testing.TB, before map[string]TxnView) {
	t.Helper()
	for _, id := range w.state.Txns() {
		v, _ := w.state.Txn(id)
		w.producers[v.Producer] = id
		if was := before[id]; was.Status == TxnOngoing && (v.Status != TxnOngoing || v.Start != was.Start) {
			k := txnKey{id, was.Start}
			delete(w.open, k)
			w.ends[k] = v.Status == TxnCommitted
			w.marks[k] = len(was.Partitions)
		}
		if v.Status == TxnOngoing {
			w.open[txnKey{id, v.Start}] = true
		}
	}
}

func (w *txnWorld) txnStep(t testing.TB) {
	c := w.clients[w.rng.IntN(len(w.clients))]
	topic := w.topics[w.rng.IntN(len(w.topics))]
	tp := TopicPartition{topic, Partition(w.rng.IntN(4))}
	if c.fenced {
		out := w.do(t, InitTxn{c.id, NoProducer, -1, UnixMilli(1 + w.rng.IntN(120_000))})
		c.start(out)
		return
	}
	switch n := w.rng.IntN(100); {
	case n < 60:
		w.send(t, c, tp)
	case n < 65:
		w.sendPlain(t, tp)
	case n < 80:
		w.end(t, c, w.rng.IntN(3) > 0)
	case n < 84:
		w.offsets(t, c, tp)
	case n < 88:
		w.do(t, Tick{w.state.time + 1 + UnixMilli(w.rng.IntN(50_000))})
		for _, late := range w.state.TimedOutTxns(3) {
			if out := w.do(t, late); out.Code != CodeOK {
				t.Fatalf("time out %+v: %+v", late, out)
			}
		}
	case n < 91: // another instance uses the id, or the same one repeats the request
		twin := *c
		out := w.do(t, InitTxn{c.id, NoProducer, -1, 60_000})
		c.start(out)
		w.zombie(t, &twin, tp)
	case n < 94:
		if out := w.do(t, InitTxn{c.id, c.producer, c.epoch, 60_000}); out.Code == CodeOK {
			again := w.do(t, InitTxn{c.id, c.producer, c.epoch, 60_000})
			if again.Value != out.Value || again.Epoch != out.Epoch {
				t.Fatalf("asked again: %+v, first %+v", again, out)
			}
			c.start(out)
		} else {
			c.fenced = true
		}
	case n < 96 && len(w.topics) > 2:
		w.topics = deleteOne(w.topics, topic)
		w.do(t, DeleteTopic{topic})
		for i := range Partition(8) {
			delete(w.records, TopicPartition{topic, i})
		}
		id := w.topicID()
		w.topics = append(w.topics, id)
		w.do(t, CreateTopic{ID: id, Name: "t" + id.String()[:6], Partitions: 8, ReplicationFactor: 3})
	case n < 98:
		v, _ := w.state.Txn(c.id)
		if out := w.do(t, AbortTxn{c.id, v.Start, true}); (out.Code == CodeOK) != (v.Status == TxnOngoing) {
			t.Fatalf("%+v with %+v", out, v)
		}
	default:
		w.do(t, TrimPartition{topic, tp.Partition, Offset(w.rng.IntN(30))})
	}
}

func (c *txnClient) start(out CommandOutcome) {
	c.producer, c.epoch, c.fenced = ProducerID(out.Value), out.Epoch, false
	c.seqs, c.added = map[TopicPartition]Sequence{}, map[TopicPartition]bool{}
}

// send produces a batch by the client's protocol.
func (w *txnWorld) send(t testing.TB, c *txnClient, tp TopicPartition) {
	if !c.v2 && !c.added[tp] {
		if out := w.do(t, AddToTxn{c.id, c.producer, c.epoch, []TopicPartition{tp}, nil}); out.Code != CodeOK {
			c.fenced = true
			return
		}
		c.added[tp] = true
	}
	r := Run{Producer: c.producer, Epoch: c.epoch, FirstSequence: c.seqs[tp], Batches: 1, Records: uint32(1 + w.rng.IntN(3)), Bytes: 100, Transactional: true}
	if v, ok := w.state.Txn(c.id); ok && !c.v2 {
		r.TxnStart = v.Start
	}
	out := w.run(t, tp, r)
	if out.Code != CodeOK {
		c.fenced = true
		return
	}
	c.seqs[tp] = r.FirstSequence.Add(int64(r.Records))
	if again := w.run(t, tp, r); again.Code != CodeDuplicate || again.Offset != out.Offset {
		t.Fatalf("a retry: %+v, first %+v", again, out)
	}
}

func (w *txnWorld) sendPlain(t testing.TB, tp TopicPartition) {
	w.run(t, tp, Run{Producer: NoProducer, Epoch: -1, FirstSequence: -1, Batches: 1, Records: 2, Bytes: 100})
}

// run commits one run, and records its contents.
func (w *txnWorld) run(t testing.TB, tp TopicPartition, r Run) RunOutcome {
	t.Helper()
	before := map[string]TxnView{}
	_, out := w.commit(t, &Entry{Session: w.sessions[0], Lane: LaneLow, Topics: []TopicID{tp.Topic}, Principals: []string{""},
		Parts: []Part{{0, tp.Partition, InlineObject, 0, 100, []Run{r}}}, Inline: make([]byte, 100)})
	if out.Code != CodeOK {
		t.Fatalf("%+v", out)
	}
	w.note(t, before)
	one := out.Parts[0][0]
	if one.Code == CodeOK {
		rec := txnRecord{first: one.Offset, count: r.Records}
		if r.Transactional {
			v, ok := w.state.TxnByProducer(r.Producer)
			if !ok || v.Status != TxnOngoing {
				t.Fatalf("accepted without a transaction: %+v", v)
			}
			rec.txn = txnKey{v.ID, v.Start}
		}
		w.records[tp] = append(w.records[tp], rec)
	}
	return one
}

func (w *txnWorld) end(t testing.TB, c *txnClient, commit bool) {
	v, _ := w.state.Txn(c.id)
	e := EndTxn{ID: c.id, Producer: c.producer, Epoch: c.epoch, Commit: commit, Bump: c.v2}
	if v.Status == TxnOngoing && !c.v2 {
		e.Start = v.Start
	}
	out := w.do(t, e)
	switch {
	case out.Code == CodeOK:
		if got, _ := w.state.Txn(c.id); got.Status == TxnOngoing {
			t.Fatalf("ended, and under way: %+v", got)
		}
		if again := w.do(t, e); again.Code != CodeOK || again.Value != out.Value || again.Epoch != out.Epoch {
			t.Fatalf("a repetition of %+v: %+v, first %+v", e, again, out)
		}
		if other := (EndTxn{c.id, c.producer, c.epoch, !commit, c.v2, 0}); v.Status == TxnOngoing {
			if out := w.do(t, other); out.Code == CodeOK {
				t.Fatalf("%+v after %+v: %+v", other, e, out)
			}
		}
		c.added = map[TopicPartition]bool{}
		if c.v2 {
			c.start(out)
		}
	case out.Code == CodeFenced || out.Code == CodeUnknownProducer:
		c.fenced = true
	case out.Code != CodeTxnState || v.Status == TxnOngoing:
		t.Fatalf("end %+v of %+v: %+v", e, v, out)
	}
}

func (w *txnWorld) offsets(t testing.TB, c *txnClient, tp TopicPartition) {
	if !c.v2 {
		if out := w.do(t, AddToTxn{c.id, c.producer, c.epoch, nil, []string{"g"}}); out.Code != CodeOK {
			c.fenced = true
			return
		}
	}
	before, _ := w.state.Group("g")
	was, at := offsetOf(&before, tp), Offset(w.rev)
	out := w.do(t, TxnOffsets{c.id, c.producer, c.epoch, "g", 1, c.v2, []OffsetCommit{{tp.Topic, tp.Partition, at, 0, "", 0}}})
	if out.Code != CodeOK {
		c.fenced = true
		return
	}
	if after, _ := w.state.Group("g"); offsetOf(&after, tp) != was || !w.state.OffsetPending("g", tp) || !w.state.HasGroup("g") {
		t.Fatal("a transaction's offset is visible before its end")
	}
	v, _ := w.state.Txn(c.id)
	e := EndTxn{ID: c.id, Producer: c.producer, Epoch: c.epoch, Commit: w.rng.IntN(2) == 0, Bump: c.v2, Start: v.Start}
	if out = w.do(t, e); out.Code != CodeOK {
		t.Fatalf("%+v: %+v", e, out)
	}
	after, _ := w.state.Group("g")
	if got := offsetOf(&after, tp).Offset == at; got != e.Commit {
		t.Fatalf("commit %v: offset %d, wanted %d", e.Commit, offsetOf(&after, tp).Offset, at)
	}
	c.added = map[TopicPartition]bool{}
	if c.v2 {
		c.start(out)
	}
}

// zombie is a fenced instance: nothing of it may be accepted.
func (w *txnWorld) zombie(t testing.TB, c *txnClient, tp TopicPartition) {
	r := Run{Producer: c.producer, Epoch: c.epoch, FirstSequence: c.seqs[tp], Batches: 1, Records: 1, Bytes: 100, Transactional: true}
	if out := w.run(t, tp, r); out.Code == CodeOK {
		t.Fatalf("a fenced producer's batch landed at %d", out.Offset)
	}
	for _, commit := range []bool{true, false} {
		for _, bump := range []bool{true, false} {
			if out := w.do(t, EndTxn{c.id, c.producer, c.epoch, commit, bump, 0}); out.Code != CodeFenced && out.Code != CodeUnknownProducer {
				t.Fatalf("a fenced producer ended a transaction: %+v", out)
			}
		}
	}
	if out := w.do(t, AddToTxn{c.id, c.producer, c.epoch, []TopicPartition{tp}, nil}); out.Code != CodeFenced && out.Code != CodeUnknownProducer {
		t.Fatalf("a fenced producer began a transaction: %+v", out)
	}
}

// check reads every partition like a consumer of committed records.
func (w *txnWorld) check(t testing.TB) {
	t.Helper()
	for tp, records := range w.records {
		h, ok := w.state.Partition(tp)
		if !ok {
			t.Fatalf("partition %v is gone", tp)
		}
		seen := w.committed(tp, h)
		for _, r := range records {
			if r.first < h.LogStart {
				continue
			}
			commit, ended := w.ends[r.txn]
			plain := r.txn == txnKey{}
			if !plain && !ended && r.first < h.Stable {
				t.Fatalf("offset %d of a transaction under way lies below the last stable offset %d", r.first, h.Stable)
			}
			want := r.first < h.Stable && (plain || commit)
			if seen[r.first] != want {
				t.Fatalf("offset %d of %v at stable %d: seen %v, wanted %v", r.first, r.txn, h.Stable, seen[r.first], want)
			}
		}
	}
}

// committed returns the first offsets of the runs that a consumer returns.
func (w *txnWorld) committed(tp TopicPartition, h PartitionView) map[Offset]bool {
	producer := map[Offset]ProducerID{}
	for _, r := range w.records[tp] {
		if producer[r.first] = NoProducer; r.txn != (txnKey{}) {
			producer[r.first] = w.producerOf(tp, r)
		}
	}
	aborted := w.state.AbortedTxns(nil, tp, h.LogStart, h.Stable)
	seen := map[Offset]bool{}
	for _, r := range w.records[tp] {
		out := r.first >= h.Stable || r.first < h.LogStart
		for _, a := range aborted {
			out = out || producer[r.first] == a.Producer && a.First <= r.first && r.first < a.Last
		}
		seen[r.first] = !out
	}
	return seen
}

func (w *txnWorld) producerOf(tp TopicPartition, r txnRecord) ProducerID {
	for _, sp := range w.state.Spans(nil, tp, r.first, 1<<20) {
		if sp.Marker() && w.startOf(sp, r.txn) {
			return ProducerID(sp.Position)
		}
	}
	v, _ := w.state.Txn(r.txn.id)
	return v.Producer
}

// startOf: the first marker after a record of a producer that ever had the
// transactional id belongs to the record.
func (w *txnWorld) startOf(sp Span, k txnKey) bool {
	return w.producers[ProducerID(sp.Position)] == k.id
}

func TestReadersOfCommittedRecordsSeeWholeTransactionsOnly(t *testing.T) {
	for seed := range uint64(30) {
		w := newTxnWorld(t, seed)
		store := newMemStore()
		for i := range 600 {
			w.txnStep(t)
			if i%20 == 19 {
				w.check(t)
			}
		}
		commits, aborts := 0, 0
		for _, c := range w.ends {
			if c {
				commits++
			} else {
				aborts++
			}
		}
		if commits < 10 || aborts < 10 {
			t.Fatalf("seed %d: %d commits, %d aborts say nothing", seed, commits, aborts)
		}
		var ckpt Checkpointer
		if err := store.Put(t.Context(), "k", ckpt.Encode(w.state.snapshot(), "k")); err != nil {
			t.Fatal(err)
		}
		loaded, err := LoadCheckpoint(t.Context(), store, "k")
		if err != nil {
			t.Fatal(err)
		}
		if loaded.pendingOffsets != w.state.pendingOffsets || len(loaded.ongoingTxns) != len(w.state.ongoingTxns) || len(loaded.txnByProducer) != len(w.state.txnByProducer) {
			t.Fatalf("derived state differs: %d/%d pending, %d/%d ongoing, %d/%d owners", loaded.pendingOffsets, w.state.pendingOffsets,
				len(loaded.ongoingTxns), len(w.state.ongoingTxns), len(loaded.txnByProducer), len(w.state.txnByProducer))
		}
	}
}

func offsetOf(g *GroupView, tp TopicPartition) OffsetCommit {
	o, _ := g.Offsets.Get(tp)
	return o
}
