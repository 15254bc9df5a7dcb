package sim

import (
	"context"
	"fmt"
	"time"

	"github.com/zonewise/zonewise/internal/recovery"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// stopTimeout is how long a broker may serve with an etcd that went back in time.
const stopTimeout = 15 * time.Second

// recoveryTimeout is how long a recovery is retried.
const recoveryTimeout = time.Minute

// loseEtcd loses etcd with all its data: an operator stops the brokers and
// recovers into a new one.
func (r *run) loseEtcd(n int) {
	r.waitForArchive()
	if r.seed%8 == 1 {
		r.waitForDeletion()
	}
	for _, p := range r.processes {
		if l := p.current.Load(); l != nil {
			l.etcd.Cut(true)
		}
	}
	time.Sleep(r.generateDuration("loss", n, 100*time.Millisecond, 3*time.Second))
	r.recoverCluster(n)
}

// restoreEtcd replaces etcd by an older snapshot: every broker must stop by
// itself, and the operator recovers.
func (r *run) restoreEtcd(n int) {
	r.waitForArchive()
	snap := r.currentEtcd().Snapshot()
	time.Sleep(r.generateDuration("older", n, 500*time.Millisecond, 6*time.Second))
	r.mu.Lock()
	r.stopsExpected = true
	before := r.stops
	r.mu.Unlock()
	var up []*brokerInstance
	for _, p := range r.processes {
		if l := p.current.Load(); l != nil {
			up = append(up, l)
		}
	}
	r.currentEtcd().Restore(snap)
	r.trace("restored")
	end := time.Now().Add(stopTimeout)
	for time.Now().Before(end) && r.stopCount()-before < len(up) {
		time.Sleep(100*time.Millisecond + 1)
	}
	for _, p := range r.processes {
		for _, l := range up {
			if p.current.Load() == l {
				r.history.reportViolation("%s still serves %v after etcd was restored to an older revision", l.id, stopTimeout)
			}
		}
	}
	r.recoverCluster(n)
}

// waitForArchive waits until there is something to recover from.
func (r *run) waitForArchive() {
	for end := time.Now().Add(recoveryTimeout); time.Now().Before(end); time.Sleep(100*time.Millisecond + 1) {
		found := false
		if l := r.anyInstance(); l != nil {
			l.node.Replica().View(func(st *metadata.State) { found = len(st.Archives()) > 0 })
		}
		if found {
			return
		}
	}
}

// deletionTimeout is how long a loss of etcd waits for the first deletions.
const deletionTimeout = 15 * time.Second

// waitForDeletion waits until something was deleted from the bucket.
func (r *run) waitForDeletion() {
	for end := time.Now().Add(deletionTimeout); time.Now().Before(end); time.Sleep(100*time.Millisecond + 1) {
		r.mu.Lock()
		deleted := r.observed.coverage[objectDeleted]
		r.mu.Unlock()
		if deleted > 0 {
			return
		}
	}
}

func (r *run) stopCount() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stops
}

// recoverCluster stops all processes, recovers into a new etcd, and lets brokers
// restart.
func (r *run) recoverCluster(n int) {
	r.mu.Lock()
	r.stopsExpected = true
	r.mu.Unlock()
	r.closeGate()
	for _, p := range r.processes {
		for p.current.Load() != nil {
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
			r.observeRecovery()
			r.recordRecovery(report)
			break
		}
		r.logger.Info("recover", "err", err)
		if r.ctx.Err() != nil || time.Since(begun) > recoveryTimeout {
			r.history.reportViolation("recover: %v", err)
			return
		}
		time.Sleep(time.Second + 1)
	}
	r.mu.Lock()
	r.recoveries++
	r.stopsExpected = false
	r.mu.Unlock()
	r.openGate()
}

func (r *run) tryRecover(n, try int, b bucket.Bucket) (*recovery.Report, error) {
	ctx, cancel := context.WithTimeout(r.ctx, time.Minute)
	defer cancel()
	return recovery.Run(ctx, recovery.Config{Cluster: cluster, Client: r.newEtcdClient(fmt.Sprintf("operator.%d", try), "a"), Bucket: b, Token: "token",
		Rand: r.newRand("recover", n), Logger: r.logger})
}

// recordRecovery records what a recovery lost.
func (r *run) recordRecovery(report *recovery.Report) {
	r.trace("recovered to %d %s", report.Revision, report.Archive)
	now := time.Now()
	r.history.update(func() {
		back := map[TP]bool{}
		for _, p := range report.Partitions {
			back[TP{p.Topic, int32(p.Partition)}] = true
		}
		for _, a := range r.history.Acks {
			if !back[a.First.TP] {
				r.history.LostPartitions[a.First.TP] = now
			}
		}
		for _, p := range report.Partitions {
			r.history.Lost = append(r.history.Lost, LostTail{TP{p.Topic, int32(p.Partition)}, int64(p.Next), int64(p.Resumes), now})
		}
	})
}
