package s3stream

import (
	"sync"

	"github.com/zonewise/zonewise/metadata"
)

// readCursor is where a read ended: the next one that begins there is sequential,
// and need not walk its span from the start to find its offset.
type readCursor struct {
	known    bool
	first    metadata.Offset // of the span
	revision metadata.Revision
	object   int16
	pos      int64 // in the span, of the batch that begins at the cursor's offset
	window   int64 // bytes to read ahead
}

// pointsInto reports whether the cursor is in this span, at offset from. Where
// there is a hole before the span (the offset gap of a recovery) the offset is
// before it, and the span begins at its own first offset.
func (t readCursor) pointsInto(sp metadata.Span, from metadata.Offset) bool {
	return t.known && t.first == sp.First && t.revision == sp.Revision && t.object == sp.Object &&
		t.pos < int64(sp.Length) && sp.First <= from && from < sp.End()
}

// maxCursors bounds each of the two maps: a reader that pauses for that many
// other reads merely loses its window.
const maxCursors = 8192

type cursorKey struct {
	tp   metadata.TopicPartition
	next metadata.Offset
}

// cursorCache remembers the ends of recent reads.
type cursorCache struct {
	mu            sync.Mutex
	recent, older map[cursorKey]readCursor // guarded by mu
}

func newCursorCache() *cursorCache { return &cursorCache{recent: map[cursorKey]readCursor{}} }

func (t *cursorCache) get(tp metadata.TopicPartition, next metadata.Offset) readCursor {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := cursorKey{tp, next}
	if tr, ok := t.recent[key]; ok {
		return tr
	}
	return t.older[key]
}

func (t *cursorCache) put(tp metadata.TopicPartition, next metadata.Offset, tr readCursor) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.recent) >= maxCursors {
		t.older, t.recent = t.recent, map[cursorKey]readCursor{}
	}
	t.recent[cursorKey{tp, next}] = tr
}
