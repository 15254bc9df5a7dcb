package wal

import "time"

// bytesPerEarlyPut is for how many record bytes in full batches window-blocked
// sealing may spend a PUT: 16,384 PUTs a GiB, eight cents, which is what inline
// bytes cost on three network hops. A Java producer's window is 80 KiB by
// default and, once its batches are full, stays 80 KiB however long it waits.
const bytesPerEarlyPut = 64 << 10

// growingBytesPerEarlyPut is the same for batches that are not full: 1,365 PUTs
// a GiB. They are larger when their producer has waited longer, so that fewer
// PUTs carry the same bytes.
const growingBytesPerEarlyPut = 768 << 10

// earlyBudget is the number of PUTs that window-blocked sealing may spend: a
// rate per second, or one per bytesPerEarlyPut, whichever is more. At most a
// second's worth is saved up.
type earlyBudget struct {
	rate        float64 // PUTs a second; 0 or less: none
	rateCredit  float64 // tokens of the rate
	batchCredit float64 // tokens of bytes
	lastRefill  time.Time
}

// addRateCredit adds what the rate allows up to now.
func (e *earlyBudget) addRateCredit(now time.Time) {
	if e.rate <= 0 {
		return
	}
	if e.lastRefill.IsZero() {
		e.rateCredit = e.capacity()
	} else {
		e.rateCredit = min(e.capacity(), e.rateCredit+e.rate*now.Sub(e.lastRefill).Seconds())
	}
	e.lastRefill = now
}

// addBatchCredit adds what a batch of that size allows, by whether its client's
// batches are full.
func (e *earlyBudget) addBatchCredit(bytes int, full bool) {
	if e.rate <= 0 {
		return
	}
	price := growingBytesPerEarlyPut
	if full {
		price = bytesPerEarlyPut
	}
	e.batchCredit = min(e.capacity(), e.batchCredit+float64(bytes)/float64(price))
}

func (e *earlyBudget) capacity() float64 { return max(1, e.rate) }
func (e *earlyBudget) hasCredit() bool   { return e.rateCredit >= 1 || e.batchCredit >= 1 }

// spend takes a PUT from both credits: they do not add up.
func (e *earlyBudget) spend() {
	e.rateCredit, e.batchCredit = max(0, e.rateCredit-1), max(0, e.batchCredit-1)
}

// batchSizes detects whether the batches of a connection are full: as large as
// the client's limit, which shows in that their sizes are alike.
type batchSizes struct {
	smallest, largest int // bytes, of the batches that are alike
	alikeCount        int
}

// minAlike is how many batches in a row must be alike.
const minAlike = 8

// addSize adds a batch's size. Full ones differ by a record, or by the error of
// a client's estimate of their compression.
func (b *batchSizes) addSize(bytes int) {
	b.smallest, b.largest, b.alikeCount = min(b.smallest, bytes), max(b.largest, bytes), b.alikeCount+1
	if b.smallest < b.largest*3/4 {
		b.smallest, b.largest, b.alikeCount = bytes, bytes, 1
	}
}

func (b *batchSizes) areFull() bool { return b.alikeCount >= minAlike }
