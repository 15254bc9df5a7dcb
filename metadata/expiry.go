package metadata

import (
	"cmp"
	"slices"
	"strconv"
)

// Configs of all brokers that apply itself reads. They are in the log, as all
// configs are, so that every broker drops the same at the same revision.
const (
	ProducerExpiryConfig = "producer.id.expiration.ms"
	TxnExpiryConfig      = "transactional.id.expiration.ms"
)

// ProducerExpiry is how long, in state time, a partition keeps an idle producer,
// unless ProducerExpiryConfig is set.
const ProducerExpiry UnixMilli = 24 * 3600 * 1000

// TxnExpiry is how long, in state time, a transactional id is kept after its last
// transaction, unless TxnExpiryConfig is set.
const TxnExpiry UnixMilli = 7 * 24 * 3600 * 1000

// configuredExpiry returns the value of a config of all brokers, or else def.
func (s *State) configuredExpiry(config string, def UnixMilli) UnixMilli {
	if v, err := strconv.ParseInt(s.Configs(ResourceBroker, "")[config], 10, 64); err == nil && v > 0 {
		return UnixMilli(v)
	}
	return def
}

// What one tick does for each table at most: items that it looks at, beyond which it
// begins no other page, and items that it drops. At two million producers and a
// tick in five seconds, each page comes up once in 64 minutes, and as many as the
// table can hold are dropped in six hours.
const (
	maxExpiryItems = 8_000
	maxExpiryDrops = 500
)

// expiryPages are the pages of tables that the next tick begins with.
type expiryPages struct{ producers, txns int }

// pagesDue returns how many pages of a table a tick searches for items that have
// been idle longer than expiry. Every page is searched once in 64 minutes, or in a
// twentieth of the expiry where that is shorter.
func pagesDue(before, now, expiry UnixMilli) int {
	round := min(max(expiry/20, 1), 64*ledgerMinute)
	return int(min(now*tablePages/round-before*tablePages/round, tablePages))
}

// findIdle returns the items for which is returns true in the next pages of a table,
// maxExpiryDrops at most: of a page that has more those that come first, so that
// every broker drops the same, and it is searched again.
func findIdle[K comparable, V any](t *table[K, V], next *int, pages int, is func(K, *V) bool, compare func(a, b K) int) (gone []K) {
	for looked := 0; pages > 0 && looked < maxExpiryItems; pages-- {
		var found []K
		if p := t.pages[*next]; p != nil {
			looked += p.items.len()
			for k, v := range p.items.all() {
				if is(k, v) {
					found = append(found, k)
				}
			}
		}
		if room := maxExpiryDrops - len(gone); len(found) > room {
			slices.SortFunc(found, compare)
			return append(gone, found[:room]...)
		}
		gone = append(gone, found...)
		*next = (*next + 1) % tablePages
	}
	return gone
}

func compareProducerKeys(a, b producerKey) int {
	return cmp.Or(a.tp.Compare(b.tp), cmp.Compare(a.id, b.id))
}

// expireProducers drops idle producers, except those with a transaction open on
// the partition.
func (s *State) expireProducers(before UnixMilli) {
	expiry := s.configuredExpiry(ProducerExpiryConfig, ProducerExpiry)
	for _, k := range findIdle(s.producers, &s.expiry.producers, pagesDue(before, s.time, expiry), func(k producerKey, p *producerState) bool {
		if s.time-p.lastTime <= expiry {
			return false
		}
		_, open := s.partitions.get(k.tp).openTxnStart(k.id)
		return !open
	}, compareProducerKeys) {
		s.producers.drop(k)
		s.partitions.edit(k.tp, func(p *partitionState) { p.producerCount-- })
	}
}

// expireTxns drops idle transactional ids.
func (s *State) expireTxns(before UnixMilli) {
	expiry := s.configuredExpiry(TxnExpiryConfig, TxnExpiry)
	for _, id := range findIdle(s.txns, &s.expiry.txns, pagesDue(before, s.time, expiry), func(_ string, t *txnState) bool {
		return t.status != TxnOngoing && s.time-t.updateTime > expiry
	}, compareStrings) {
		delete(s.txnByProducer, s.txns.get(id).producer)
		s.txns.drop(id)
	}
}
