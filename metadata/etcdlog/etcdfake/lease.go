package etcdfake

import (
	"fmt"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// lease is one lease and the keys that end with it.
type lease struct {
	id    int64
	ttl   time.Duration
	until time.Time
	keys  map[string]bool
	timer *time.Timer
	n     int // renewals, so that each end has an instant of its own
}

// grant makes a lease. The mutex is held.
func (s *Store) grant(ttlSeconds int64) int64 {
	s.lastID++
	l := &lease{id: s.lastID, ttl: time.Duration(max(ttlSeconds, 2)) * time.Second, keys: map[string]bool{}}
	s.leases[l.id] = l
	s.extend(l)
	return l.id
}

// extend moves the lease's end. etcd looks for ended leases twice a second,
// so each lives up to half a second longer. The mutex is held.
func (s *Store) extend(l *lease) {
	l.n++
	wait := l.ttl + time.Duration(s.cfg.draw("lease", fmt.Sprint(l.id), l.n)%uint64(500*time.Millisecond))
	l.until = time.Now().Add(wait)
	if l.timer != nil {
		l.timer.Stop()
	}
	l.timer = time.AfterFunc(wait, func() { s.expire(l) })
}

// expire ends the lease if its time has really come.
func (s *Store) expire(l *lease) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.leases[l.id] != l || time.Now().Before(l.until) {
		return
	}
	s.stats.LeasesExpired++
	s.revoke(l)
}

// revoke ends the lease and deletes its keys in one revision. The mutex is
// held.
func (s *Store) revoke(l *lease) {
	l.timer.Stop()
	delete(s.leases, l.id)
	var keys []string
	for k := range l.keys {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	t := &txn{s: s, rev: s.data.rev + 1}
	for _, k := range keys {
		t.delete([]byte(k), nil)
	}
	if t.wrote {
		s.data.rev = t.rev
		s.announce()
	}
}

func (s *Store) renew(id int64) error {
	l := s.leases[id]
	if l == nil {
		return rpctypes.ErrLeaseNotFound
	}
	s.extend(l)
	return nil
}

// ExpireLease ends a lease at once, as a failover that lost its renewals can.
func (s *Store) ExpireLease(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.leases[id]; l != nil {
		s.stats.LeasesExpired++
		s.revoke(l)
	}
}

// ExpireKey ends the lease that holds key, and says whether there is one.
func (s *Store) ExpireKey(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	kv := s.data.find(key, s.data.rev)
	if kv == nil || s.leases[kv.Lease] == nil {
		return false
	}
	s.stats.LeasesExpired++
	s.revoke(s.leases[kv.Lease])
	return true
}

// detach takes a key from its lease. The mutex is held.
func (s *Store) detach(key string, id int64) {
	if l := s.leases[id]; l != nil {
		delete(l.keys, key)
	}
}
