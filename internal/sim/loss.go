package sim

import (
	"context"
	"fmt"
	"time"

	"github.com/zonewise/zonewise/internal/recovery"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// stopTime is how long a broker may serve an etcd that went back in time.
const stopTime = 15 * time.Second

// recoverTime is how long a recovery is tried again.
const recoverTime = time.Minute

// loseEtcd loses etcd with everything in it: an operator stops the brokers and
// recovers into a new one.
func (r *run) loseEtcd(n int) {
	r.waitArchive()
	for _, p := range r.processes {
		if l := p.now.Load(); l != nil {
			l.etcd.Cut(true)
		}
	}
	time.Sleep(r.some("loss", n, 100*time.Millisecond, 3*time.Second))
	r.recover(n)
}

// restoreEtcd puts an older snapshot in etcd's place: every broker must stop
// by itself, and the operator recovers.
func (r *run) restoreEtcd(n int) {
	r.waitArchive()
	snap := r.present().Snapshot()
	time.Sleep(r.some("older", n, 500*time.Millisecond, 6*time.Second))
	r.mu.Lock()
	r.expect = true
	before := r.stops
	r.mu.Unlock()
	var up []*life
	for _, p := range r.processes {
		if l := p.now.Load(); l != nil {
			up = append(up, l)
		}
	}
	r.present().Restore(snap)
	r.trace("restored")
	end := time.Now().Add(stopTime)
	for time.Now().Before(end) && r.stopCount()-before < len(up) {
		time.Sleep(100*time.Millisecond + 1)
	}
	for _, p := range r.processes {
		for _, l := range up {
			if p.now.Load() == l {
				r.history.wrong("%s still serves %v after etcd was restored to an older revision", l.id, stopTime)
			}
		}
	}
	r.recover(n)
}

// waitArchive waits until there is something to recover from.
func (r *run) waitArchive() {
	for end := time.Now().Add(recoverTime); time.Now().Before(end); time.Sleep(100*time.Millisecond + 1) {
		found := false
		if l := r.anyLife(); l != nil {
			l.node.Replica().View(func(st *metadata.State) { found = len(st.Archives()) > 0 })
		}
		if found {
			return
		}
	}
}

func (r *run) stopCount() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stops
}

// recover takes everything down, recovers into a new etcd, and lets brokers
// start again.
func (r *run) recover(n int) {
	r.mu.Lock()
	r.expect = true
	r.mu.Unlock()
	r.closeGate()
	for _, p := range r.processes {
		for p.now.Load() != nil {
			time.Sleep(10*time.Millisecond + 1)
		}
	}
	e := r.newEtcd("etcd after loss")
	r.mu.Lock()
	r.etcd, r.etcds = e, append(r.etcds, e)
	r.mu.Unlock()
	store, b := r.bucketFor("operator")
	defer store.Close()
	begun := time.Now()
	for try := 0; ; try++ {
		report, err := r.tryRecover(n, try, b)
		if err == nil {
			r.recoveredTo(report)
			break
		}
		r.logger.Info("recover", "error", err)
		if r.ctx.Err() != nil || time.Since(begun) > recoverTime {
			r.history.wrong("recover: %v", err)
			return
		}
		time.Sleep(time.Second + 1)
	}
	r.mu.Lock()
	r.recovered++
	r.expect = false
	r.mu.Unlock()
	r.openGate()
}

func (r *run) tryRecover(n, try int, b bucket.Bucket) (*recovery.Report, error) {
	ctx, cancel := context.WithTimeout(r.ctx, time.Minute)
	defer cancel()
	return recovery.Run(ctx, recovery.Config{Cluster: cluster, Client: r.client(fmt.Sprintf("operator.%d", try), "a"), Bucket: b, Token: "token",
		Rand: r.rand("recover", n), Logger: r.logger})
}

// recoveredTo notes what a recovery left out.
func (r *run) recoveredTo(report *recovery.Report) {
	r.trace("recovered to %d %s", report.Revision, report.Archive)
	now := time.Now()
	r.history.note(func() {
		back := map[TP]bool{}
		for _, p := range report.Partitions {
			back[TP{p.Topic, int32(p.Partition)}] = true
		}
		for _, a := range r.history.Acks {
			if !back[a.First.TP] {
				r.history.Gone[a.First.TP] = now
			}
		}
		for _, p := range report.Partitions {
			r.history.Lost = append(r.history.Lost, LostTail{TP{p.Topic, int32(p.Partition)}, int64(p.Next), int64(p.GoesOn), now})
		}
	})
}
