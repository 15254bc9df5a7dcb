package metadata

// tablePages is how many pages each table of the state has: of 100,000 partitions
// about a hundred are on a page, and an empty page costs a checkpoint a few
// bytes.
const tablePages = 1024

// table is a map in pages, copy-on-write between the live state and its
// snapshots: a snapshot costs one slice copy whatever the size, and afterwards
// the live side copies a page before it changes it, which costs a list of its
// buckets (cowMap). A checkpoint writes or reuses whole pages.
//
// Only the owner of the live state calls anything here except each.
type table[K comparable, V any] struct {
	pages   []*tablePage[K, V]
	version uint64 // rises with every snapshot; a page of an older version is shared
	count   int
	pageOf  func(K) uint64    // which page, modulo tablePages
	clone   func(V) V         // a copy that shares nothing that is changed in place
	hash    func(K, V) uint64 // of one item; nil where the caller updates the sum itself
	sum     *uint64           // the state's hash
}

type tablePage[K comparable, V any] struct {
	version uint64 // in which it last changed
	items   cowMap[K, V]
}

func newTable[K comparable, V any](place func(K) uint64, clone func(V) V, hash func(K, V) uint64, sum *uint64) *table[K, V] {
	return &table[K, V]{pages: make([]*tablePage[K, V], tablePages), version: 1, pageOf: place, clone: clone, hash: hash, sum: sum}
}

// get returns the item to read, or nil.
func (t *table[K, V]) get(k K) *V {
	p := t.pages[t.pageOf(k)%tablePages]
	if p == nil {
		return nil
	}
	return p.items.get(k)
}

func (t *table[K, V]) has(k K) bool { return t.get(k) != nil }

// ownPage returns the page of k, not shared with any snapshot.
func (t *table[K, V]) ownPage(k K) *tablePage[K, V] {
	i := t.pageOf(k) % tablePages
	p := t.pages[i]
	if p != nil && p.version == t.version {
		return p
	}
	next := &tablePage[K, V]{version: t.version}
	if p == nil {
		next.items = newCowMap[K, V]()
	} else {
		next.items = p.items.copyOnWrite()
	}
	t.pages[i] = next
	return next
}

// mutable returns the item to change in place, or nil where there is none. The
// caller updates the hash; most callers use edit.
func (t *table[K, V]) mutable(k K) *V {
	if t.get(k) == nil {
		return nil
	}
	return t.ownPage(k).items.mutable(k, t.clone)
}

// edit changes an item in place and updates the hash; false where there is none.
func (t *table[K, V]) edit(k K, change func(*V)) bool {
	v := t.mutable(k)
	if v == nil {
		return false
	}
	*t.sum -= t.hash(k, *v)
	change(v)
	*t.sum += t.hash(k, *v)
	return true
}

// put stores an item, new or not.
func (t *table[K, V]) put(k K, v V) {
	p := t.ownPage(k)
	if old := p.items.get(k); old == nil {
		t.count++
	} else if t.hash != nil {
		*t.sum -= t.hash(k, *old)
	}
	p.items.put(k, v)
	if t.hash != nil {
		*t.sum += t.hash(k, v)
	}
}

// drop removes an item.
func (t *table[K, V]) drop(k K) {
	v := t.get(k)
	if v == nil {
		return
	}
	if t.hash != nil {
		*t.sum -= t.hash(k, *v)
	}
	t.ownPage(k).items.dropKey(k)
	t.count--
}

// each calls f for every item, in no particular order, until it returns
// false. f may not change the table.
func (t *table[K, V]) each(f func(K, *V) bool) {
	for _, p := range t.pages {
		if p == nil {
			continue
		}
		for k, v := range p.items.all() {
			if !f(k, v) {
				return
			}
		}
	}
}

// eachOnPage calls f for every item of a page by its number.
func (t *table[K, V]) eachOnPage(page int, f func(K, *V)) {
	if p := t.pages[page]; p != nil {
		for k, v := range p.items.all() {
			f(k, v)
		}
	}
}

// eachInPage calls f for every item of the page of k.
func (t *table[K, V]) eachInPage(k K, f func(K, *V)) {
	if p := t.pages[t.pageOf(k)%tablePages]; p != nil {
		for k, v := range p.items.all() {
			f(k, v)
		}
	}
}

// snapshot returns an immutable copy of the table.
func (t *table[K, V]) snapshot() *table[K, V] {
	copied := *t
	copied.pages = append([]*tablePage[K, V](nil), t.pages...)
	t.version++
	return &copied
}
