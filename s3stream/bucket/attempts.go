package bucket

import (
	"encoding/binary"
	"hash/fnv"
	"strconv"
	"sync"
	"time"
)

// attemptCounter counts the requests for each thing, so that the outcome of a
// request can be a function of operation, name and number of the attempt. A
// random stream shared by requests would depend on the order of their arrival,
// and no run could be replayed.
type attemptCounter struct {
	mu     sync.Mutex
	recent map[string]int // guarded by mu
	older  map[string]int // guarded by mu
}

// maxCountedKeys bounds each of the two maps; a key without a request during
// that many other requests begins at 1 again.
const maxCountedKeys = 1 << 18

// countAttempt returns 1 for the first attempt of this request.
func (t *attemptCounter) countAttempt(op Op, name string, off int64) int {
	key := string(rune('0'+op)) + strconv.FormatInt(off, 16) + "/" + name
	t.mu.Lock()
	defer t.mu.Unlock()
	n, there := t.recent[key]
	if !there {
		n = t.older[key]
	}
	if t.recent == nil || !there && len(t.recent) >= maxCountedKeys {
		t.older, t.recent = t.recent, map[string]int{}
	}
	t.recent[key] = n + 1
	return n + 1
}

// generateBits returns 64 bits that depend on nothing but its arguments.
func generateBits(seed uint64, purpose string, op Op, name string, attempt int) uint64 {
	h := fnv.New64a()
	var head [17]byte
	binary.BigEndian.PutUint64(head[:], seed)
	head[8] = byte(op)
	binary.BigEndian.PutUint64(head[9:], uint64(attempt))
	for _, part := range [][]byte{head[:], []byte(purpose), {0}, []byte(name)} {
		_, _ = h.Write(part) // a hash takes everything
	}
	// FNV mixes its last bytes badly; finish as splitmix64 does.
	x := h.Sum64()
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// generateFraction is generateBits in [0, 1).
func generateFraction(seed uint64, purpose string, op Op, name string, attempt int) float64 {
	return float64(generateBits(seed, purpose, op, name, attempt)>>11) / (1 << 53)
}

// GenerateDuration is a duration in (0, within] that depends only on its
// arguments, to the nanosecond, so that no two events share an instant: for the
// function given to Delay and for scripts of a simulation. purpose
// distinguishes several durations for the same request.
func GenerateDuration(seed uint64, purpose string, op Op, name string, attempt int, within time.Duration) time.Duration {
	return 1 + time.Duration(generateBits(seed, purpose, op, name, attempt)%uint64(max(within, 1)))
}
