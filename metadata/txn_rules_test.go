package metadata

import (
	"fmt"
	"testing"
)

// txnRig is a state with one topic and one transactional id.
type txnRig struct {
	*txnWorld
	t  *testing.T
	tp TopicPartition
}

func newTxnRig(t *testing.T) *txnRig {
	w := newTxnWorld(t, 99)
	return &txnRig{w, t, TopicPartition{w.topics[0], 0}}
}

func (r *txnRig) is(out CommandOutcome, want Code) CommandOutcome {
	r.t.Helper()
	if out.Code != want {
		r.t.Fatalf("%v (%s), want %v", out.Code, out.Text, want)
	}
	return out
}

// tick moves state time to a time, in as many steps as that takes.
func (r *txnRig) tick(to UnixMilli) {
	for r.state.time < to {
		r.do(r.t, Tick{min(to, r.state.time+MaxTickStep)})
	}
}

func (r *txnRig) init() (ProducerID, ProducerEpoch) {
	out := r.is(r.do(r.t, InitTxn{"x", NoProducer, -1, 60_000}), CodeOK)
	return ProducerID(out.Value), out.Epoch
}

func (r *txnRig) batch(p ProducerID, e ProducerEpoch, seq Sequence, start Revision) RunOutcome {
	return r.run(r.t, r.tp, Run{Producer: p, Epoch: e, FirstSequence: seq, Batches: 1, Records: 1, Bytes: 100, Transactional: true, TxnStart: start})
}

// A batch or an end of the older protocol that arrives late counts for the
// transaction in which it was received, or not at all.
func TestLateRequestsOfTheOlderProtocolMissTheNextTransaction(t *testing.T) {
	r := newTxnRig(t)
	p, e := r.init()
	add := AddToTxn{"x", p, e, []TopicPartition{r.tp}, nil}
	first := Revision(r.is(r.do(t, add), CodeOK).Value)
	if out := r.batch(p, e, 0, first); out.Code != CodeOK {
		t.Fatal(out)
	}
	r.is(r.do(t, EndTxn{"x", p, e, true, false, first}), CodeOK)
	if out := r.batch(p, e, 1, first); out.Code != CodeTxnState {
		t.Fatalf("a batch of the ended transaction: %+v", out)
	}
	second := Revision(r.is(r.do(t, add), CodeOK).Value)
	if out := r.batch(p, e, 1, first); out.Code != CodeTxnState {
		t.Fatalf("a batch of the first transaction in the second: %+v", out)
	}
	r.is(r.do(t, EndTxn{"x", p, e, true, false, first}), CodeConcurrent)
	if out := r.batch(p, e, 1, second); out.Code != CodeOK {
		t.Fatal(out)
	}
	if out := r.run(t, TopicPartition{r.tp.Topic, 1}, Run{Producer: p, Epoch: e, Batches: 1, Records: 1, Bytes: 100, Transactional: true, TxnStart: second}); out.Code != CodeTxnState {
		t.Fatalf("a partition that was not added: %+v", out)
	}
	r.is(r.do(t, EndTxn{"x", p, e, false, false, second}), CodeOK)
}

// The table of KIP-890: the result of each request in each state.
func TestEndOfTheNewerProtocolIsAnsweredByItsTable(t *testing.T) {
	const (
		abortAgain = iota
		abortNow
		commitAgain
		commitNow
	)
	for status, want := range map[TxnStatus][4]Code{
		TxnEmpty:     {CodeFenced, CodeOK, CodeFenced, CodeTxnState},
		TxnAborted:   {CodeOK, CodeOK, CodeTxnState, CodeTxnState},
		TxnCommitted: {CodeTxnState, CodeOK, CodeOK, CodeTxnState},
		TxnOngoing:   {CodeFenced, CodeOK, CodeFenced, CodeOK},
	} {
		for ask := range 4 {
			r := newTxnRig(t)
			p, e := r.init()
			if status == TxnCommitted || status == TxnAborted {
				r.batch(p, e, 0, 0)
				e = r.is(r.do(t, EndTxn{"x", p, e, status == TxnCommitted, true, 0}), CodeOK).Epoch
			} else {
				e = r.is(r.do(t, InitTxn{"x", p, e, 60_000}), CodeOK).Epoch // so that there is an epoch before
			}
			if status == TxnOngoing {
				r.batch(p, e, 0, 0)
			}
			asked := e
			if ask == abortAgain || ask == commitAgain {
				asked--
			}
			out := r.is(r.do(t, EndTxn{"x", p, asked, ask == commitAgain || ask == commitNow, true, 0}), want[ask])
			if out.Code == CodeOK && out.Epoch != asked+1 {
				t.Errorf("%v, case %d: epoch %d after %d", status, ask, out.Epoch, asked)
			}
		}
	}
}

// A transaction ends at its timeout in state time, not before; its producer is
// fenced, and readers go on.
func TestATransactionIsAbortedWhenItsTimeIsOver(t *testing.T) {
	r := newTxnRig(t)
	p, e := r.init()
	r.batch(p, e, 0, 0)
	v, _ := r.state.Txn("x")
	if late := r.state.TimedOutTxns(10); len(late) != 0 {
		t.Fatalf("late at once: %+v", late)
	}
	r.is(r.do(t, AbortTxn{"x", v.Start, false}), CodeTxnState)
	r.tick(v.Started + 59_999)
	r.is(r.do(t, AbortTxn{"x", v.Start, false}), CodeTxnState)
	r.tick(v.Started + 60_000)
	late := r.state.TimedOutTxns(10)
	if len(late) != 1 {
		t.Fatalf("late: %+v", late)
	}
	r.is(r.do(t, AbortTxn{"x", v.Start - 1, false}), CodeTxnState)
	r.is(r.do(t, late[0]), CodeOK)
	if h, _ := r.state.Partition(r.tp); h.Stable != h.Next || h.Next != 2 {
		t.Fatalf("%+v", h)
	}
	if out := r.batch(p, e, 1, 0); out.Code != CodeStaleEpoch {
		t.Fatalf("%+v", out)
	}
	r.is(r.do(t, EndTxn{"x", p, e, false, true, 0}), CodeFenced)
	r.is(r.do(t, EndTxn{"x", p, e, false, false, v.Start}), CodeFenced)
}

// When the epochs of a producer id are used up the transactional id continues
// with another, and repeated requests still get their responses.
func TestEpochsThatAreUsedUpRollOver(t *testing.T) {
	r := newTxnRig(t)
	p, _ := r.init()
	r.state.txns.edit("x", func(t *txnState) { t.epoch = maxProducerEpoch })
	r.batch(p, maxProducerEpoch, 0, 0)
	end := EndTxn{"x", p, maxProducerEpoch, true, true, 0}
	out := r.is(r.do(t, end), CodeOK)
	if ProducerID(out.Value) == p || out.Epoch != 0 {
		t.Fatalf("%+v after producer id %d", out, p)
	}
	if again := r.is(r.do(t, end), CodeOK); again.Value != out.Value || again.Epoch != 0 {
		t.Fatalf("%+v, first %+v", again, out)
	}
	if again := r.is(r.do(t, InitTxn{"x", p, maxProducerEpoch, 60_000}), CodeOK); again.Value != out.Value {
		t.Fatalf("%+v, first %+v", again, out)
	}
	if late := r.batch(p, maxProducerEpoch, 1, 0); late.Code != CodeUnknownProducer {
		t.Fatalf("%+v", late)
	}
}

// A recovery aborts the transactions under way, as part of them may be lost.
// Their markers are beyond every offset that the lost tail can have assigned.
func TestARecoveryAbortsWhatIsUnderWay(t *testing.T) {
	r := newTxnRig(t)
	p, e := r.init()
	r.batch(p, e, 0, 0)
	before, _ := r.state.Partition(r.tp)
	id := SessionID(Incarnation(2).Base()) + 5
	r.rev = Revision(id) + 1
	r.lanes[id] = new([LaneCount]LaneSeq)
	r.sessions = []SessionID{id}
	_, out := r.commit(t, &Entry{Session: id, Commands: []Command{OpenSession{Want: NoBroker, Zone: "a", MinLevel: 1, MaxLevel: 1}, RecoverCluster{Incarnation: 2}}})
	if out.Code != CodeOK || out.Commands[1].Code != CodeOK {
		t.Fatalf("%+v", out)
	}
	h, _ := r.state.Partition(r.tp)
	if h.Stable != h.Next || h.Next < before.Next+recoveryOffsetJump {
		t.Fatalf("%+v, before %+v", h, before)
	}
	if a := r.state.AbortedTxns(nil, r.tp, 0, h.Next); len(a) != 1 || a[0].Producer != p || a[0].Last < before.Next+recoveryOffsetJump {
		t.Fatalf("aborted %+v", a)
	}
	r.is(r.do(t, EndTxn{"x", p, e, true, true, 0}), CodeUnknownProducer)
	if q, _ := r.init(); q == p {
		t.Fatal("the lost tail may have used this producer id's epochs")
	}
}

// Limits are enforced, and ids that are idle for a week are dropped.
func TestIdleTransactionalIDsAreForgotten(t *testing.T) {
	r := newTxnRig(t)
	p, _ := r.init()
	r.state.time += TxnExpiry + 1 // ticking through a week would take a while
	for range 64 {
		r.do(t, Tick{r.state.time + 60_000})
	}
	if v, ok := r.state.Txn("x"); ok {
		t.Fatalf("%+v", v)
	}
	if _, ok := r.state.TxnByProducer(p); ok {
		t.Fatal("its producer id is still known")
	}
}

// Offsets of a transaction are accepted from the current holder of the group's
// slot only: a former one may not have the group's current members.
func TestPositionsOfATransactionComeFromTheSlotsHolder(t *testing.T) {
	r := newTxnRig(t)
	p, e := r.init()
	slot := GroupSlotRole(GroupSlot("g"))
	old := r.state.RoleEpoch(slot)
	at := func(epoch RoleEpoch, offset Offset) TxnOffsets {
		return TxnOffsets{"x", p, e, "g", epoch, true, []OffsetCommit{{r.tp.Topic, r.tp.Partition, offset, 0, "", 0}}}
	}
	r.is(r.do(t, at(old, 1)), CodeOK)
	r.is(r.do(t, ClaimRole{slot, old + 5}), CodeOK)
	r.is(r.do(t, at(old, 2)), CodeStaleRole)
	r.is(r.do(t, at(old+4, 2)), CodeStaleRole)
	r.is(r.do(t, at(old+5, 3)), CodeOK)
	r.is(r.do(t, EndTxn{"x", p, e, true, true, 0}), CodeOK)
	if v, _ := r.state.Group("g"); v.Offsets.Len() != 1 || offsetOf(&v, r.tp).Offset != 3 {
		t.Fatalf("the group stands at %+v", v.Offsets)
	}
}

// The later offset of a group counts: a plain commit after a transaction's stays
// when the transaction commits, and is replaced by one of the transaction that
// came after it.
func TestALaterPlainCommitOutlivesATransactions(t *testing.T) {
	for _, again := range []bool{false, true} {
		r := newTxnRig(t)
		p, e := r.init()
		slot := r.state.RoleEpoch(GroupSlotRole(GroupSlot("g")))
		at := func(offset Offset) []OffsetCommit {
			return []OffsetCommit{{r.tp.Topic, r.tp.Partition, offset, 0, "", 0}}
		}
		r.is(r.do(t, TxnOffsets{"x", p, e, "g", slot, true, at(75)}), CodeOK)
		r.is(r.do(t, CommitOffsets{"g", slot, at(42)}), CodeOK)
		want := Offset(42)
		if again {
			want = 76
			r.is(r.do(t, TxnOffsets{"x", p, e, "g", slot, true, at(want)}), CodeOK)
		}
		if v, _ := r.state.Group("g"); offsetOf(&v, r.tp).Offset != 42 || !r.state.OffsetPending("g", r.tp) {
			t.Fatalf("before the end: %+v", v.Offsets)
		}
		r.is(r.do(t, EndTxn{"x", p, e, true, true, 0}), CodeOK)
		if v, _ := r.state.Group("g"); offsetOf(&v, r.tp).Offset != want {
			t.Fatalf("the group stands at %+v, want %d", v.Offsets, want)
		}
	}
}

// An offset that is deleted, alone or with its group, while a transaction has
// another for the same partition, is gone when the transaction commits; those of
// other groups are not. A group with only such an offset exists, and stays when
// that is deleted.
func TestADeletedPositionIsNotCommitted(t *testing.T) {
	deletions := map[string]func(r *txnRig, slot RoleEpoch) Command{
		"offsets": func(r *txnRig, slot RoleEpoch) Command { return DeleteOffsets{"g", slot, []TopicPartition{r.tp}} },
		"group":   func(_ *txnRig, slot RoleEpoch) Command { return DeleteGroup{slot, "g"} },
	}
	for what, deletion := range deletions {
		for _, stored := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/stored=%v", what, stored), func(t *testing.T) {
				r := newTxnRig(t)
				p, e := r.init()
				slot := r.state.RoleEpoch(GroupSlotRole(GroupSlot("g")))
				at := []OffsetCommit{{r.tp.Topic, r.tp.Partition, 75, 0, "", 0}}
				if stored {
					r.is(r.do(t, CommitOffsets{"g", slot, at}), CodeOK)
				} else {
					r.is(r.do(t, deletion(r, slot)), CodeUnknownGroup)
				}
				r.is(r.do(t, TxnOffsets{"x", p, e, "g", slot, true, at}), CodeOK)
				r.is(r.do(t, TxnOffsets{"x", p, e, "other", r.state.RoleEpoch(GroupSlotRole(GroupSlot("other"))), true, at}), CodeOK)
				r.is(r.do(t, deletion(r, slot)), CodeOK)
				stays := what == "offsets"
				if r.state.OffsetPending("g", r.tp) || r.state.HasGroup("g") != stays || !r.state.OffsetPending("other", r.tp) || !r.state.HasGroup("other") {
					t.Fatal("pending: not what was left of the two groups")
				}
				if !stays {
					r.is(r.do(t, deletion(r, slot)), CodeUnknownGroup)
				}
				r.is(r.do(t, EndTxn{"x", p, e, true, true, 0}), CodeOK)
				if v, ok := r.state.Group("g"); ok != stays || v.Offsets.Len() > 0 {
					t.Errorf("the group stands at %+v", v.Offsets)
				}
				if v, _ := r.state.Group("other"); offsetOf(&v, r.tp).Offset != 75 {
					t.Errorf("the other group stands at %+v", v.Offsets)
				}
				if r.state.pendingOffsets != 0 {
					t.Errorf("%d pending after the end", r.state.pendingOffsets)
				}
			})
		}
	}
}

// A group whose offsets are all gone, one by one, with the topic, or with an
// aborted transaction, stays until its next expiry, as in Kafka. While a
// transaction has an offset of it, it survives that, too.
func TestAGroupWithoutPositionsStaysUntilItIsLookedAt(t *testing.T) {
	for _, lost := range []string{"deleted", "with its topic", "aborted"} {
		t.Run(lost, func(t *testing.T) {
			r := newTxnRig(t)
			p, e := r.init()
			slot := r.state.RoleEpoch(GroupSlotRole(GroupSlot("g")))
			at := []OffsetCommit{{r.tp.Topic, r.tp.Partition, 75, 0, "", 0}}
			look := ExpireOffsets{Group: "g", Epoch: slot, Before: 1, Partitions: nil}
			switch lost {
			case "deleted":
				r.is(r.do(t, CommitOffsets{"g", slot, at}), CodeOK)
				r.is(r.do(t, DeleteOffsets{"g", slot, []TopicPartition{r.tp}}), CodeOK)
			case "with its topic":
				r.is(r.do(t, CommitOffsets{"g", slot, at}), CodeOK)
				r.is(r.do(t, DeleteTopic{ID: r.tp.Topic}), CodeOK)
				r.is(r.do(t, ReleaseQueued{MaxReleaseItems}), CodeOK)
			case "aborted":
				r.is(r.do(t, TxnOffsets{"x", p, e, "g", slot, true, at}), CodeOK)
				r.is(r.do(t, look), CodeOK)
				r.is(r.do(t, EndTxn{"x", p, e, false, true, 0}), CodeOK)
			}
			if v, ok := r.state.Group("g"); !ok || v.Offsets.Len() > 0 {
				t.Fatalf("group there: %v, %+v", ok, v.Offsets)
			}
			var c Checkpointer
			store := newMemStore()
			if err := store.Put(t.Context(), "k", c.Encode(r.state.snapshot(), "k")); err != nil {
				t.Fatal(err)
			}
			again, err := LoadCheckpoint(t.Context(), store, "k")
			if err != nil {
				t.Fatal(err)
			}
			if again.Hash() != r.state.Hash() || !again.HasGroup("g") {
				t.Errorf("a checkpoint leaves the group: %v", again.HasGroup("g"))
			}
			r.is(r.do(t, look), CodeOK)
			if r.state.HasGroup("g") || r.state.groups.count != 0 {
				t.Error("it is there after it was looked at")
			}
		})
	}
}

// State time that stood still, and catches up in one tick, does not shorten a
// transaction: it began when its entry was made.
func TestAStaleStateTimeShortensNoTransaction(t *testing.T) {
	r := newTxnRig(t)
	p, e := r.init()
	r.rev += 40_000 // ms later by the writers' clocks, and no tick since
	r.batch(p, e, 0, 0)
	began := 1_700_000_000_000 + UnixMilli(r.rev) // the entry's time
	v, _ := r.state.Txn("x")
	r.tick(began + 30_000)
	if late := r.state.TimedOutTxns(10); len(late) != 0 {
		t.Fatalf("%+v of a transaction that is 30 s old and may be 60", late)
	}
	r.is(r.do(t, AbortTxn{"x", v.Start, false}), CodeTxnState)
	r.tick(began + 60_000)
	r.is(r.do(t, AbortTxn{"x", v.Start, false}), CodeOK)
}

// A marker has the time of the entry that ends its transaction: not before state
// time, and at most a tick after it.
func TestAMarkerHasTheTimeOfItsEntry(t *testing.T) {
	r := newTxnRig(t)
	p, e := r.init()
	ended := func() UnixMilli {
		t.Helper()
		if out := r.batch(p, e, 0, 0); out.Code != CodeOK { // a new epoch each time
			t.Fatal(out)
		}
		out := r.is(r.do(t, EndTxn{"x", p, e, true, true, 0}), CodeOK)
		e = out.Epoch
		v, _ := r.state.Partition(r.tp)
		spans := r.state.Spans(nil, r.tp, v.Next-1, 1)
		if len(spans) != 1 || spans[0].Object != MarkerCommit {
			t.Fatalf("spans %+v", spans)
		}
		return spans[0].MaxTimestamp
	}
	clock := func() UnixMilli { return 1_700_000_000_000 + UnixMilli(r.rev) }
	r.rev += 3000
	if got := ended(); got != clock() || got <= r.state.time {
		t.Errorf("marker of %d, entry of %d, state time %d", got, clock(), r.state.time)
	}
	r.do(t, Tick{r.state.time + 30_000})
	if got := ended(); got != r.state.time || got <= clock() {
		t.Errorf("behind state time: marker of %d, entry of %d, state time %d", got, clock(), r.state.time)
	}
	r.rev += 10_000_000
	if got := ended(); got != r.state.time+MaxTickStep {
		t.Errorf("a clock far ahead: marker of %d, entry of %d, state time %d", got, clock(), r.state.time)
	}
}
