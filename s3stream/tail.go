package s3stream

import (
	"sync"

	"github.com/zonewise/zonewise/metadata"
)

// tailCache keeps the bodies of the objects that this broker wrote last, for
// the consumers at the head of the log. First in, first out: only new objects
// are wanted, and the order of eviction does not depend on readers. An evicted
// body stays valid while a reader uses it.
type tailCache struct {
	limit int64 // bytes

	mu     sync.Mutex
	bodies map[metadata.ObjectName][]byte // guarded by mu
	order  []metadata.ObjectName          // oldest first; guarded by mu
	bytes  int64                          // guarded by mu
}

func newTailCache(limit int64) *tailCache {
	return &tailCache{limit: limit, bodies: map[metadata.ObjectName][]byte{}}
}

// put keeps a body, which must not be changed any more.
func (t *tailCache) put(name metadata.ObjectName, body []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, there := t.bodies[name]; there || int64(len(body)) > t.limit {
		return
	}
	t.bodies[name] = body
	t.order = append(t.order, name)
	t.bytes += int64(len(body))
	for t.bytes > t.limit {
		oldest := t.order[0]
		t.order = t.order[1:]
		t.bytes -= int64(len(t.bodies[oldest]))
		delete(t.bodies, oldest)
	}
}

// get returns a body; do not change it.
func (t *tailCache) get(name metadata.ObjectName) ([]byte, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	body, ok := t.bodies[name]
	return body, ok
}

func (t *tailCache) size() (objects int, bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.bodies), t.bytes
}
