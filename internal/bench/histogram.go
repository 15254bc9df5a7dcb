package bench

import (
	"math/bits"
	"time"
)

// Histogram counts durations in buckets of 1/64 of their power of two, so that
// a quantile is off by less than 1.6 % whatever its size. It is no lock: one
// goroutine adds, or the caller sees to it.
type Histogram struct {
	counts []uint64
	n      uint64
	max    time.Duration
}

// Sub-buckets of a power of two, and how many powers there are: 1 us to 2^40 us.
const (
	subBits    = 6
	histPowers = 40
)

// Add counts one duration, in microseconds; less than none is none.
func (h *Histogram) Add(d time.Duration) {
	if h.counts == nil {
		h.counts = make([]uint64, histPowers<<subBits)
	}
	us := uint64(max(d, 0) / time.Microsecond)
	h.counts[min(bucketOf(us), len(h.counts)-1)]++
	h.n++
	h.max = max(h.max, d)
}

// bucketOf is exact below 2^subBits, then takes the subBits bits behind the
// leading one.
func bucketOf(us uint64) int {
	if us < 1<<subBits {
		return int(us)
	}
	power := bits.Len64(us) - 1 - subBits
	return (power+1)<<subBits | int(us>>power&(1<<subBits-1))
}

// bucketMax is the greatest value of a bucket.
func bucketMax(bucket int) time.Duration {
	if bucket < 1<<subBits {
		return time.Duration(bucket) * time.Microsecond
	}
	power := bucket>>subBits - 1
	low := uint64(1<<subBits|bucket&(1<<subBits-1)) << power
	return time.Duration(low+1<<power-1) * time.Microsecond
}

// Merge adds another histogram's counts.
func (h *Histogram) Merge(o *Histogram) {
	if o.counts == nil {
		return
	}
	if h.counts == nil {
		h.counts = make([]uint64, len(o.counts))
	}
	for i, c := range o.counts {
		h.counts[i] += c
	}
	h.n += o.n
	h.max = max(h.max, o.max)
}

// Count returns how many durations were added.
func (h *Histogram) Count() uint64 { return h.n }

// Quantile returns the duration that a part q (0 to 1) of all are at or below;
// 0 of an empty histogram. It is never above the greatest one added.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.n == 0 {
		return 0
	}
	want := uint64(q * float64(h.n))
	if float64(want) < q*float64(h.n) {
		want++
	}
	want = max(want, 1)
	sum := uint64(0)
	for i, c := range h.counts {
		if sum += c; sum >= want {
			return min(bucketMax(i), h.max)
		}
	}
	return h.max
}

// Max returns the greatest duration added.
func (h *Histogram) Max() time.Duration { return h.max }
