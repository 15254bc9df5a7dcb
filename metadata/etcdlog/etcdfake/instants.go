package etcdfake

import (
	"sync"
	"time"
)

// Instants separates events in time: two effects of one nanosecond would race,
// and a seed would not replay. The zero value is ready.
type Instants struct {
	mu    sync.Mutex // guards taken
	taken map[int64]string
}

// TakeIn is Take for d from now. It returns how long it is until the instant
// taken.
func (i *Instants) TakeIn(d time.Duration, by string) time.Duration {
	now := time.Now()
	return i.Take(now.Add(d), by).Sub(now)
}

// maxInstants is how many instants are kept before past ones are dropped.
const maxInstants = 4096

// Take returns the first instant, not before at, that is not taken. Callers with
// the same name share one: identical requests have no order.
func (i *Instants) Take(at time.Time, by string) time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.taken) >= maxInstants {
		now := time.Now().UnixNano()
		for t := range i.taken {
			if t < now {
				delete(i.taken, t)
			}
		}
	}
	if i.taken == nil {
		i.taken = map[int64]string{}
	}
	for {
		n := at.UnixNano()
		if other, ok := i.taken[n]; !ok || other == by {
			i.taken[n] = by
			return at
		}
		at = at.Add(1)
	}
}
