package sim

import (
	"strings"
	"time"

	"github.com/zonewise/zonewise/metadata/etcdlog/etcdfake"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// faultTrigger waits for a request and fires at it: it kills the process that makes
// it, or loses the response.
type faultTrigger struct {
	process      string // that makes the request; empty: any
	match        string // part of "<op> <key>"
	deletesOnly  bool   // log keys: only an extent's prefix, which only deletes use
	countdown    int    // fires when it has counted down to zero
	applied      bool   // the request takes effect, and only its response is lost
	loseReplies  int    // kill no process: lose this many responses
	failRequests int    // kill no process: fail this many requests, without effect
	action       stopOrder

	lastMatch time.Time // of the last match
	firesNow  bool      // its result
	spent     bool      // fires no more
}

func (w *world) addTrigger(t *faultTrigger) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.triggers = append(w.triggers, t)
}

func (w *world) removeTrigger(t *faultTrigger) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.triggers {
		if w.triggers[i] == t {
			w.triggers = append(w.triggers[:i:i], w.triggers[i+1:]...)
			return
		}
	}
}

// matchTrigger matches a request of an instance with the triggers, and returns the one
// that fires, if any.
func (w *world) matchTrigger(instance, op, key string) *faultTrigger {
	name, _, _ := strings.Cut(instance, ".")
	what := op + " " + key
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	for _, t := range w.triggers {
		if t.process != "" && t.process != name || !strings.Contains(what, t.match) || op == "watch" || op == "keepalive" {
			continue
		}
		if t.deletesOnly && strings.HasPrefix(key, "/zonewise/main/log/") && strings.Count(key, "/") > 5 {
			continue
		}
		// Requests of the same instant have no order, so they have the same outcome.
		if !now.Equal(t.lastMatch) {
			if t.spent {
				continue
			}
			t.lastMatch, t.firesNow = now, t.countMatch()
		}
		if t.firesNow {
			return t
		}
	}
	return nil
}

// countMatch counts an instant with a match, and reports whether the trigger fires.
func (t *faultTrigger) countMatch() bool {
	if t.countdown--; t.countdown > 0 {
		return false
	}
	switch {
	case t.loseReplies > 1:
		t.loseReplies, t.countdown = t.loseReplies-1, 2
	case t.failRequests > 1:
		t.failRequests, t.countdown = t.failRequests-1, 1
	default:
		t.spent = true
	}
	return true
}

// fireTrigger kills an instance's process: at once, or a little later if the request
// takes effect.
func (w *world) fireTrigger(t *faultTrigger, instance string) {
	if t.loseReplies > 0 || t.failRequests > 0 {
		return
	}
	w.trace("trigger fires at %s", instance)
	for _, p := range w.processes {
		l := p.current.Load()
		if l == nil || l.id != instance {
			continue
		}
		if !l.killScheduled.CompareAndSwap(false, true) {
			continue // by a request of the same instant
		}
		o := t.action
		if t.applied {
			o.delay = 3 * time.Millisecond
		}
		p.requestStop(o)
	}
}

// decideEtcdFault is called for every call of etcd.
func (w *world) decideEtcdFault(c etcdfake.Call) (etcdfake.CallOutcome, bool) {
	if w.isDead(c.Client) {
		return etcdfake.CallOutcome{}, false
	}
	w.trace("etcd %s %s %s %d %08x", c.Client, c.Op, c.Key, c.Attempt, c.Sum)
	if t := w.matchTrigger(c.Client, c.Op, c.Key); t != nil {
		w.fireTrigger(t, c.Client)
		if t.failRequests > 0 {
			return etcdfake.CallOutcome{FailBefore: true}, true
		}
		if t.applied || t.loseReplies > 0 {
			return etcdfake.CallOutcome{LoseReply: true}, true
		}
	}
	return etcdfake.CallOutcome{}, w.areFaultsOver() // no fault at the end of a run
}

// decideBucketFault is called for every request of the bucket.
func (w *world) decideBucketFault(instance string, plan bucket.FaultPlan, op bucket.Op, name string, attempt int) bucket.InjectedFault {
	if w.isDead(instance) {
		return bucket.InjectedFault{}
	}
	if t := w.matchTrigger(instance, op.String(), name); t != nil && t.loseReplies == 0 && t.failRequests == 0 {
		w.fireTrigger(t, instance)
		if t.applied {
			return bucket.InjectedFault{Kind: bucket.FaultAnswerLost}
		}
		return bucket.InjectedFault{Kind: bucket.FaultRequestLost}
	}
	if op == bucket.OpDelete && w.areDeletionsFaulty() && w.areFaultsOver() {
		return bucket.FaultPlan{Seed: plan.Seed, Partial: plan.Partial, PartialShare: plan.PartialShare}.Decide(op, name, attempt)
	}
	if !w.faultsEnabled || w.areFaultsOver() {
		return bucket.InjectedFault{}
	}
	f := plan.Decide(op, name, attempt)
	if f.Kind == bucket.FaultLatePut && op == bucket.OpPut {
		w.mu.Lock()
		w.latePuts++
		w.mu.Unlock()
	}
	return f
}
