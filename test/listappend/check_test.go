package listappend

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

func sendOp(partition int, v Value, offset int64) Op {
	return Op{Kind: Send, Partition: partition, Sent: Record{offset, v}}
}

// pollOp reads value, offset, value, offset ... from offset 0.
func pollOp(partition int, vo ...int64) Op {
	op := Op{Kind: Poll, Partition: partition, Assigned: true}
	for i := 0; i < len(vo); i += 2 {
		op.Read = append(op.Read, Record{vo[i+1], Value(vo[i])})
	}
	return op
}

func continuedPoll(op Op) Op { op.Assigned = false; return op }
func opAt(op Op, t int64) Op { op.At = t; return op }

func newTxn(process int, s Status, ops ...Op) Transaction {
	return Transaction{Process: process, Status: s, Ops: ops}
}

func wholeHistory(t ...Transaction) History   { return History{Transactions: t, ReadWhole: true} }
func partialHistory(t ...Transaction) History { return History{Transactions: t} }

func withEnding(t Transaction, when int64) Transaction { t.Ending = when; return t }

func TestEachKindOfBadHistoryIsFoundAndNamed(t *testing.T) {
	for name, c := range map[string]struct {
		h    History
		want []string
	}{
		"all well":         {wholeHistory(newTxn(1, Committed, sendOp(0, 1, 0), sendOp(1, 2, 0)), newTxn(9, Committed, pollOp(0, 1, 0)), newTxn(9, Committed, pollOp(1, 2, 0))), nil},
		"aborted, gone":    {wholeHistory(newTxn(1, Aborted, sendOp(0, 1, 0)), newTxn(9, Committed, pollOp(0))), nil},
		"unknown, gone":    {wholeHistory(newTxn(1, Info, sendOp(0, 1, 0), sendOp(1, 2, 0)), newTxn(9, Committed, pollOp(0))), nil},
		"unknown, there":   {wholeHistory(newTxn(1, Info, sendOp(0, 1, 0), sendOp(1, 2, 0)), newTxn(9, Committed, pollOp(0, 1, 0), pollOp(1, 2, 0))), nil},
		"not read so far":  {partialHistory(newTxn(1, Committed, sendOp(0, 1, 0), sendOp(0, 2, 1)), newTxn(9, Committed, pollOp(0, 1, 0))), nil},
		"a gap of markers": {wholeHistory(newTxn(1, Committed, sendOp(0, 1, 0)), newTxn(1, Committed, sendOp(0, 2, 4)), newTxn(9, Committed, pollOp(0, 1, 0, 2, 4))), nil},

		"lost":                         {partialHistory(newTxn(1, Committed, sendOp(0, 1, 0)), newTxn(2, Committed, sendOp(0, 2, 2)), newTxn(9, Committed, pollOp(0, 2, 2))), []string{LostWrite}},
		"unseen":                       {wholeHistory(newTxn(1, Committed, sendOp(0, 1, 0)), newTxn(9, Committed, pollOp(0))), []string{Unseen}},
		"twice":                        {wholeHistory(newTxn(1, Committed, sendOp(0, 1, 0)), newTxn(9, Committed, pollOp(0, 1, 0, 1, 3))), []string{Duplicate}},
		"moved":                        {wholeHistory(newTxn(1, Committed, sendOp(0, 1, 0)), newTxn(9, Committed, pollOp(0, 1, 1))), []string{PartialRead, Duplicate}},
		"one offset, two acknowledged": {partialHistory(newTxn(1, Committed, sendOp(0, 1, 5)), newTxn(2, Committed, sendOp(0, 2, 5))), []string{InconsistentOffset}},
		"one offset, two read":         {wholeHistory(newTxn(1, Committed, sendOp(0, 1, Unknown)), newTxn(2, Committed, sendOp(0, 2, Unknown)), newTxn(8, Committed, pollOp(0, 1, 0)), newTxn(9, Committed, pollOp(0, 2, 0))), []string{InconsistentOffset}},
		"from nowhere":                 {wholeHistory(newTxn(9, Committed, pollOp(0, 7, 0))), []string{Phantom}},
		"other partition":              {wholeHistory(newTxn(1, Info, sendOp(1, 7, 0)), newTxn(9, Committed, pollOp(0, 7, 0))), []string{Phantom}},
		"aborted, read":                {wholeHistory(newTxn(1, Aborted, sendOp(0, 1, 0)), newTxn(9, Committed, pollOp(0, 1, 0))), []string{AbortedRead}},
		"own write":                    {wholeHistory(newTxn(1, Committed, sendOp(0, 1, 0), pollOp(0, 1, 0))), []string{UncommittedRead}},
		"too early":                    {wholeHistory(withEnding(newTxn(1, Committed, sendOp(0, 1, 0)), 10), newTxn(9, Committed, opAt(pollOp(0, 1, 0), 9))), []string{UncommittedRead}},
		"half of unknown":              {wholeHistory(newTxn(1, Info, sendOp(0, 1, 0), sendOp(1, 2, 0)), newTxn(9, Committed, pollOp(0, 1, 0), pollOp(1))), []string{PartialRead}},
		"half, by the way":             {partialHistory(newTxn(1, Info, sendOp(0, 1, 0), sendOp(1, 2, 0)), newTxn(2, Committed, sendOp(1, 3, 2)), newTxn(9, Committed, pollOp(0, 1, 0), pollOp(1, 3, 2))), []string{PartialRead}},
		"half, one reader":             {wholeHistory(newTxn(1, Committed, sendOp(0, 1, 0), sendOp(1, 2, 0)), newTxn(2, Committed, sendOp(1, 3, 2)), newTxn(8, Committed, pollOp(0, 1, 0), pollOp(1, 3, 2)), newTxn(9, Committed, pollOp(1, 2, 0, 3, 2))), []string{PartialRead}},
		"skip within":                  {wholeHistory(newTxn(1, Committed, sendOp(0, 1, 0)), newTxn(1, Committed, sendOp(0, 2, 2)), newTxn(8, Committed, pollOp(0, 2, 2)), newTxn(9, Committed, pollOp(0, 1, 0, 2, 2))), []string{PollSkip}},
		"skip between": {wholeHistory(newTxn(1, Committed, sendOp(0, 1, 0)), newTxn(2, Committed, sendOp(0, 2, 2)), newTxn(3, Committed, sendOp(0, 3, 4)),
			newTxn(8, Committed, pollOp(0, 1, 0)), newTxn(8, Committed, continuedPoll(pollOp(0, 3, 4))), newTxn(9, Committed, pollOp(0, 1, 0, 2, 2, 3, 4))), []string{PollSkip}},
		"backwards":         {wholeHistory(newTxn(1, Committed, sendOp(0, 1, 0), sendOp(0, 2, 1)), newTxn(9, Committed, pollOp(0, 1, 0, 2, 1)), newTxn(9, Committed, continuedPoll(pollOp(0, 1, 0)))), []string{NonmonotonicPoll}},
		"send within":       {wholeHistory(newTxn(1, Committed, sendOp(0, 1, 1), sendOp(0, 2, 0)), newTxn(9, Committed, pollOp(0, 2, 0, 1, 1))), []string{NonmonotonicSend}},
		"send of a process": {wholeHistory(newTxn(1, Aborted, sendOp(0, 1, 4)), newTxn(1, Committed, sendOp(0, 2, 1)), newTxn(9, Committed, pollOp(0, 2, 1))), []string{NonmonotonicSend}},
		"G0": {wholeHistory(newTxn(1, Committed, sendOp(0, 1, 0), sendOp(1, 2, 1)), newTxn(2, Committed, sendOp(0, 3, 1), sendOp(1, 4, 0)),
			newTxn(9, Committed, pollOp(0, 1, 0, 3, 1), pollOp(1, 4, 0, 2, 1))), []string{CycleG0}},
		"G1c":                {wholeHistory(newTxn(1, Committed, sendOp(0, 1, 0), pollOp(1, 2, 0)), newTxn(2, Committed, sendOp(1, 2, 0), pollOp(0, 1, 0))), []string{CycleG1c}},
		"G1c of three":       {wholeHistory(newTxn(1, Committed, sendOp(0, 1, 0), pollOp(2, 3, 0)), newTxn(2, Committed, sendOp(1, 2, 0), pollOp(0, 1, 0)), newTxn(3, Committed, sendOp(2, 3, 0), pollOp(1, 2, 0))), []string{CycleG1c}},
		"G1c with a ww edge": {wholeHistory(newTxn(1, Committed, sendOp(0, 1, 0), pollOp(1, 4, 0)), newTxn(2, Committed, sendOp(0, 3, 1), sendOp(1, 4, 0)), newTxn(9, Committed, pollOp(0, 1, 0, 3, 1))), []string{CycleG1cWW}},
	} {
		t.Run(name, func(t *testing.T) {
			r := Check(c.h)
			var got []string
			for kind := range r.Counts {
				got = append(got, kind)
			}
			slices.Sort(got)
			if !slices.Equal(got, c.want) {
				t.Fatalf("found %v, want %v: %v", got, c.want, r.Examples)
			}
		})
	}
}

func TestCleanHistoriesOfThousandsOfTransactionsPass(t *testing.T) {
	allowed := map[string]int{}
	for seed := range uint64(5) {
		h := randomHistory(seed, 3000)
		r := Check(h)
		if r.Forbidden() > 0 {
			t.Fatalf("seed %d: %v", seed, r.Examples)
		}
		if r.Records < 1000 {
			t.Fatalf("seed %d: %d records read: the model does too little", seed, r.Records)
		}
		for kind, n := range r.Counts {
			allowed[kind] += n
		}
	}
	if allowed[CycleG0] == 0 || allowed[CycleG1cWW] == 0 {
		t.Fatalf("found %v: open transactions of the model interleave, so both allowed cycles must show", allowed)
	}
}

// harm damages a clean history in one place; it returns false if it found none.
type harm struct {
	kinds []string // any of them is a correct finding
	do    func(h *History, r *rand.Rand) bool
}

func anomalyHarms() map[string]harm {
	return map[string]harm{
		"a record vanishes": {[]string{LostWrite, Unseen, PartialRead}, func(h *History, r *rand.Rand) bool {
			v, ok := pickRecord(h, r)
			eachOp(h, func(t int, op *Op) {
				if op.Kind == Send && op.Sent.Value == v.Value && h.Transactions[t].Status != Committed {
					ok = false // of unknown outcome: it may have been aborted
				}
			})
			eachOp(h, func(t int, op *Op) {
				op.Read = slices.DeleteFunc(op.Read, func(x Record) bool { return x.Value == v.Value })
			})
			return ok
		}},
		"one reader misses it": {[]string{PollSkip, PartialRead}, func(h *History, r *rand.Rand) bool {
			var places []*Op
			seen := map[Value]int{}
			eachOp(h, func(t int, op *Op) {
				for _, x := range op.Read {
					seen[x.Value]++
				}
			})
			eachOp(h, func(t int, op *Op) {
				if len(op.Read) > 2 && seen[op.Read[1].Value] > 1 {
					places = append(places, op)
				}
			})
			if len(places) == 0 {
				return false
			}
			op := places[r.IntN(len(places))]
			op.Read = slices.Delete(op.Read, 1, 2)
			return true
		}},
		"a record comes back": {[]string{NonmonotonicPoll}, func(h *History, r *rand.Rand) bool {
			return inPoll(h, r, func(op *Op) { op.Read = append(op.Read, op.Read[0]) })
		}},
		"another offset": {[]string{Duplicate}, func(h *History, r *rand.Rand) bool {
			return inPoll(h, r, func(op *Op) { op.Read[len(op.Read)-1].Offset += 100_000 })
		}},
		"another value": {[]string{InconsistentOffset}, func(h *History, r *rand.Rand) bool {
			return inPoll(h, r, func(op *Op) { op.Read[0].Value = op.Read[1].Value })
		}},
		"an unknown value": {[]string{Phantom}, func(h *History, r *rand.Rand) bool {
			return inPoll(h, r, func(op *Op) { op.Read[0].Value = 1 << 40 })
		}},
		"a commit that was an abort": {[]string{AbortedRead}, func(h *History, r *rand.Rand) bool {
			v, ok := pickRecord(h, r)
			eachOp(h, func(t int, op *Op) {
				if op.Kind == Send && op.Sent.Value == v.Value {
					h.Transactions[t].Status = Aborted
				}
			})
			return ok
		}},
		"a commit asked for later": {[]string{UncommittedRead}, func(h *History, r *rand.Rand) bool {
			v, ok := pickRecord(h, r)
			eachOp(h, func(t int, op *Op) {
				if op.Kind == Send && op.Sent.Value == v.Value {
					h.Transactions[t].Ending = 1 << 40
				}
			})
			return ok
		}},
		"acknowledgements swapped": {[]string{NonmonotonicSend}, func(h *History, r *rand.Rand) bool {
			for _, at := range r.Perm(len(h.Transactions)) {
				ops := h.Transactions[at].Ops
				for i := range ops {
					for j := range i {
						if ops[i].Kind == Send && ops[j].Kind == Send && ops[i].Partition == ops[j].Partition {
							ops[i].Sent.Offset, ops[j].Sent.Offset = ops[j].Sent.Offset, ops[i].Sent.Offset
							return true
						}
					}
				}
			}
			return false
		}},
		"each reads the other": {[]string{CycleG1c}, func(h *History, r *rand.Rand) bool {
			h.Transactions = append(h.Transactions, newTxn(100, Committed, sendOp(90, 1<<30, 0), pollOp(91, 1<<31, 0)), newTxn(101, Committed, sendOp(91, 1<<31, 0), pollOp(90, 1<<30, 0)))
			return true
		}},
	}
}

func eachOp(h *History, do func(t int, op *Op)) {
	for t := range h.Transactions {
		for i := range h.Transactions[t].Ops {
			do(t, &h.Transactions[t].Ops[i])
		}
	}
}

// pickRecord picks a random record that was read.
func pickRecord(h *History, r *rand.Rand) (Record, bool) {
	var all []Record
	eachOp(h, func(_ int, op *Op) { all = append(all, op.Read...) })
	if len(all) == 0 {
		return Record{}, false
	}
	return all[r.IntN(len(all))], true
}

// inPoll calls do with a random poll of several records.
func inPoll(h *History, r *rand.Rand, do func(*Op)) bool {
	var all []*Op
	eachOp(h, func(_ int, op *Op) {
		if len(op.Read) > 1 {
			all = append(all, op)
		}
	})
	if len(all) == 0 {
		return false
	}
	do(all[r.IntN(len(all))])
	return true
}

func TestEachHarmDoneToARandomHistoryIsFound(t *testing.T) {
	for name, harm := range anomalyHarms() {
		t.Run(name, func(t *testing.T) {
			done := 0
			for seed := range uint64(25) {
				h, r := randomHistory(seed, 200), rand.New(rand.NewPCG(seed, 11))
				if !harm.do(&h, r) {
					continue
				}
				done++
				got := Check(h)
				if !slices.ContainsFunc(harm.kinds, func(kind string) bool { return got.Counts[kind] > 0 }) {
					t.Fatalf("seed %d: found %v, want one of %v", seed, got.Counts, harm.kinds)
				}
			}
			if done < 12 {
				t.Fatalf("done %d times only", done)
			}
		})
	}
}

func FuzzCheckJudgesAnyHistoryTheSameTwice(f *testing.F) {
	f.Add([]byte{1, 0, 0, 1, 2, 0, 3, 0, 1, 9, 9, 9, 1, 0, 1, 0})
	f.Add([]byte("a history of nothing in particular, long enough for several"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h := History{ReadWhole: len(b)%2 == 0}
		for ; len(b) >= 5; b = b[5:] {
			if len(h.Transactions) == 0 || b[0]&1 == 0 {
				h.Transactions = append(h.Transactions, Transaction{Process: int(b[0] >> 5), Status: Status(b[0] >> 1 & 3)})
			}
			last := &h.Transactions[len(h.Transactions)-1]
			op := Op{Kind: Kind(b[1] & 3), Partition: int(b[1] >> 2 & 3), Sent: Record{int64(int8(b[2])), Value(b[3])}, Assigned: b[1]&64 != 0, At: int64(b[4])}
			for i := range int64(b[4] & 7) {
				op.Read = append(op.Read, Record{int64(b[2]) + i, Value(b[3]) + Value(i)})
			}
			last.Ops = append(last.Ops, op)
		}
		one, two := Check(h), Check(h)
		if !reflect.DeepEqual(one, two) {
			t.Fatalf("%v, then %v", one, two)
		}
	})
}
