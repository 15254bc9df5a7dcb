package sim

import (
	"fmt"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/metadata/etcdlog"
)

// fault is one kind of fault; do makes it happen and returns when it is over,
// or goes on by itself.
type fault struct {
	name   string
	weight int
	do     func(r *run, n int)
}

// faults lists what can happen. The kinds that end a cluster's life are drawn
// by seed, once at most: see plan.
func faults() []fault {
	return []fault{
		{"kill at a request", 5, (*run).killAtRequest},
		{"kill", 2, (*run).killNow},
		{"drain", 2, (*run).drain},
		{"session expires", 3, (*run).expire},
		{"etcd cut from one", 2, (*run).cutOne},
		{"etcd slow for one", 3, (*run).slowOne},
		{"etcd lags for one", 2, (*run).lagOne},
		{"etcd compacted", 2, (*run).compact},
		{"etcd cut from one and compacted", 2, (*run).cutAndCompact},
		{"bucket down for one", 1, (*run).bucketDownOne},
		{"bucket down", 2, (*run).bucketDown},
		{"etcd without leader", 2, (*run).noLeader},
		{"answer to a commit lost", 3, (*run).loseCommit},
		{"kill the archivist", 3, (*run).killArchivist},
		{"archive damaged", 2, (*run).damageArchive},
		{"reads damaged", 2, (*run).damageRead},
		{"checkpoint damaged as it is read", 2, (*run).damageCheckpoint},
		{"clock set wrong", 3, (*run).setClock},
		{"duties taken away", 2, (*run).takeDuties},
		{"peers cut from one", 2, (*run).cutPeers},
	}
}

// plan makes the faults of this seed happen, one after the other, some of them
// overlapping.
func (r *run) plan() {
	if r.opt.Quiet {
		time.Sleep(10 * time.Second)
		return
	}
	all := faults()
	sum := 0
	for _, f := range all {
		sum += f.weight
	}
	count := 6 + int(r.draw("faults", "", 0)%4)
	last := ending(r.seed)
	for n := range count {
		r.between(n)
		if n == count/2 && r.seed%3 == 0 {
			r.newZone()
		}
		if n == count-2 && last != nil {
			r.happens(last.name, n)
			last.do(r, n)
			continue
		}
		pick := int(r.draw("which", "", n) % uint64(sum))
		for _, f := range all {
			if pick -= f.weight; pick < 0 {
				r.happens(f.name, n)
				f.do(r, n)
				break
			}
		}
	}
	r.between(count)
	r.heal()
}

// ending is the kind of fault that ends a seed's etcd, if it has one.
func ending(seed uint64) *fault {
	switch seed % 8 {
	case 1, 5:
		return &fault{"etcd lost", 0, (*run).loseEtcd}
	case 3:
		return &fault{"etcd restored", 0, (*run).restoreEtcd}
	}
	return nil
}

func (r *run) happens(name string, n int) {
	r.faults++
	r.trace("fault %d: %s", n, name)
	r.logger.Info("fault", "n", n, "what", name)
	r.history.note(func() { r.history.Faults = append(r.history.Faults, name) })
}

// between is the time to the next fault.
func (r *run) between(n int) {
	time.Sleep(300*time.Millisecond + time.Duration(r.draw("between", "", n)%2_500_000_000))
}

// some draws a length of time.
func (r *run) some(what string, n int, least, most time.Duration) time.Duration {
	return least + time.Duration(r.draw("some/"+what, "", n)%uint64(most-least))
}

func (r *run) victim(n int) *process {
	return r.processes[r.draw("victim", "", n)%uint64(len(r.processes))]
}

// after does something later, in the run's time.
func (r *run) after(d time.Duration, do func()) {
	r.later.Go(func() {
		select {
		case <-time.After(d):
		case <-r.ctx.Done():
		}
		do()
	})
}

func (r *run) killNow(n int) {
	r.victim(n).order(order{down: r.some("down", n, 100*time.Millisecond, 7*time.Second)})
}

func (r *run) drain(n int) {
	r.victim(n).order(order{drain: true, down: r.some("down", n, 100*time.Millisecond, 3*time.Second)})
}

// killAtRequest kills a process at one of its next requests, with its effect
// taken or not.
func (r *run) killAtRequest(n int) {
	p := r.victim(n)
	kinds := []string{"", "put main/", "txn /zonewise/main/log/", "get main/", "archive", "checkpoint", "generation", "truncated", "delete"}
	t := &trap{process: p.name, match: kinds[r.draw("kind", "", n)%uint64(len(kinds))], count: 1 + int(r.draw("count", "", n)%4),
		taken: r.draw("taken", "", n)%2 == 0, order: order{down: r.some("down", n, 100*time.Millisecond, 7*time.Second)}}
	r.set(t)
	r.between(n + 100)
	r.unset(t)
}

// killArchivist kills whoever writes an archive or deletes its keys, in the
// middle of it.
func (r *run) killArchivist(n int) {
	kinds := []string{"put main/1/archive", "truncated", "txn /zonewise/main/log/", "get main/1/archive"}
	at := r.draw("kind", "", n) % uint64(len(kinds))
	t := &trap{match: kinds[at], duty: true, count: 1 + int(r.draw("count", "", n)%2), taken: r.draw("taken", "", n)%2 == 0,
		order: order{down: r.some("down", n, 100*time.Millisecond, 6*time.Second)}}
	r.set(t)
	time.Sleep(4 * time.Second)
	r.unset(t)
}

// takeDuties deletes every duty's key, as an operator's mistake would, while
// guarded commits are between their attempts.
func (r *run) takeDuties(n int) {
	t := &trap{match: "/control/", count: 1, fail: 30}
	r.set(t)
	time.Sleep(r.some("fail", n, 100*time.Millisecond, 400*time.Millisecond))
	c := r.client(fmt.Sprintf("etcdctl%d", n), "a")
	from := []byte(etcdlog.Root + cluster + "/duty/")
	to := []byte(etcdlog.Root + cluster + "/duty0")
	_, err := c.Txn(r.ctx, &etcdserverpb.TxnRequest{Success: []*etcdserverpb.RequestOp{{Request: &etcdserverpb.RequestOp_RequestDeleteRange{
		RequestDeleteRange: &etcdserverpb.DeleteRangeRequest{Key: from, RangeEnd: to}}}}})
	r.trace("duties taken away: %v", err == nil)
	r.unset(t)
}

func (r *run) expire(n int) {
	l := r.victim(n).now.Load()
	if l == nil {
		return
	}
	// Its session's key, in the order of keys: whose does not matter.
	var keys []string
	for _, kv := range r.present().Dump() {
		if strings.HasPrefix(string(kv.Key), etcdlog.Root+cluster+"/session/") {
			keys = append(keys, string(kv.Key))
		}
	}
	if len(keys) > 0 {
		r.present().ExpireKey(keys[r.draw("session", "", n)%uint64(len(keys))])
	}
}

func (r *run) cutOne(n int) {
	if l := r.victim(n).now.Load(); l != nil {
		l.etcd.Cut(true)
		r.after(r.some("cut", n, 200*time.Millisecond, 8*time.Second), func() { r.uncut(l) })
	}
}

// uncut gives a life its etcd back, unless it is dead by now.
func (r *run) uncut(l *life) {
	for _, p := range r.processes {
		if p.now.Load() == l {
			l.etcd.Cut(false)
		}
	}
}

func (r *run) slowOne(n int) {
	if l := r.victim(n).now.Load(); l != nil {
		l.etcd.Slow(r.some("slow", n, 20*time.Millisecond, 400*time.Millisecond))
		r.after(r.some("slowed", n, time.Second, 6*time.Second), func() { l.etcd.Slow(0) })
	}
}

func (r *run) lagOne(n int) {
	if l := r.victim(n).now.Load(); l != nil {
		l.etcd.Lag(r.some("lag", n, 20*time.Millisecond, 1500*time.Millisecond))
		r.after(r.some("lagged", n, time.Second, 6*time.Second), func() { l.etcd.Lag(0) })
	}
}

func (r *run) compact(int) { _ = r.present().Compact(0) } // compacted already is as good

func (r *run) cutAndCompact(n int) {
	l := r.victim(n).now.Load()
	if l == nil {
		return
	}
	l.etcd.Cut(true)
	time.Sleep(r.some("cut", n, 200*time.Millisecond, 5*time.Second))
	r.compact(n)
	r.uncut(l)
}

func (r *run) bucketDownOne(n int) {
	if l := r.victim(n).now.Load(); l != nil {
		l.store.SetDown(true)
		r.after(r.some("outage", n, 500*time.Millisecond, 5*time.Second), func() { l.store.SetDown(false) })
	}
}

func (r *run) bucketDown(n int) {
	for _, p := range r.processes {
		if l := p.now.Load(); l != nil {
			l.store.SetDown(true)
			r.after(r.some("outage", n, 500*time.Millisecond, 5*time.Second), func() { l.store.SetDown(false) })
		}
	}
}

// noLeader: etcd answers nobody for two seconds, as when its leader died.
func (r *run) noLeader(int) {
	var all []*life
	for _, p := range r.processes {
		if l := p.now.Load(); l != nil {
			l.etcd.Cut(true)
			all = append(all, l)
		}
	}
	time.Sleep(2 * time.Second)
	for _, l := range all {
		r.uncut(l)
	}
}

// loseCommit lets etcd execute some of the next commits and lose its answers.
func (r *run) loseCommit(n int) {
	t := &trap{match: "txn /zonewise/main/log/", count: 1, lose: 1 + int(r.draw("lose", "", n)%4)}
	r.set(t)
	r.between(n + 100)
	r.unset(t)
}

// cutPeers lets nobody reach one broker's door to the others, with its clients and
// its etcd as ever.
func (r *run) cutPeers(n int) {
	addr := r.victim(n).peerAddr()
	r.net.cutOff(addr, r.draw("broken", "", n)%2 == 0)
	r.after(r.some("peers cut", n, 500*time.Millisecond, 5*time.Second), func() { r.net.mend(addr) })
}

// newZone starts a broker in a zone that the cluster did not have.
func (r *run) newZone() {
	p := r.newProcess("d0", metadata.ZoneID("d"))
	r.happens("new zone", len(r.processes))
	go p.run(r.ctx)
}

// heal ends what still lasts.
func (r *run) heal() {
	r.later.Wait()
	for _, p := range r.processes {
		if l := p.now.Load(); l != nil {
			l.etcd.Slow(0)
			l.etcd.Lag(0)
			l.store.SetDown(false)
			r.uncut(l)
		}
	}
	r.trace("healed %s", fmt.Sprint(r.faults))
}
