package metadata

import (
	"hash/maphash"
	"iter"
	"math/bits"
	"slices"
)

// bucketItems is how many items a bucket of a cowMap has on average at most.
const bucketItems = 8

// cowMap is a map of which a copy costs one slice of pointers, 1 byte per item,
// and of which the copy then copies a bucket of about eight items before it changes
// it. maps.Clone of 50,000 items stops apply for milliseconds, a copy of those for
// microseconds.
//
// Buckets are added one at a time as items are (linear hashing), so that no put
// costs more than another. In which bucket an item is differs from broker to
// broker, as in Go's maps, and is seen by nobody: clients choose some of the keys,
// and must not be able to choose keys of one bucket.
//
// The zero value is empty, to be read only.
type cowMap[K comparable, V any] struct {
	seed    maphash.Seed
	version uint64 // buckets and items of another version are shared with the map that this one was copied from
	buckets []*cowBucket[K, V]
	count   int
}

type cowBucket[K comparable, V any] struct {
	version uint64
	entries []cowEntry[K, V]
}

// cowEntry has the hash beside the item, so that a search reads one item only.
type cowEntry[K comparable, V any] struct {
	hash uint64
	item *cowItem[K, V]
}

type cowItem[K comparable, V any] struct {
	version uint64
	key     K
	value   V
}

func newCowMap[K comparable, V any]() cowMap[K, V] {
	return cowMap[K, V]{seed: maphash.MakeSeed(), buckets: make([]*cowBucket[K, V], 1)}
}

// copyOnWrite returns a copy to change. The original may be read from then on, and
// not be changed any more.
func (m *cowMap[K, V]) copyOnWrite() cowMap[K, V] {
	return cowMap[K, V]{m.seed, m.version + 1, slices.Clone(m.buckets), m.count}
}

func (m *cowMap[K, V]) len() int { return m.count }

// bucketOf returns the bucket of a hash. Where the number of buckets is not a power
// of two, the first ones are split already, by one more bit.
func (m *cowMap[K, V]) bucketOf(hash uint64) int {
	n := len(m.buckets)
	mask := 1<<bits.Len(uint(n-1)) - 1
	if i := int(hash) & mask; i < n {
		return i
	}
	return int(hash) & (mask >> 1)
}

func (b *cowBucket[K, V]) findKey(hash uint64, k K) int {
	if b != nil {
		for i := range b.entries {
			if e := &b.entries[i]; e.hash == hash && e.item.key == k {
				return i
			}
		}
	}
	return -1
}

// get returns the item to read, or nil. The pointer is valid until the map is
// changed.
func (m *cowMap[K, V]) get(k K) *V {
	if m.count == 0 {
		return nil
	}
	hash := maphash.Comparable(m.seed, k)
	b := m.buckets[m.bucketOf(hash)]
	if i := b.findKey(hash, k); i >= 0 {
		return &b.entries[i].item.value
	}
	return nil
}

// ownBucket returns a bucket that is not shared.
func (m *cowMap[K, V]) ownBucket(i int) *cowBucket[K, V] {
	b := m.buckets[i]
	if b != nil && b.version == m.version {
		return b
	}
	next := &cowBucket[K, V]{version: m.version}
	if b != nil {
		next.entries = append(make([]cowEntry[K, V], 0, len(b.entries)+1), b.entries...)
	}
	m.buckets[i] = next
	return next
}

// mutable returns the item to change in place, or nil where there is none. clone
// makes a copy of it that shares nothing that is changed in place.
func (m *cowMap[K, V]) mutable(k K, clone func(V) V) *V {
	if m.count == 0 {
		return nil
	}
	hash := maphash.Comparable(m.seed, k)
	at := m.bucketOf(hash)
	i := m.buckets[at].findKey(hash, k)
	if i < 0 {
		return nil
	}
	e := &m.ownBucket(at).entries[i]
	if e.item.version != m.version {
		e.item = &cowItem[K, V]{m.version, k, clone(e.item.value)}
	}
	return &e.item.value
}

// put stores an item, new or not. A pointer to the item that was there keeps its
// value.
func (m *cowMap[K, V]) put(k K, v V) {
	hash := maphash.Comparable(m.seed, k)
	b := m.ownBucket(m.bucketOf(hash))
	item := &cowItem[K, V]{m.version, k, v}
	if i := b.findKey(hash, k); i >= 0 {
		b.entries[i].item = item
		return
	}
	b.entries = append(b.entries, cowEntry[K, V]{hash, item})
	if m.count++; m.count > bucketItems*len(m.buckets) {
		m.splitBucket()
	}
}

// splitBucket adds a bucket, and moves to it what is in it from now on.
func (m *cowMap[K, V]) splitBucket() {
	n := len(m.buckets)
	from := n &^ (1 << (bits.Len(uint(n)) - 1)) // without its highest bit
	m.buckets = append(m.buckets, nil)
	old := m.buckets[from]
	if old == nil {
		return
	}
	stay, move := &cowBucket[K, V]{version: m.version}, &cowBucket[K, V]{version: m.version}
	for _, e := range old.entries {
		to := stay
		if m.bucketOf(e.hash) == n {
			to = move
		}
		to.entries = append(to.entries, e)
	}
	m.buckets[from], m.buckets[n] = stay, move
}

// dropKey removes an item, if it is there. Buckets remain until the map is empty.
func (m *cowMap[K, V]) dropKey(k K) {
	if m.count == 0 {
		return
	}
	hash := maphash.Comparable(m.seed, k)
	at := m.bucketOf(hash)
	i := m.buckets[at].findKey(hash, k)
	if i < 0 {
		return
	}
	if m.count--; m.count == 0 {
		m.buckets = make([]*cowBucket[K, V], 1)
		return
	}
	b := m.ownBucket(at)
	last := len(b.entries) - 1
	b.entries[i] = b.entries[last]
	b.entries[last] = cowEntry[K, V]{}
	if b.entries = b.entries[:last]; last == 0 {
		m.buckets[at] = nil
	}
}

// all iterates over the items, in no particular order. The map may not be changed
// meanwhile.
func (m *cowMap[K, V]) all() iter.Seq2[K, *V] {
	return func(yield func(K, *V) bool) {
		for _, b := range m.buckets {
			if b == nil {
				continue
			}
			for _, e := range b.entries {
				if !yield(e.item.key, &e.item.value) {
					return
				}
			}
		}
	}
}
