package sim

import (
	"fmt"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// transactionalTPs are the partitions that apps write to; the last one is in
// the slow lane.
func transactionalTPs() []TP { return []TP{{"pay", 0}, {"pay", 1}, {"ship", 0}, {"ship", 1}} }

// startApps starts two apps of each protocol generation, one of which abandons
// transactions, and their readers.
func (r *run) startApps() {
	for i := range 4 {
		timeout := 20 * time.Second
		if i >= 2 {
			timeout = 3 * time.Second
		}
		a := &txnApp{r: r, id: fmt.Sprintf("e%d", i), v2: i%2 == 1, timeout: timeout, firstBroker: i, targets: transactionalTPs()}
		r.apps = append(r.apps, a)
		r.producers.Go(func() {
			time.Sleep(500*time.Millisecond + time.Duration(r.generateNumber("start", a.id, 0)%50_000_000))
			a.run(r.ctx, r.stopProducing)
		})
		r.background.Go(func() { r.pollTxnOffset(a.id, r.brokerAddrs(i+1)) })
	}
	for i, tp := range transactionalTPs() {
		rd := r.newCommittedReader(fmt.Sprintf("rc%d", i), r.brokerAddrs(i), tp)
		r.background.Go(func() {
			time.Sleep(rd.startDelay())
			rd.run(r.backgroundCtx)
		})
	}
}

// txnEndTimeout is how long a transaction may stay open after the last fault: the
// longest timeout and some ticks.
const txnEndTimeout = 30 * time.Second

// waitNoOpenTxns waits until every transaction has ended.
func (r *run) waitNoOpenTxns() {
	var open []string
	for end := time.Now().Add(txnEndTimeout); time.Now().Before(end); time.Sleep(100*time.Millisecond + 1) {
		l := r.anyInstance()
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
	r.history.reportViolation("transactions of %q are open %v after the last fault", open, txnEndTimeout)
}
