package wal

import (
	"testing"
	"time"
)

// spend adds batches of a number of bytes per second to a budget, one each
// millisecond, and returns the PUTs that are spent in five seconds, after what
// was saved up.
func spend(e *earlyBudget, perSecond, batch int, full bool) (puts int) {
	now, owed := time.Unix(1000, 0), 0
	for i := range 10_000 {
		for owed += perSecond / 1000; owed >= batch && batch > 0; owed -= batch {
			e.addBatchCredit(batch, full)
		}
		if e.addRateCredit(now); e.hasCredit() {
			e.spend()
			if i >= 5000 {
				puts++
			}
		}
		now = now.Add(time.Millisecond)
	}
	return puts
}

func TestEarlyPutsAreARateOrWhatTheBytesBuy(t *testing.T) {
	for _, c := range []struct {
		name             string
		rate             float64
		perSecond, batch int
		full             bool
		want             int // in five seconds
	}{
		{"nothing but the rate", 10, 0, 0, false, 50},
		{"full batches buy less than the rate", 20, 1_000_000, 16 << 10, true, 100},
		{"full batches buy more than the rate", 20, 8 << 20, 16 << 10, true, 640},
		{"growing batches buy less than the rate", 20, 12 << 20, 330_000, false, 100},
		{"growing batches buy more than the rate", 20, 96 << 20, 1 << 20, false, 640},
		{"none", -1, 8 << 20, 16 << 10, true, 0},
	} {
		if got := spend(&earlyBudget{rate: c.rate}, c.perSecond, c.batch, c.full); got < c.want*98/100-1 || got > c.want*102/100+1 {
			t.Errorf("%s: %d PUTs in five seconds, want %d", c.name, got, c.want)
		}
	}
	e := earlyBudget{rate: 10}
	saved := 0
	for e.addRateCredit(time.Unix(1000, 0)); e.hasCredit(); e.spend() {
		saved++
	}
	if saved != 10 {
		t.Errorf("%d PUTs saved up, want a second's worth", saved)
	}
}

// Batches that differ in size could be larger; those that are alike are full.
func TestFullBatchesAreAlike(t *testing.T) {
	for _, c := range []struct {
		name  string
		sizes []int
		full  bool
	}{
		{"none", nil, false},
		{"too few", []int{16e3, 16e3, 16e3}, false},
		{"full", []int{16e3, 16.1e3, 15.9e3, 16e3, 16.2e3, 15.1e3, 16e3, 16e3}, true},
		{"they still grow", []int{4e3, 5e3, 6e3, 7e3, 8e3, 9e3, 10e3, 11e3}, false},
		{"what has come up", []int{330e3, 210e3, 400e3, 330e3, 330e3, 190e3, 300e3, 310e3}, false},
		{"full, and then the last of a file", []int{16e3, 16e3, 16e3, 16e3, 16e3, 16e3, 16e3, 16e3, 2e3}, false},
	} {
		var b batchSizes
		for _, n := range c.sizes {
			b.addSize(n)
		}
		if b.areFull() != c.full {
			t.Errorf("%s: full is %v", c.name, b.areFull())
		}
	}
}
