package s3stream

import "sync"

// flights bounds the GETs of a store. Who asks first goes first: the order is
// that of the readers' calls, not of the scheduler's, so that a seed of the
// simulation replays.
type flights struct {
	mu      sync.Mutex // guards what follows
	under   int        // GETs that were let through
	waiting []chan struct{}
}

// ask returns a channel that is closed when the GET may be sent; land must
// follow.
func (f *flights) ask() <-chan struct{} {
	turn := make(chan struct{})
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.under < maxGETs {
		f.under++
		close(turn)
	} else {
		f.waiting = append(f.waiting, turn)
	}
	return turn
}

// land ends a GET, before anybody learns of what it brought.
func (f *flights) land() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.waiting) == 0 {
		f.under--
		return
	}
	close(f.waiting[0])
	f.waiting = f.waiting[1:]
}

// count is how many GETs are in flight or wait for their turn.
func (f *flights) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.under + len(f.waiting)
}
