package sim

import (
	"fmt"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// transactionalTPs are the partitions that apps write to; the last one is in
// the slow lane.
func transactionalTPs() []TP { return []TP{{"pay", 0}, {"pay", 1}, {"ship", 0}, {"ship", 1}} }

// startApps starts two apps of each generation of the protocol, one of which
// forgets transactions, and who watches them.
func (r *run) startApps() {
	for i := range 4 {
		timeout := 20 * time.Second
		if i >= 2 {
			timeout = 3 * time.Second
		}
		a := &app{r: r, id: fmt.Sprintf("e%d", i), v2: i%2 == 1, timeout: timeout, first: i, targets: transactionalTPs()}
		r.apps = append(r.apps, a)
		r.clients.Go(func() {
			time.Sleep(500*time.Millisecond + time.Duration(r.draw("start", a.id, 0)%50_000_000))
			a.run(r.ctx, r.stop)
		})
		r.tails.Go(func() { r.watchOffset(a.id, r.addrs(i+1)) })
	}
	for i, tp := range transactionalTPs() {
		rd := r.newCommittedReader(fmt.Sprintf("rc%d", i), r.addrs(i), tp)
		r.tails.Go(func() {
			time.Sleep(rd.start())
			rd.run(r.tailing)
		})
	}
}

// endTime is how long after the last fault a transaction may be open: the
// longest timeout, and some ticks.
const endTime = 30 * time.Second

// nothingOpen waits until every transaction has ended.
func (r *run) nothingOpen() {
	var open []string
	for end := time.Now().Add(endTime); time.Now().Before(end); time.Sleep(100*time.Millisecond + 1) {
		l := r.anyLife()
		if l == nil {
			continue
		}
		open = open[:0]
		l.node.Replica().View(func(st *metadata.State) {
			for _, id := range st.Txns() {
				if v, _ := st.Txn(id); v.Status == metadata.TxnOngoing {
					open = append(open, id)
				}
			}
		})
		if len(open) == 0 {
			return
		}
	}
	r.history.wrong("transactions of %q are open %v after the last fault", open, endTime)
}
