package etcdfake

import (
	"bytes"
	"slices"
	"sort"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/zonewise/zonewise/metadata/etcdlog"
)

// Store is one etcd cluster.
type Store struct {
	cfg  Config
	wg   sync.WaitGroup // calls that outlast their caller, lease timers
	done chan struct{}  // closed by Close

	mu            sync.Mutex // guards the fields below; never held while waiting
	data          data
	leases        map[int64]*lease
	lastID        int64
	changed       chan struct{}  // closed and replaced when rev, history or epoch move
	epoch         int            // rises with Restore: earlier watches end
	revisionTimes []revisionTime // when revisions were committed, for members that lag
	members       []etcdlog.Member
	closed        bool
	stats         Stats
}

// data is the part of a store that a snapshot has.
type data struct {
	rev, compacted int64
	keys           []string // every key with history, sorted
	versions       map[string][]version
	events         []event // from compacted on, by revision
}

// version is one revision of one key.
type version struct {
	kv      *mvccpb.KeyValue // never changed
	mod     int64
	deleted bool
}

type event struct {
	rev int64
	ev  *mvccpb.Event
}

// revisionTime is when rev was committed.
type revisionTime struct {
	rev int64
	at  time.Time
}

// Stats counts events, so that tests can check that they occurred.
type Stats struct {
	Txns, Ranges, Watches, Compactions, LeasesExpired int
	LostReplies, FailedBefore, LandedLate             int
	WatchesCancelled, WatchesCompacted, StaleReads    int
}

// New starts an empty etcd. Its first revision is 1, as etcd's is.
func New(cfg Config) *Store {
	return &Store{
		cfg: cfg.withDefaults(), done: make(chan struct{}), changed: make(chan struct{}),
		data: data{rev: 1, versions: map[string][]version{}}, leases: map[int64]*lease{},
		members: []etcdlog.Member{{Name: "etcd-0", Leader: true}},
	}
}

// Close ends everything and waits for it. Calls under way fail.
func (s *Store) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	for _, l := range s.leases {
		l.timer.Stop()
	}
	s.mu.Unlock()
	close(s.done)
	s.wg.Wait()
}

// Stats returns the counts so far.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// Revision returns the store's newest revision.
func (s *Store) Revision() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.data.rev
}

// SetMembers sets the members that Status returns.
func (s *Store) SetMembers(m ...etcdlog.Member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.members = m
}

// Dump returns the current keys and values, sorted by key.
func (s *Store) Dump() []*mvccpb.KeyValue {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.data.listRange(nil, []byte{0}, s.data.rev)
}

// findVersion returns the key's version at rev, nil where it is absent.
func (d *data) findVersion(key string, rev int64) *mvccpb.KeyValue {
	vs := d.versions[key]
	for i := len(vs) - 1; i >= 0; i-- {
		if vs[i].mod <= rev {
			if vs[i].deleted {
				return nil
			}
			return vs[i].kv
		}
	}
	return nil
}

// listRange returns the keys of a range at rev, sorted. end nil: one key; end
// {0}: everything from key on.
func (d *data) listRange(key, end []byte, rev int64) []*mvccpb.KeyValue {
	if len(end) == 0 {
		if kv := d.findVersion(string(key), rev); kv != nil {
			return []*mvccpb.KeyValue{kv}
		}
		return nil
	}
	var all []*mvccpb.KeyValue
	for i := sort.SearchStrings(d.keys, string(key)); i < len(d.keys); i++ {
		k := d.keys[i]
		if !(len(end) == 1 && end[0] == 0) && k >= string(end) {
			break
		}
		if kv := d.findVersion(k, rev); kv != nil {
			all = append(all, kv)
		}
	}
	return all
}

// rangeAt answers a range request. now is the revision that is visible to the
// client.
func (d *data) rangeAt(r *etcdserverpb.RangeRequest, now int64) (*etcdserverpb.RangeResponse, error) {
	rev := now
	if r.Revision > 0 {
		if rev = r.Revision; rev > now {
			return nil, rpctypes.ErrFutureRev
		}
		if rev < d.compacted {
			return nil, rpctypes.ErrCompacted
		}
	}
	kvs := d.listRange(r.Key, r.RangeEnd, rev)
	kvs = slices.DeleteFunc(slices.Clone(kvs), func(kv *mvccpb.KeyValue) bool {
		return r.MinModRevision > 0 && kv.ModRevision < r.MinModRevision ||
			r.MaxModRevision > 0 && kv.ModRevision > r.MaxModRevision ||
			r.MinCreateRevision > 0 && kv.CreateRevision < r.MinCreateRevision ||
			r.MaxCreateRevision > 0 && kv.CreateRevision > r.MaxCreateRevision
	})
	sortKVs(kvs, r)
	resp := &etcdserverpb.RangeResponse{Header: &etcdserverpb.ResponseHeader{Revision: now}, Count: int64(len(kvs))}
	if r.CountOnly {
		return resp, nil
	}
	if r.Limit > 0 && int64(len(kvs)) > r.Limit {
		kvs, resp.More = kvs[:r.Limit], true
	}
	for _, kv := range kvs {
		resp.Kvs = append(resp.Kvs, copyKV(kv, r.KeysOnly))
	}
	return resp, nil
}

func sortKVs(kvs []*mvccpb.KeyValue, r *etcdserverpb.RangeRequest) {
	if r.SortOrder == etcdserverpb.RangeRequest_NONE && r.SortTarget == etcdserverpb.RangeRequest_KEY {
		return // they are sorted by key already; for other targets no order means ascending
	}
	by := func(kv *mvccpb.KeyValue) int64 {
		switch r.SortTarget {
		case etcdserverpb.RangeRequest_CREATE:
			return kv.CreateRevision
		case etcdserverpb.RangeRequest_MOD:
			return kv.ModRevision
		case etcdserverpb.RangeRequest_VERSION:
			return kv.Version
		}
		return 0
	}
	slices.SortStableFunc(kvs, func(a, b *mvccpb.KeyValue) int {
		c := 0
		switch r.SortTarget {
		case etcdserverpb.RangeRequest_KEY:
			c = bytes.Compare(a.Key, b.Key)
		case etcdserverpb.RangeRequest_VALUE:
			c = bytes.Compare(a.Value, b.Value)
		default:
			c = int(by(a) - by(b))
		}
		if r.SortOrder == etcdserverpb.RangeRequest_DESCEND {
			c = -c
		}
		return c
	})
}

// copyKV returns a copy for a caller. Keys without values come from etcd's index,
// which has no leases (3.7).
func copyKV(kv *mvccpb.KeyValue, keysOnly bool) *mvccpb.KeyValue {
	c := &mvccpb.KeyValue{Key: bytes.Clone(kv.Key), CreateRevision: kv.CreateRevision, ModRevision: kv.ModRevision, Version: kv.Version}
	if !keysOnly {
		c.Value, c.Lease = bytes.Clone(kv.Value), kv.Lease
	}
	return c
}

// addVersion adds a version of a key and its event.
func (d *data) addVersion(key string, v version) {
	if _, ok := d.versions[key]; !ok {
		i := sort.SearchStrings(d.keys, key)
		d.keys = slices.Insert(d.keys, i, key)
	}
	d.versions[key] = append(d.versions[key], v)
	e := &mvccpb.Event{Type: mvccpb.Event_PUT, Kv: v.kv}
	if v.deleted {
		e.Type = mvccpb.Event_DELETE
	}
	d.events = append(d.events, event{v.mod, e})
}

// compact drops what a read at rev or later cannot see, and the events before
// rev.
func (d *data) compact(rev int64) error {
	if rev <= d.compacted {
		return rpctypes.ErrCompacted
	}
	if rev > d.rev {
		return rpctypes.ErrFutureRev
	}
	d.compacted = rev
	keep := d.keys[:0]
	for _, k := range d.keys {
		vs := d.versions[k]
		first := 0
		for i := range vs {
			if vs[i].mod <= rev {
				first = i
			}
		}
		if vs[first].deleted && vs[first].mod <= rev {
			first++
		}
		if vs = slices.Clone(vs[first:]); len(vs) == 0 {
			delete(d.versions, k)
			continue
		}
		d.versions[k] = vs
		keep = append(keep, k)
	}
	d.keys = keep
	i := sort.Search(len(d.events), func(i int) bool { return d.events[i].rev >= rev })
	d.events = slices.Clone(d.events[i:])
	return nil
}

// wakeWatches wakes watches. The mutex is held.
func (s *Store) wakeWatches() {
	s.revisionTimes = append(s.revisionTimes, revisionTime{s.data.rev, time.Now()})
	if n := len(s.revisionTimes); n > 100_000 {
		s.revisionTimes = slices.Clone(s.revisionTimes[n/2:])
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// visibleRevision returns the revision that a member with this lag has reached.
// The mutex is held.
func (s *Store) visibleRevision(lag time.Duration) int64 {
	if lag <= 0 {
		return s.data.rev
	}
	t := time.Now().Add(-lag)
	i := sort.Search(len(s.revisionTimes), func(i int) bool { return s.revisionTimes[i].at.After(t) })
	if i == 0 {
		if len(s.revisionTimes) == 0 {
			return s.data.rev
		}
		return max(s.revisionTimes[0].rev-1, s.data.compacted)
	}
	return max(s.revisionTimes[i-1].rev, s.data.compacted)
}
