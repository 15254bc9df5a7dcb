package s3stream

import (
	"sync"

	"github.com/zonewise/zonewise/metadata"
)

// trail is where a read ended: the next one that begins there is sequential,
// and need not walk its span from the start to find its offset.
type trail struct {
	known    bool
	first    metadata.Offset // of the span
	revision metadata.Revision
	object   int16
	pos      int64 // in the span, of the batch that begins at the trail's offset
	window   int64 // bytes to read ahead
}

// fits reports whether the trail ends in this very span, at offset from. Where
// there is a hole before the span (a recovery's jump) the offset lies before
// it, and the span begins at its own first offset.
func (t trail) fits(sp metadata.Span, from metadata.Offset) bool {
	return t.known && t.first == sp.First && t.revision == sp.Revision && t.object == sp.Object &&
		t.pos < int64(sp.Length) && sp.First <= from && from < sp.End()
}

// maxTrails bounds each of the two maps: a reader that pauses for that many
// other reads merely loses its window.
const maxTrails = 8192

type trailKey struct {
	tp   metadata.TopicPartition
	next metadata.Offset
}

// trails remembers the ends of recent reads.
type trails struct {
	mu            sync.Mutex
	recent, older map[trailKey]trail // guarded by mu
}

func newTrails() *trails { return &trails{recent: map[trailKey]trail{}} }

func (t *trails) get(tp metadata.TopicPartition, next metadata.Offset) trail {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := trailKey{tp, next}
	if tr, ok := t.recent[key]; ok {
		return tr
	}
	return t.older[key]
}

func (t *trails) put(tp metadata.TopicPartition, next metadata.Offset, tr trail) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.recent) >= maxTrails {
		t.older, t.recent = t.recent, map[trailKey]trail{}
	}
	t.recent[trailKey{tp, next}] = tr
}
