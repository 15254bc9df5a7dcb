package sim

import (
	"fmt"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/metadata/etcdlog"
)

// fault is one kind of fault; do injects it and returns when it is over, or lets
// it continue in the background.
type fault struct {
	name   string
	weight int
	inject func(r *run, n int)
}

// faultKinds lists the kinds of faults. Those that end a cluster's etcd are chosen by
// the seed, at most once: see etcdEndFault.
func faultKinds() []fault {
	return []fault{
		{"kill at a request", 5, (*run).killAtRequest},
		{"kill", 2, (*run).killOne},
		{"drain", 2, (*run).drainOne},
		{"session expires", 3, (*run).expireSession},
		{"etcd cut from one", 2, (*run).cutEtcdOne},
		{"etcd slow for one", 3, (*run).slowEtcdOne},
		{"etcd lags for one", 2, (*run).lagEtcdOne},
		{"etcd compacted", 2, (*run).compactEtcd},
		{"etcd cut from one and compacted", 2, (*run).cutAndCompact},
		{"bucket down for one", 1, (*run).bucketDownOne},
		{"bucket down", 2, (*run).bucketDown},
		{"etcd without leader", 2, (*run).pauseEtcd},
		{"answer to a commit lost", 3, (*run).loseCommitReplies},
		{"kill the archivist", 3, (*run).killArchiver},
		{"archive damaged", 2, (*run).damageArchive},
		{"reads damaged", 2, (*run).damageRead},
		{"checkpoint damaged as it is read", 2, (*run).damageCheckpoint},
		{"clock set wrong", 3, (*run).setClockWrong},
		{"duties taken away", 2, (*run).deleteRoleKeys},
		{"peers cut from one", 2, (*run).cutPeersOne},
	}
}

// injectFaults injects the faults of this seed one after the other; some overlap.
func (r *run) injectFaults() {
	if r.opt.Quiet {
		time.Sleep(10 * time.Second)
		return
	}
	all := faultKinds()
	sum := 0
	for _, f := range all {
		sum += f.weight
	}
	count := 6 + int(r.generateNumber("faults", "", 0)%4)
	last := etcdEndFault(r.seed)
	for n := range count {
		r.sleepBetweenFaults(n)
		if n == count/2 && r.seed%3 == 0 {
			r.addZone()
		}
		if n == count-2 && last != nil {
			r.recordFault(last.name, n)
			last.inject(r, n)
			continue
		}
		pick := int(r.generateNumber("which", "", n) % uint64(sum))
		for _, f := range all {
			if pick -= f.weight; pick < 0 {
				r.recordFault(f.name, n)
				f.inject(r, n)
				break
			}
		}
	}
	r.sleepBetweenFaults(count)
	r.endFaults()
}

// etcdEndFault is the kind of fault that ends a seed's etcd, if it has one.
func etcdEndFault(seed uint64) *fault {
	switch seed % 8 {
	case 1, 5:
		return &fault{"etcd lost", 0, (*run).loseEtcd}
	case 3:
		return &fault{"etcd restored", 0, (*run).restoreEtcd}
	}
	return nil
}

func (r *run) recordFault(name string, n int) {
	r.faults++
	r.trace("fault %d: %s", n, name)
	r.logger.Info("fault", "n", n, "what", name)
	r.history.update(func() { r.history.Faults = append(r.history.Faults, name) })
}

// sleepBetweenFaults waits for the next fault.
func (r *run) sleepBetweenFaults(n int) {
	time.Sleep(300*time.Millisecond + time.Duration(r.generateNumber("between", "", n)%2_500_000_000))
}

// generateDuration generates a duration.
func (r *run) generateDuration(what string, n int, least, most time.Duration) time.Duration {
	return least + time.Duration(r.generateNumber("some/"+what, "", n)%uint64(most-least))
}

func (r *run) pickProcess(n int) *process {
	return r.processes[r.generateNumber("victim", "", n)%uint64(len(r.processes))]
}

// runLater calls do after d, in virtual time.
func (r *run) runLater(d time.Duration, do func()) {
	r.lastingFaults.Go(func() {
		select {
		case <-time.After(d):
		case <-r.ctx.Done():
		}
		do()
	})
}

func (r *run) killOne(n int) {
	r.pickProcess(n).requestStop(stopOrder{downtime: r.generateDuration("down", n, 100*time.Millisecond, 7*time.Second)})
}

func (r *run) drainOne(n int) {
	r.pickProcess(n).requestStop(stopOrder{drain: true, downtime: r.generateDuration("down", n, 100*time.Millisecond, 3*time.Second)})
}

// killAtRequest kills a process at one of its next requests, with or without the
// request's effect.
func (r *run) killAtRequest(n int) {
	p := r.pickProcess(n)
	kinds := []string{"", "put main/", "txn /zonewise/main/log/", "get main/", "archive", "checkpoint", "generation", "truncated", "delete"}
	t := &faultTrigger{process: p.name, match: kinds[r.generateNumber("kind", "", n)%uint64(len(kinds))], countdown: 1 + int(r.generateNumber("count", "", n)%4),
		applied: r.generateNumber("taken", "", n)%2 == 0, action: stopOrder{downtime: r.generateDuration("down", n, 100*time.Millisecond, 7*time.Second)}}
	r.addTrigger(t)
	r.sleepBetweenFaults(n + 100)
	r.removeTrigger(t)
}

// killArchiver kills the process that writes an archive or deletes its keys, in
// the middle of that.
func (r *run) killArchiver(n int) {
	kinds := []string{"put main/1/archive", "truncated", "txn /zonewise/main/log/", "get main/1/archive"}
	at := r.generateNumber("kind", "", n) % uint64(len(kinds))
	t := &faultTrigger{match: kinds[at], deletesOnly: true, countdown: 1 + int(r.generateNumber("count", "", n)%2), applied: r.generateNumber("taken", "", n)%2 == 0,
		action: stopOrder{downtime: r.generateDuration("down", n, 100*time.Millisecond, 6*time.Second)}}
	r.addTrigger(t)
	time.Sleep(4 * time.Second)
	r.removeTrigger(t)
}

// deleteRoleKeys deletes every role's key, like an operator's mistake, while
// guarded commits are between their attempts.
func (r *run) deleteRoleKeys(n int) {
	t := &faultTrigger{match: "/control/", countdown: 1, failRequests: 30}
	r.addTrigger(t)
	time.Sleep(r.generateDuration("fail", n, 100*time.Millisecond, 400*time.Millisecond))
	c := r.newEtcdClient(fmt.Sprintf("etcdctl%d", n), "a")
	from := []byte(etcdlog.Root + cluster + "/duty/")
	to := []byte(etcdlog.Root + cluster + "/duty0")
	_, err := c.Txn(r.ctx, &etcdserverpb.TxnRequest{Success: []*etcdserverpb.RequestOp{{Request: &etcdserverpb.RequestOp_RequestDeleteRange{
		RequestDeleteRange: &etcdserverpb.DeleteRangeRequest{Key: from, RangeEnd: to}}}}})
	r.trace("duties taken away: %v", err == nil)
	r.removeTrigger(t)
}

func (r *run) expireSession(n int) {
	l := r.pickProcess(n).current.Load()
	if l == nil {
		return
	}
	// A session's key, chosen by the order of keys: which one does not matter.
	var keys []string
	for _, kv := range r.currentEtcd().Dump() {
		if strings.HasPrefix(string(kv.Key), etcdlog.Root+cluster+"/session/") {
			keys = append(keys, string(kv.Key))
		}
	}
	if len(keys) > 0 {
		r.currentEtcd().ExpireKey(keys[r.generateNumber("session", "", n)%uint64(len(keys))])
	}
}

func (r *run) cutEtcdOne(n int) {
	if l := r.pickProcess(n).current.Load(); l != nil {
		l.etcd.Cut(true)
		r.runLater(r.generateDuration("cut", n, 200*time.Millisecond, 8*time.Second), func() { r.reconnectEtcd(l) })
	}
}

// reconnectEtcd reconnects an instance to etcd, unless it is dead by now.
func (r *run) reconnectEtcd(l *brokerInstance) {
	for _, p := range r.processes {
		if p.current.Load() == l {
			l.etcd.Cut(false)
		}
	}
}

func (r *run) slowEtcdOne(n int) {
	if l := r.pickProcess(n).current.Load(); l != nil {
		l.etcd.Slow(r.generateDuration("slow", n, 20*time.Millisecond, 400*time.Millisecond))
		r.runLater(r.generateDuration("slowed", n, time.Second, 6*time.Second), func() { l.etcd.Slow(0) })
	}
}

func (r *run) lagEtcdOne(n int) {
	if l := r.pickProcess(n).current.Load(); l != nil {
		l.etcd.Lag(r.generateDuration("lag", n, 20*time.Millisecond, 1500*time.Millisecond))
		r.runLater(r.generateDuration("lagged", n, time.Second, 6*time.Second), func() { l.etcd.Lag(0) })
	}
}

func (r *run) compactEtcd(int) { _ = r.currentEtcd().Compact(0) } // an error that it is already compacted does not matter

func (r *run) cutAndCompact(n int) {
	l := r.pickProcess(n).current.Load()
	if l == nil {
		return
	}
	l.etcd.Cut(true)
	time.Sleep(r.generateDuration("cut", n, 200*time.Millisecond, 5*time.Second))
	r.compactEtcd(n)
	r.reconnectEtcd(l)
}

func (r *run) bucketDownOne(n int) {
	if l := r.pickProcess(n).current.Load(); l != nil {
		l.store.SetDown(true)
		r.runLater(r.generateDuration("outage", n, 500*time.Millisecond, 5*time.Second), func() { l.store.SetDown(false) })
	}
}

func (r *run) bucketDown(n int) {
	for _, p := range r.processes {
		if l := p.current.Load(); l != nil {
			l.store.SetDown(true)
			r.runLater(r.generateDuration("outage", n, 500*time.Millisecond, 5*time.Second), func() { l.store.SetDown(false) })
		}
	}
}

// pauseEtcd: etcd answers no request for two seconds, as if its leader died.
func (r *run) pauseEtcd(int) {
	var all []*brokerInstance
	for _, p := range r.processes {
		if l := p.current.Load(); l != nil {
			l.etcd.Cut(true)
			all = append(all, l)
		}
	}
	time.Sleep(2 * time.Second)
	for _, l := range all {
		r.reconnectEtcd(l)
	}
}

// loseCommitReplies lets etcd execute some of the next commits and loses the responses.
func (r *run) loseCommitReplies(n int) {
	t := &faultTrigger{match: "txn /zonewise/main/log/", countdown: 1, loseReplies: 1 + int(r.generateNumber("lose", "", n)%4)}
	r.addTrigger(t)
	r.sleepBetweenFaults(n + 100)
	r.removeTrigger(t)
}

// cutPeersOne makes one broker's peer interface unreachable; its clients and its
// etcd stay connected.
func (r *run) cutPeersOne(n int) {
	addr := r.pickProcess(n).peerAddr()
	r.net.cutAddr(addr, r.generateNumber("broken", "", n)%2 == 0)
	r.runLater(r.generateDuration("peers cut", n, 500*time.Millisecond, 5*time.Second), func() { r.net.restoreAddr(addr) })
}

// addZone starts a broker in a new zone.
func (r *run) addZone() {
	p := r.newProcess("d0", metadata.ZoneID("d"))
	r.recordFault("new zone", len(r.processes))
	go p.supervise(r.ctx)
}

// endFaults ends the faults that still last.
func (r *run) endFaults() {
	r.lastingFaults.Wait()
	for _, p := range r.processes {
		if l := p.current.Load(); l != nil {
			l.etcd.Slow(0)
			l.etcd.Lag(0)
			l.store.SetDown(false)
			r.reconnectEtcd(l)
		}
	}
	r.trace("healed %s", fmt.Sprint(r.faults))
}
