package costmodel

import (
	"errors"
	"fmt"
	"math/big"

	"github.com/zonewise/zonewise/internal/costkeys"
)

// ClassicKafka describes Kafka with a leader per partition, replicas in every zone
// and clients without zones, unless consumers fetch from the closest replica
// (KIP-392 with client.rack).
type ClassicKafka struct {
	BytesPerSecond uint64
	Seconds        uint64
	Zones          uint64 // z
	Replicas       uint64 // r, each in another zone
	FanOut         uint64 // f: how often every byte is read
	FollowerFetch  bool
}

// CrossBytes returns the bytes that cross between zones:
//
//	w x seconds x ( (z-1)/z + (r-1) + f x (z-1)/z )
//
// with the last term 0 under follower fetch; for z = r = 3 that is
// w x (2/3 + 2 + 2f/3). It is rounded down to a byte.
func (c ClassicKafka) CrossBytes() (costkeys.Quantity, error) {
	exact, err := c.crossBytes()
	if err != nil {
		return costkeys.Quantity{}, err
	}
	return costkeys.ParseQuantity(new(big.Int).Quo(exact.Num(), exact.Denom()).String())
}

func (c ClassicKafka) crossBytes() (*big.Rat, error) {
	if c.Zones == 0 || c.Replicas == 0 {
		return nil, errors.New("price classic Kafka: zones and replicas must be at least 1")
	}
	crossing := new(big.Rat).SetFrac(new(big.Int).SetUint64(c.Zones-1), new(big.Int).SetUint64(c.Zones))
	crossings := new(big.Rat).Add(crossing, new(big.Rat).SetInt(new(big.Int).SetUint64(c.Replicas-1)))
	if !c.FollowerFetch {
		crossings.Add(crossings, multiplyRat(crossing, c.FanOut))
	}
	return multiplyRat(multiplyRat(crossings, c.BytesPerSecond), c.Seconds), nil
}

// Cost returns what that crossing costs when one unit of unitBytes costs pair
// (both sides together). Published figures use a GB of 10^9 bytes or of 2^30;
// say which.
func (c ClassicKafka) Cost(pair NanoUSD, unitBytes uint64) (NanoUSD, error) {
	if pair < 0 || unitBytes == 0 {
		return 0, errors.New("price classic Kafka: want a price of 0 or more per unit of at least one byte")
	}
	exact, err := c.crossBytes()
	if err != nil {
		return 0, err
	}
	exact = multiplyRat(exact, uint64(pair))
	exact.Quo(exact, new(big.Rat).SetInt(new(big.Int).SetUint64(unitBytes)))
	return toNanoUSD(new(big.Int).Quo(exact.Num(), exact.Denom()))
}

// Workload describes steady traffic through zonewise, for an estimate.
type Workload struct {
	BytesPerSecond    uint64 // record bytes written
	ObjectBytes       uint64 // a lane seals at this size (8 MiB)
	LingerMS          uint64 // or after this time (standard lane: 100)
	Brokers           uint64 // brokers that take writes, evenly
	ReaderZones       uint64 // zones that read at the head, in addition to the writer's
	InlineBytes       uint64 // of BytesPerSecond, what goes inline
	InlineNetworkHops uint64 // times an inline byte crosses between zones
}

// gib is 2^30.
const gib = 1 << 30

// Estimate is what one GiB of a workload's record bytes is expected to need.
// Requests are rounded up to the next whole one.
type Estimate struct {
	PutsPerGiB      uint64
	GetsPerGiB      uint64
	CrossBytesGiB   uint64 // bytes between zones per GiB written, by the inline path
	CostPerGiB      NanoUSD
	MeanObjectBytes uint64
}

// Estimate computes requests, crossing and cost per GiB written. Objects are
// sealed when full or when the linger has passed, whichever is first, so slow
// brokers write small objects: the mean object size is the first indicator of
// cost.
func (w Workload) Estimate(book *Book) (Estimate, error) {
	if w.BytesPerSecond == 0 || w.ObjectBytes == 0 || w.LingerMS == 0 || w.Brokers == 0 || w.InlineBytes > w.BytesPerSecond {
		return Estimate{}, errors.New("estimate workload: bytes per second, object bytes, linger and brokers must be above 0, and inline at most all bytes")
	}
	prices := map[costkeys.MeterID]*big.Rat{}
	for _, id := range []costkeys.MeterID{costkeys.MeterPut, costkeys.MeterGet, costkeys.MeterTransfer} {
		rate, err := book.Rate(id, 0)
		if err != nil {
			return Estimate{}, fmt.Errorf("estimate workload: %w", err)
		}
		prices[id] = rate.perBase
	}
	var e Estimate
	objects := w.BytesPerSecond - w.InlineBytes
	perGiB := new(big.Rat).SetFrac(big.NewInt(gib), new(big.Int).SetUint64(w.BytesPerSecond)) // seconds per GiB written
	puts := new(big.Rat)
	if objects > 0 {
		full := newRatio(objects, w.ObjectBytes)
		timed := multiplyRat(big.NewRat(1000, 1), w.Brokers)
		timed.Quo(timed, new(big.Rat).SetInt(new(big.Int).SetUint64(w.LingerMS)))
		perSecond := full
		if timed.Cmp(full) > 0 {
			perSecond = timed
		}
		mean := new(big.Rat).Quo(new(big.Rat).SetInt(new(big.Int).SetUint64(objects)), perSecond)
		e.MeanObjectBytes = new(big.Int).Quo(mean.Num(), mean.Denom()).Uint64()
		puts.Mul(perSecond, perGiB)
	}
	gets := multiplyRat(puts, w.ReaderZones)
	cross := multiplyRat(multiplyRat(perGiB, w.InlineBytes), w.InlineNetworkHops)
	e.PutsPerGiB, e.GetsPerGiB, e.CrossBytesGiB = roundUp(puts), roundUp(gets), roundUp(cross)
	cost := new(big.Rat).Mul(puts, prices[costkeys.MeterPut])
	cost.Add(cost, gets.Mul(gets, prices[costkeys.MeterGet]))
	cost.Add(cost, cross.Mul(cross, prices[costkeys.MeterTransfer]))
	var err error
	e.CostPerGiB, err = toNanoUSD(new(big.Int).Quo(cost.Num(), cost.Denom()))
	return e, err
}

// RequestBytesCost prices n requests of bytesEach bytes at a per-byte meter
// with an allowance of free bytes per request (S3 Express before 2025-04).
func (b *Book) RequestBytesCost(id costkeys.MeterID, requests, bytesEach uint64) (NanoUSD, error) {
	m, err := b.findMeter(id)
	if err != nil {
		return 0, err
	}
	rate, err := b.Rate(id, 0)
	if err != nil {
		return 0, err
	}
	charged := bytesEach - min(bytesEach, m.FreeBytesPerRequest)
	return toNanoUSD(rate.costFloor(costkeys.Product(requests, charged), 1))
}

func newRatio(a, b uint64) *big.Rat {
	return new(big.Rat).SetFrac(new(big.Int).SetUint64(a), new(big.Int).SetUint64(b))
}

// roundUp rounds up; an estimate that passes 64 bits is not one.
func roundUp(r *big.Rat) uint64 {
	n := new(big.Int).Add(r.Num(), new(big.Int).Sub(r.Denom(), big.NewInt(1)))
	return n.Quo(n, r.Denom()).Uint64()
}
