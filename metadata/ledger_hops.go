package metadata

import "iter"

// CrossesZones reports whether bytes from src to dst cross between zones. A zone
// that is not known does not count as another one.
func CrossesZones(src, dst ZoneID) bool {
	return src != dst && src != UnknownZone && dst != UnknownZone
}

// NetworkHops yields every hop between two zones over which etcd carries an
// entry: broker to member, member to leader, leader to each follower. The ledger
// books by it, the metrics count by it, and the price of an inline byte is by its
// number of hops.
func (r *Route) NetworkHops() iter.Seq2[ZoneID, ZoneID] {
	return func(yield func(src, dst ZoneID) bool) {
		if CrossesZones(r.Broker, r.Member) && !yield(r.Broker, r.Member) {
			return
		}
		if CrossesZones(r.Member, r.Leader) && !yield(r.Member, r.Leader) {
			return
		}
		for _, z := range r.Followers {
			if CrossesZones(r.Leader, z) && !yield(r.Leader, z) {
				return
			}
		}
	}
}

// CountNetworkHops returns the number of hops of NetworkHops.
func (r *Route) CountNetworkHops() int {
	n := 0
	for range r.NetworkHops() {
		n++
	}
	return n
}
