package s3stream

import (
	"container/list"
	"sync"
	"sync/atomic"

	"github.com/zonewise/zonewise/metadata"
)

// blockKey names a block: an aligned piece of an object, or the bytes of one
// inline span of an archived entry.
type blockKey struct {
	name    metadata.ObjectName // WAL object; zero: archive
	archive string              // key of the archive
	rev     metadata.Revision   // entry in the archive; 0: at is a place in the object
	at      int64               // bytes
}

// blockFetch is one request that fills blocks, and the reader that is charged
// for it.
type blockFetch struct {
	mu        sync.Mutex // guards unclaimed and ended
	unclaimed uint32     // billable attempts that no reader has claimed yet
	ended     bool       // responses that come later are of a hedge

	blocks int // of it in the cache; guarded by blockCache.mu
	// payer is the read that first requested any of the blocks: of several
	// that wait, the scheduler must not choose the one that is charged.
	payer atomic.Pointer[ReadStats]
}

// isPayer reports whether this read claims the GET.
func (g *blockFetch) isPayer(s *ReadStats) bool {
	return g.payer.CompareAndSwap(nil, s) || g.payer.Load() == s
}

// takeUnclaimed returns the unclaimed GETs, to the first caller.
func (g *blockFetch) takeUnclaimed() uint32 {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.unclaimed
	g.unclaimed = 0
	return n
}

// countAttempt counts a billable attempt; false once the request has ended.
func (g *blockFetch) countAttempt() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.ended {
		g.unclaimed++
	}
	return !g.ended
}

// markEnded is called when the response has come, before any reader claims it.
func (g *blockFetch) markEnded() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended = true
}

// block is a piece that is being fetched or is in memory. What done guards does
// not change after it is closed.
type block struct {
	key   blockKey
	done  chan struct{} // closed when data or err is set
	data  []byte
	err   error
	fetch *blockFetch
	// checked is the range of data, from (upper half) to (lower half), in
	// which every batch matched its CRC. Readers that race set one range or
	// the other: both are true.
	checked atomic.Uint64
}

// isChecked reports whether a batch at these bytes was checked before.
func (b *block) isChecked(from, to int64) bool {
	c := b.checked.Load()
	return from >= int64(c>>32) && to <= int64(uint32(c))
}

// setChecked records that a batch at these bytes matched its CRC, if that
// extends the range: one partition's readers go forward.
func (b *block) setChecked(from, to int64) {
	c := b.checked.Load()
	first, last := int64(c>>32), int64(uint32(c))
	if from == last {
		from = first
	}
	if to-from > last-first {
		b.checked.CompareAndSwap(c, uint64(from)<<32|uint64(to))
	}
}

// blockCache is a 2Q cache with single flight. A block enters the first queue
// and leaves it in order, however often it is read meanwhile: a replay passes
// through a quarter of the memory. Only a block that is requested again after
// it has left (while it is among the ghosts) enters the main queue, which is
// LRU.
//
// Blocks in flight are in the map and in no queue.
type blockCache struct {
	limit        int64 // bytes of data
	ghostLimit   int   // as many blocks as fit: a request after a longer time is a replay, too
	reportUnused func(gets uint32)

	mu            sync.Mutex
	blocks        map[blockKey]*cacheEntry   // guarded by mu, as all below
	first         list.List                  // of *slot, newest in front
	main          list.List                  // of *slot, most recently used in front
	ghosts        list.List                  // of blockKey, newest in front
	ghostElements map[blockKey]*list.Element // of ghosts
	bytes         [2]int64                   // of first and main
}

// cacheEntry is a block's entry in the cache.
type cacheEntry struct {
	*block
	element *list.Element // nil while in flight
	inMain  bool
}

func newBlockCache(limit int64, unused func(gets uint32)) *blockCache {
	return &blockCache{limit: limit, ghostLimit: int(limit / blockBytes), reportUnused: unused, blocks: map[blockKey]*cacheEntry{}, ghostElements: map[blockKey]*list.Element{}}
}

// lookup returns the block, in memory or in flight.
func (c *blockCache) lookup(key blockKey) (*block, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.blocks[key]
	if s == nil {
		return nil, false
	}
	if s.inMain {
		c.main.MoveToFront(s.element)
	}
	return s.block, true
}

// startFetch adds a block in flight that the caller fetches with g; false, and
// the present block, where another reader was faster.
func (c *blockCache) startFetch(key blockKey, g *blockFetch) (*block, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.blocks[key]; s != nil {
		return s.block, false
	}
	b := &block{key: key, done: make(chan struct{}), fetch: g}
	c.blocks[key] = &cacheEntry{block: b}
	return b, true
}

// finishFetch ends the fetch of a block: with data the block is kept, with an
// error it is dropped, so that the next reader tries again.
func (c *blockCache) finishFetch(b *block, data []byte, err error) {
	b.data, b.err = data, err
	close(b.done)
	c.mu.Lock()
	s := c.blocks[b.key]
	if s == nil || s.block != b {
		c.mu.Unlock()
		return // dropped meanwhile
	}
	if err != nil {
		delete(c.blocks, b.key)
		c.mu.Unlock()
		return
	}
	b.fetch.blocks++
	if ghost := c.ghostElements[b.key]; ghost != nil {
		c.ghosts.Remove(ghost)
		delete(c.ghostElements, b.key)
		s.inMain = true
		s.element = c.main.PushFront(s)
		c.bytes[1] += int64(len(data))
	} else {
		s.element = c.first.PushFront(s)
		c.bytes[0] += int64(len(data))
	}
	lost := c.evict()
	c.mu.Unlock()
	c.reportUnused(lost)
}

// evict shrinks the cache to its limit and returns the GETs that no reader has
// used or can still use.
func (c *blockCache) evict() (lost uint32) {
	for c.bytes[0]+c.bytes[1] > c.limit {
		from := &c.main
		if c.bytes[0] > c.limit/4 || c.main.Len() == 0 {
			from = &c.first
		}
		s := from.Back().Value.(*cacheEntry)
		if !s.inMain {
			c.ghostElements[s.key] = c.ghosts.PushFront(s.key)
		}
		lost += c.removeEntry(s)
	}
	for c.ghosts.Len() > c.ghostLimit {
		oldest := c.ghosts.Back()
		delete(c.ghostElements, oldest.Value.(blockKey))
		c.ghosts.Remove(oldest)
	}
	return lost
}

func (c *blockCache) removeEntry(s *cacheEntry) (lost uint32) {
	delete(c.blocks, s.key)
	if s.element == nil {
		return 0 // in flight: finishFetch finds it gone
	}
	if s.inMain {
		c.main.Remove(s.element)
		c.bytes[1] -= int64(len(s.data))
	} else {
		c.first.Remove(s.element)
		c.bytes[0] -= int64(len(s.data))
	}
	if s.fetch.blocks--; s.fetch.blocks == 0 {
		return s.fetch.takeUnclaimed()
	}
	return 0
}

// dropBlock drops a block whose bytes are wrong.
func (c *blockCache) dropBlock(b *block) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.blocks[b.key]; s != nil && s.block == b {
		c.removeEntry(s) // its GET was claimed by the reader that found the fault
	}
}

// takeAllUnclaimed claims what is left when the store is closed.
func (c *blockCache) takeAllUnclaimed() (gets uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.blocks {
		gets += s.fetch.takeUnclaimed()
	}
	return gets
}

func (c *blockCache) size() (blocks int, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.first.Len() + c.main.Len(), c.bytes[0] + c.bytes[1]
}
