package etcdfake

import (
	"maps"
	"slices"
	"time"
)

// Snapshot is a copy of the store, as of `etcdctl snapshot save`.
type Snapshot struct {
	data   data
	leases []lease
	lastID int64
}

// Snapshot copies the store. Versions and events are never changed, so their
// slices are enough.
func (s *Store) Snapshot() *Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	snap := &Snapshot{data: s.data.clone(), lastID: s.lastID}
	for _, id := range slices.Sorted(maps.Keys(s.leases)) {
		l := *s.leases[id]
		l.keys = maps.Clone(l.keys)
		snap.leases = append(snap.leases, l)
	}
	return snap
}

// Restore replaces everything by a snapshot: an etcd that went back in time.
// Leases begin again with their whole time. Watches end. nil is an empty etcd.
func (s *Store) Restore(snap *Snapshot) {
	if snap == nil {
		snap = &Snapshot{data: data{rev: 1, versions: map[string][]version{}}}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.leases {
		l.timer.Stop()
	}
	s.data, s.lastID = snap.data.clone(), max(s.lastID, snap.lastID)
	s.leases, s.revisionTimes = map[int64]*lease{}, nil
	for _, l := range snap.leases {
		n := &lease{id: l.id, ttl: l.ttl, renewals: l.renewals, keys: maps.Clone(l.keys)}
		s.leases[n.id] = n
		s.extendLease(n)
	}
	s.epoch++
	s.revisionTimes = append(s.revisionTimes, revisionTime{s.data.rev, time.Now()})
	s.wakeWatches()
}

func (d *data) clone() data {
	c := data{rev: d.rev, compacted: d.compacted, keys: slices.Clone(d.keys), events: slices.Clone(d.events), versions: make(map[string][]version, len(d.versions))}
	for k, v := range d.versions {
		c.versions[k] = slices.Clone(v)
	}
	return c
}
