package broker

import (
	"slices"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/router"
)

// redirectToClosestReplica returns a broker in the client's zone for each
// partition (KIP-392), if only client.rack shows that the client is in another
// zone than this broker: a consumer of the listener without a zone. It then
// fetches there, within its zone. The broker is one of the partition's
// replicas, as clients require.
func (f *fetch) redirectToClosestReplica() {
	home := f.r.evidence.Zone
	if f.r.version < 11 || f.q.Rack == "" || f.r.evidence.Source != router.SourceRack || home == f.s.cfg.Zone {
		return
	}
	v := f.s.currentView()
	if !v.router.HasZone(home) {
		return
	}
	factors := f.readReplicationFactors()
	for i := range f.parts {
		p := &f.parts[i]
		if p.code != noError || !p.known {
			continue
		}
		near := v.leader(p.tp, home)
		if zone, ok := v.router.ZoneOf(near); !ok || zone != home || near == f.s.cfg.Self() {
			continue
		}
		if slices.Contains(v.replicas(p.tp, factors[p.tp.Topic]), int32(near)) {
			p.redirected, p.preferredReplica, p.readyBytes = true, near, 0
		}
	}
}

// readReplicationFactors reads the replication factors of the fetch's topics.
func (f *fetch) readReplicationFactors() map[metadata.TopicID]int16 {
	out := map[metadata.TopicID]int16{}
	f.s.cfg.Replica.View(func(st *metadata.State) {
		for i := range f.parts {
			if t, ok := st.Topic(f.parts[i].tp.Topic); ok {
				out[t.ID] = t.ReplicationFactor
			}
		}
	})
	return out
}
