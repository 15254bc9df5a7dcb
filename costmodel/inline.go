package costmodel

import (
	"fmt"
	"math"
	"math/big"

	"github.com/zonewise/zonewise/internal/costkeys"
)

// InlineCase describes where a small write could go: into its commit entry,
// which etcd copies between zones, or into an object of its own.
type InlineCase struct {
	// NetworkHops is how many times the entry crosses between zones: replication
	// to followers in other zones, ingress, and watches of other zones.
	NetworkHops uint64
	// ReaderZones is how many other zones read at the head of the log; each
	// costs one GET of an object, and none of an inline entry.
	ReaderZones uint64
	// ArchiveBytes is the size of the archive object that carries inline
	// bytes to the bucket (its PUT is shared); 0 leaves that out.
	ArchiveBytes uint64
}

// InlineLimit returns the most record bytes for which going inline is cheaper
// than a PUT of their own, at that number of network hops between zones. Where
// crossing is free there is no limit by price: math.MaxUint64.
func InlineLimit(book *Book, hops uint64) (uint64, error) {
	return InlineCase{NetworkHops: hops}.Limit(book)
}

// Limit is InlineLimit with all terms: the largest b with
//
//	b x hops x pair + b x put / archive < put + readers x get
func (c InlineCase) Limit(book *Book) (uint64, error) {
	perByte, object, err := c.pricesOf(book)
	if err != nil {
		return 0, err
	}
	if perByte.Sign() == 0 {
		return math.MaxUint64, nil
	}
	if object.Sign() == 0 {
		return 0, nil
	}
	edge := new(big.Rat).Quo(object, perByte)
	// The largest integer strictly below num/den is (num-1)/den rounded down.
	limit := new(big.Int).Sub(edge.Num(), big.NewInt(1))
	limit.Quo(limit, edge.Denom())
	if !limit.IsUint64() {
		return math.MaxUint64, nil
	}
	return limit.Uint64(), nil
}

// Cheaper reports whether b record bytes cost less inline than as an object of
// their own.
func (c InlineCase) Cheaper(book *Book, b uint64) (bool, error) {
	perByte, object, err := c.pricesOf(book)
	if err != nil {
		return false, err
	}
	inline := new(big.Rat).Mul(perByte, new(big.Rat).SetInt(new(big.Int).SetUint64(b)))
	return inline.Cmp(object) < 0, nil
}

// pricesOf returns what an inline byte and what an object costs, in nano-dollars.
func (c InlineCase) pricesOf(book *Book) (perByte, object *big.Rat, err error) {
	put, err := book.Rate(costkeys.MeterPut, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("price inline entries: %w", err)
	}
	get, err := book.Rate(costkeys.MeterGet, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("price inline entries: %w", err)
	}
	pair, err := book.Rate(costkeys.MeterTransfer, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("price inline entries: %w", err)
	}
	perByte = multiplyRat(pair.perBase, c.NetworkHops)
	if c.ArchiveBytes > 0 {
		perByte.Add(perByte, new(big.Rat).Quo(put.perBase, new(big.Rat).SetInt(new(big.Int).SetUint64(c.ArchiveBytes))))
	}
	object = new(big.Rat).Add(put.perBase, multiplyRat(get.perBase, c.ReaderZones))
	return perByte, object, nil
}

// multiplyRat returns r x n.
func multiplyRat(r *big.Rat, n uint64) *big.Rat {
	return new(big.Rat).Mul(r, new(big.Rat).SetInt(new(big.Int).SetUint64(n)))
}
