package metadata

import "strconv"

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

// pagesDue returns the pages of a table in which a tick searches for items that
// have been idle longer than expiry: n pages from first on, every stride-th.
// Every page is searched once in 64 minutes, or in a twentieth of the expiry
// where that is shorter.
func pagesDue(before, now, expiry UnixMilli) (first, n, stride int) {
	const slow = 64
	round := max(expiry/20, 1)
	if round < slow*ledgerMinute {
		from, to := before*tablePages/round, now*tablePages/round
		return int((from + 1) % tablePages), int(min(to-from, tablePages)), 1
	}
	if before/ledgerMinute == now/ledgerMinute {
		return 0, 0, slow
	}
	return int(now / ledgerMinute % slow), tablePages / slow, slow
}

// findIdle returns the items for which is returns true in the pages that are due
// at this tick.
func findIdle[K comparable, V any](t *table[K, V], before, now, expiry UnixMilli, is func(K, *V) bool) (gone []K) {
	first, n, stride := pagesDue(before, now, expiry)
	for i := range n {
		if p := t.pages[(first+i*stride)%tablePages]; p != nil {
			for k, v := range p.items.all() {
				if is(k, v) {
					gone = append(gone, k)
				}
			}
		}
	}
	return gone
}

// expireProducers drops idle producers, except those with a transaction open on
// the partition.
func (s *State) expireProducers(before UnixMilli) {
	expiry := s.configuredExpiry(ProducerExpiryConfig, ProducerExpiry)
	for _, k := range findIdle(s.producers, before, s.time, expiry, func(k producerKey, p *producerState) bool {
		if s.time-p.lastTime <= expiry {
			return false
		}
		_, open := s.partitions.get(k.tp).openTxnStart(k.id)
		return !open
	}) {
		s.producers.drop(k)
		s.partitions.edit(k.tp, func(p *partitionState) { p.producerCount-- })
	}
}

// expireTxns drops idle transactional ids.
func (s *State) expireTxns(before UnixMilli) {
	expiry := s.configuredExpiry(TxnExpiryConfig, TxnExpiry)
	for _, id := range findIdle(s.txns, before, s.time, expiry, func(_ string, t *txnState) bool {
		return t.status != TxnOngoing && s.time-t.updateTime > expiry
	}) {
		delete(s.txnByProducer, s.txns.get(id).producer)
		s.txns.drop(id)
	}
}
