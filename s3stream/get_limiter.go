package s3stream

import "sync"

// getLimiter bounds the GETs of a store, first come, first served: the order is
// that of the readers' calls, not of the scheduler's, so that a seed of the
// simulation replays.
type getLimiter struct {
	mu      sync.Mutex // guards what follows
	running int        // GETs in flight
	waiting []chan struct{}
}

// requestTurn returns a channel that is closed when the GET may be sent;
// endTurn must follow.
func (f *getLimiter) requestTurn() <-chan struct{} {
	turn := make(chan struct{})
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running < maxGETs {
		f.running++
		close(turn)
	} else {
		f.waiting = append(f.waiting, turn)
	}
	return turn
}

// endTurn ends a GET, before its readers receive the result.
func (f *getLimiter) endTurn() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.waiting) == 0 {
		f.running--
		return
	}
	close(f.waiting[0])
	f.waiting = f.waiting[1:]
}

// pendingGETs is how many GETs are in flight or wait for their turn.
func (f *getLimiter) pendingGETs() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.running + len(f.waiting)
}
