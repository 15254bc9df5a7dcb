package wal

import "time"

// earlyBytes is for how many record bytes in full batches window-blocked
// sealing may spend a PUT: 16,384 a GiB, eight cents, as many as inline bytes
// cost that cross three legs. A Java producer's window is 80 KiB by default
// and, once its batches are full, stays 80 KiB however long it waits.
const earlyBytes = 64 << 10

// earlyGrowingBytes is the same for batches that are not full: 1,365 PUTs a
// GiB. They hold more when their producer has waited longer, so that fewer PUTs
// carry as much.
const earlyGrowingBytes = 768 << 10

// earlyBudget is the PUTs that window-blocked sealing may spend: so many a
// second, or those that the bytes buy, whichever is more. A second's worth can
// be saved up.
type earlyBudget struct {
	rate   float64 // PUTs a second; 0 or less: none
	rated  float64 // tokens of the rate
	bought float64 // tokens of bytes
	last   time.Time
}

// refill adds what the rate gives up to now.
func (e *earlyBudget) refill(now time.Time) {
	if e.rate <= 0 {
		return
	}
	if e.last.IsZero() {
		e.rated = e.most()
	} else {
		e.rated = min(e.most(), e.rated+e.rate*now.Sub(e.last).Seconds())
	}
	e.last = now
}

// earn adds what a batch of so many bytes buys, by a client whose batches are
// full, or not.
func (e *earlyBudget) earn(bytes int, full bool) {
	if e.rate <= 0 {
		return
	}
	price := earlyGrowingBytes
	if full {
		price = earlyBytes
	}
	e.bought = min(e.most(), e.bought+float64(bytes)/float64(price))
}

func (e *earlyBudget) most() float64 { return max(1, e.rate) }
func (e *earlyBudget) has() bool     { return e.rated >= 1 || e.bought >= 1 }

// take spends a PUT of both: they do not add up.
func (e *earlyBudget) take() {
	e.rated, e.bought = max(0, e.rated-1), max(0, e.bought-1)
}

// batchSizes learns whether the batches of a connection are full: as large as
// the client lets them become, which shows in that they are alike.
type batchSizes struct {
	least, most int // bytes, of those that are alike
	alike       int
}

// alikeEnough is how many batches in a row must be alike.
const alikeEnough = 8

// note takes in a batch of so many bytes. Full ones differ by a record, or by
// what a client's estimate of their compression is wrong.
func (b *batchSizes) note(bytes int) {
	b.least, b.most, b.alike = min(b.least, bytes), max(b.most, bytes), b.alike+1
	if b.least < b.most*3/4 {
		b.least, b.most, b.alike = bytes, bytes, 1
	}
}

func (b *batchSizes) full() bool { return b.alike >= alikeEnough }
