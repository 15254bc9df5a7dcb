package etcdfake

import (
	"fmt"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// lease is one lease and the keys that end with it.
type lease struct {
	id       int64
	ttl      time.Duration
	until    time.Time
	keys     map[string]bool
	timer    *time.Timer
	renewals int // so that each end has an instant of its own
}

// grantLease grants a lease. The mutex is held.
func (s *Store) grantLease(ttlSeconds int64) int64 {
	s.lastID++
	l := &lease{id: s.lastID, ttl: time.Duration(max(ttlSeconds, 2)) * time.Second, keys: map[string]bool{}}
	s.leases[l.id] = l
	s.extendLease(l)
	return l.id
}

// extendLease moves the lease's end. etcd checks for expired leases twice a
// second, so each lasts up to half a second longer. The mutex is held.
func (s *Store) extendLease(l *lease) {
	l.renewals++
	wait := l.ttl + time.Duration(s.cfg.generateNumber("lease", fmt.Sprint(l.id), l.renewals)%uint64(500*time.Millisecond))
	l.until = time.Now().Add(wait)
	if l.timer != nil {
		l.timer.Stop()
	}
	l.timer = time.AfterFunc(wait, func() { s.expireLease(l) })
}

// expireLease ends the lease if it has expired.
func (s *Store) expireLease(l *lease) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.leases[l.id] != l || time.Now().Before(l.until) {
		return
	}
	s.stats.LeasesExpired++
	s.revokeLease(l)
}

// revokeLease ends the lease and deletes its keys in one revision. The mutex is
// held.
func (s *Store) revokeLease(l *lease) {
	l.timer.Stop()
	delete(s.leases, l.id)
	var keys []string
	for k := range l.keys {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	t := &txn{s: s, rev: s.data.rev + 1}
	for _, k := range keys {
		t.deleteRange([]byte(k), nil)
	}
	if t.wrote {
		s.data.rev = t.rev
		s.wakeWatches()
	}
}

func (s *Store) renewLease(id int64) error {
	l := s.leases[id]
	if l == nil {
		return rpctypes.ErrLeaseNotFound
	}
	s.extendLease(l)
	return nil
}

// ExpireLease ends a lease at once, as a failover that lost its renewals can.
func (s *Store) ExpireLease(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.leases[id]; l != nil {
		s.stats.LeasesExpired++
		s.revokeLease(l)
	}
}

// ExpireKey ends the lease of a key, and reports whether there is one.
func (s *Store) ExpireKey(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	kv := s.data.findVersion(key, s.data.rev)
	if kv == nil || s.leases[kv.Lease] == nil {
		return false
	}
	s.stats.LeasesExpired++
	s.revokeLease(s.leases[kv.Lease])
	return true
}

// detachKey removes a key from its lease. The mutex is held.
func (s *Store) detachKey(key string, id int64) {
	if l := s.leases[id]; l != nil {
		delete(l.keys, key)
	}
}
