package sim

import (
	"strings"
	"time"

	"github.com/zonewise/zonewise/metadata/etcdlog/etcdfake"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// trap waits for a request and springs at it: it kills who makes it, or loses
// the answer.
type trap struct {
	process string // whose requests; empty: anybody's
	match   string // part of "<op> <key>"
	duty    bool   // log keys: only a generation's prefix, which only deletes name
	count   int    // springs at the count-th match
	taken   bool   // the request takes effect, and only its answer is lost
	lose    int    // kill nobody: lose so many answers
	fail    int    // kill nobody: fail so many requests, without effect
	order   order

	at     time.Time // of the last match
	fires  bool      // what became of it
	sprung bool      // for the last time
}

func (w *world) set(t *trap) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.traps = append(w.traps, t)
}

func (w *world) unset(t *trap) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.traps {
		if w.traps[i] == t {
			w.traps = append(w.traps[:i:i], w.traps[i+1:]...)
			return
		}
	}
}

// look offers a request of a life to the traps. It returns the trap that
// springs, if one does.
func (w *world) look(life, op, key string) *trap {
	name, _, _ := strings.Cut(life, ".")
	what := op + " " + key
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	for _, t := range w.traps {
		if t.process != "" && t.process != name || !strings.Contains(what, t.match) || op == "watch" || op == "keepalive" {
			continue
		}
		if t.duty && strings.HasPrefix(key, "/zonewise/main/log/") && strings.Count(key, "/") > 5 {
			continue
		}
		// What is asked at one instant has no order, so it has one fate.
		if !now.Equal(t.at) {
			if t.sprung {
				continue
			}
			t.at, t.fires = now, t.next()
		}
		if t.fires {
			return t
		}
	}
	return nil
}

// next counts an instant with a match, and tells whether the trap springs.
func (t *trap) next() bool {
	if t.count--; t.count > 0 {
		return false
	}
	switch {
	case t.lose > 1:
		t.lose, t.count = t.lose-1, 2
	case t.fail > 1:
		t.fail, t.count = t.fail-1, 1
	default:
		t.sprung = true
	}
	return true
}

// spring kills the process of a life: at once, or where the request is to take
// effect, a little later.
func (w *world) spring(t *trap, life string) {
	if t.lose > 0 || t.fail > 0 {
		return
	}
	w.trace("trap springs at %s", life)
	for _, p := range w.processes {
		l := p.now.Load()
		if l == nil || l.id != life {
			continue
		}
		if !l.doomed.CompareAndSwap(false, true) {
			continue // by a request of the same instant
		}
		o := t.order
		if t.taken {
			o.first = 3 * time.Millisecond
		}
		p.order(o)
	}
}

// etcdFate is asked for every call of etcd.
func (w *world) etcdFate(c etcdfake.Call) (etcdfake.Fate, bool) {
	if w.isDead(c.Client) {
		return etcdfake.Fate{}, false
	}
	w.trace("etcd %s %s %s %d %08x", c.Client, c.Op, c.Key, c.Attempt, c.Sum)
	if t := w.look(c.Client, c.Op, c.Key); t != nil {
		w.spring(t, c.Client)
		if t.fail > 0 {
			return etcdfake.Fate{FailBefore: true}, true
		}
		if t.taken || t.lose > 0 {
			return etcdfake.Fate{LoseReply: true}, true
		}
	}
	return etcdfake.Fate{}, w.isCalm() // calm: no fault is drawn
}

// bucketFate is asked for every request of the bucket.
func (w *world) bucketFate(life string, plan bucket.FaultPlan, op bucket.Op, name string, attempt int) bucket.Fate {
	if w.isDead(life) {
		return bucket.Fate{}
	}
	if t := w.look(life, op.String(), name); t != nil && t.lose == 0 && t.fail == 0 {
		w.spring(t, life)
		if t.taken {
			return bucket.Fate{Kind: bucket.FateAfter}
		}
		return bucket.Fate{Kind: bucket.FateLost}
	}
	if !w.faulty || w.isCalm() {
		return bucket.Fate{}
	}
	f := plan.Decide(op, name, attempt)
	if f.Kind == bucket.FateLate && op == bucket.OpPut {
		w.mu.Lock()
		w.late++
		w.mu.Unlock()
	}
	return f
}
