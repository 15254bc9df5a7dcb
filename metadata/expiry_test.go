package metadata

import (
	"fmt"
	"testing"
)

// A config of all brokers applies from the next tick on, and an idle producer or
// transactional id is dropped soon after; but no producer in a transaction.
func TestWhatIsIdleIsForgottenWhenTheConfigsOfAllBrokersSay(t *testing.T) {
	r := newTxnRig(t)
	set := func(producer, txn int) {
		r.is(r.do(t, SetConfigs{ResourceBroker, "", map[string]string{ProducerExpiryConfig: fmt.Sprint(producer), TxnExpiryConfig: fmt.Sprint(txn)}, nil}), CodeOK)
	}
	pass := func(seconds int) {
		for range 4 * seconds {
			r.do(t, Tick{r.state.time + 250})
		}
	}
	known := func(producers int, txn bool) {
		t.Helper()
		if got := r.state.Producers(r.tp); len(got) != producers {
			t.Fatalf("producers %+v, want %d", got, producers)
		}
		if v, ok := r.state.Txn("x"); ok != txn {
			t.Fatalf("transactional id %+v, known: %v", v, ok)
		}
	}
	set(5000, 10_000)
	p, e := r.init()
	r.batch(p, e, 0, 0)
	pass(20)
	known(1, true)
	r.is(r.do(t, EndTxn{"x", p, e, false, true, 0}), CodeOK)
	pass(4)
	known(0, true)
	pass(4)
	known(0, true)
	pass(4)
	known(0, false)

	set(3_600_000, 3_600_000)
	p, e = r.init()
	r.batch(p, e, 0, 0)
	r.is(r.do(t, EndTxn{"x", p, e, true, true, 0}), CodeOK)
	pass(60)
	known(1, true)
	r.is(r.do(t, SetConfigs{ResourceBroker, "", nil, []string{ProducerExpiryConfig, TxnExpiryConfig}}), CodeOK)
	pass(60)
	known(1, true)
}

// As many pages as a table has are due in a round, however long the ticks are.
func TestASweepLeavesNoPageOut(t *testing.T) {
	for _, expiry := range []UnixMilli{1, 100, 5000, 3_600_000, ProducerExpiry, TxnExpiry} {
		for _, step := range []UnixMilli{1, 250, 1000, MaxTickStep} {
			round := min(max(expiry/20, 1), 64*60_000)
			due, now := 0, UnixMilli(1_699_999_980_000)
			for end := now + round; now < end; now += step {
				due += pagesDue(now, now+step, expiry)
			}
			if due < tablePages {
				t.Fatalf("expiry %d, ticks of %d: %d pages are due in a round", expiry, step, due)
			}
		}
	}
}

// A tick drops and looks at a bounded number of items, every broker the same ones,
// and in the end all that are idle are gone.
func TestATickExpiresABoundedNumber(t *testing.T) {
	r := newTxnRig(t)
	r.is(r.do(t, SetConfigs{ResourceBroker, "", map[string]string{ProducerExpiryConfig: "1000"}, nil}), CodeOK)
	const producers = 3*maxExpiryDrops + 7
	out := r.is(r.do(t, AllocateProducers{producers}), CodeOK)
	for i := range ProducerID(producers) {
		if out := r.run(t, r.tp, Run{Producer: ProducerID(out.Value) + i, Batches: 1, Records: 1, Bytes: 100}); out.Code != CodeOK {
			t.Fatal(out)
		}
	}
	twin := reload(t, r.state)
	left := r.state.producers.count
	if left != producers {
		t.Fatalf("%d producers", left)
	}
	for ticks := 0; left > 0; ticks++ {
		c, _ := r.commit(t, &Entry{Session: r.sessions[0], Commands: []Command{Tick{r.state.time + 5000}}})
		twin.Apply(&c)
		if twin.Hash() != r.state.Hash() {
			t.Fatalf("tick %d: two brokers dropped other producers", ticks)
		}
		if dropped := left - r.state.producers.count; dropped > maxExpiryDrops || ticks > 10 {
			t.Fatalf("tick %d dropped %d producers, %d are left", ticks, dropped, r.state.producers.count)
		}
		left = r.state.producers.count
		if ticks == 1 {
			twin = reload(t, twin)
		}
	}
	if p := r.state.partitions.get(r.tp); p.producerCount != 0 {
		t.Errorf("the partition counts %d producers", p.producerCount)
	}
}

// The times at which producer ids were assigned are kept for as long as a
// producer is, also where that is longer than by default.
func TestErasOfProducerIDsLastAsLongAsProducers(t *testing.T) {
	for _, days := range []UnixMilli{1, 3} {
		r := newTxnRig(t)
		if days != 1 {
			r.is(r.do(t, SetConfigs{ResourceBroker, "", map[string]string{ProducerExpiryConfig: fmt.Sprint(days * ProducerExpiry)}, nil}), CodeOK)
		}
		r.init()
		first := r.state.producerIDBlocks[0]
		for range 4 {
			r.tick(r.state.time + ProducerExpiry/2)
			r.is(r.do(t, AllocateProducers{1}), CodeOK)
		}
		if kept := r.state.producerIDBlocks[0] == first; kept != (days == 3) {
			t.Errorf("remembered for %d days: the first era is kept: %v, %+v", days, kept, r.state.producerIDBlocks)
		}
	}
}
