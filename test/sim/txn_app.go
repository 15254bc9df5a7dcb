package sim

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// txnApp is an application with one transactional id: it writes one transaction
// after the other, crashes and restarts, leaves zombies behind, and abandons
// transactions until they time out. Its goroutine (run) owns it.
type txnApp struct {
	r            *run
	id           string
	v2           bool
	timeout      time.Duration
	firstBroker  int   // the process that it connects to first
	barriersSent int64 // records without a response to its partition of barrierTopic
	targets      []TP

	txnCount     int // transactions so far
	incarnations int
	client       *txnClient      // the current incarnation
	successors   []chan struct{} // closed when the next incarnation has the id
}

// The outcomes of a transaction.
const (
	txnCommits = iota
	txnAborts
	txnForgotten // abandoned until after its timeout
	txnDies      // its application crashes and restarts
	txnZombie    // and the old incarnation continues
	txnLateBatch // V1: aborted with a batch in flight, which arrives in the next one
)

func (a *txnApp) generateNumber(what string) uint64 {
	return a.r.generateNumber("app "+what, a.id, a.txnCount)
}

// chooseOutcome generates the outcome of the current transaction.
func (a *txnApp) chooseOutcome() int {
	switch v := a.generateNumber("fate") % 24; {
	case v < 5:
		return txnAborts
	case v < 7:
		return txnDies
	case v < 9:
		return txnZombie
	case v < 11 && !a.v2:
		return txnLateBatch
	case v < 13 && a.timeout < forgetfulTimeout:
		return txnForgotten
	}
	return txnCommits
}

// forgetfulTimeout: apps with a shorter timeout abandon transactions; only their own
// client may end the transactions of the others.
const forgetfulTimeout = 10 * time.Second

// run writes transactions until stop is closed. The last one of an app that abandons
// transactions stays open: the service ends it.
func (a *txnApp) run(ctx context.Context, stop <-chan struct{}) {
	named := false
	for ctx.Err() == nil {
		if !named {
			a.startIncarnation()
		}
		err := a.client.initProducerID(ctx, named)
		named = false
		if err != nil {
			a.client.close()
			continue
		}
		for _, heir := range a.successors {
			close(heir)
		}
		a.successors = nil
		for err == nil && !isClosed(stop) {
			a.pauseBetweenTxns(ctx)
			err = a.runTxn(ctx)
		}
		if err == nil {
			if a.timeout < forgetfulTimeout {
				_, _ = a.writeTxn(ctx) // whether it fails does not matter: open or not, it ends
			}
			a.client.close()
			return
		}
		// Half of the surviving incarnations send their former identity.
		named = errors.Is(err, errFenced) && a.generateNumber("named")%2 == 0
		if !named {
			a.client.close()
		}
	}
}

func (a *txnApp) startIncarnation() {
	a.incarnations++
	a.client = a.r.newTxnClient(fmt.Sprintf("%s.%d", a.id, a.incarnations), a.id, a.v2, a.timeout, a.r.brokerAddrs(a.firstBroker+a.incarnations))
}

func (a *txnApp) pauseBetweenTxns(ctx context.Context) {
	select {
	case <-time.After(20*time.Millisecond + time.Duration(a.generateNumber("pause")%150_000_000)):
	case <-ctx.Done():
	}
}

// errDied: the incarnation was ended on purpose.
var errDied = errors.New("incarnation ended on purpose")

// runTxn is one transaction from its beginning to its end.
func (a *txnApp) runTxn(ctx context.Context) error {
	t, err := a.writeTxn(ctx)
	if err != nil {
		a.checkForeignEnd(t, err)
		return err
	}
	switch a.chooseOutcome() {
	case txnAborts:
		err = a.client.endTxn(ctx, t, false)
	case txnDies:
		return errDied
	case txnZombie:
		a.leaveZombie(ctx, t)
		return errDied
	case txnLateBatch:
		return a.runLateBatch(ctx, t)
	case txnForgotten:
		select {
		case <-time.After(a.timeout + 2*time.Second + time.Duration(a.generateNumber("forget")%2_000_000_000)):
		case <-ctx.Done():
		}
		if err = a.client.endTxn(ctx, t, true); errors.Is(err, errFenced) {
			a.r.countState(txnTimedOut, 1)
		}
		return err
	default:
		err = a.client.endTxn(ctx, t, true)
	}
	if err != nil {
		a.checkForeignEnd(t, err)
		return err
	}
	return nil
}

// checkForeignEnd checks a transaction that its client did not end: whether the
// service was allowed to.
func (a *txnApp) checkForeignEnd(t *Txn, err error) {
	if t == nil || !errors.Is(err, errFenced) {
		return
	}
	switch age := time.Since(t.Started); {
	case a.r.recoveryCount() > t.RecoveriesBefore:
		a.r.countState(txnRecovered, 1)
	case age < a.timeout/2 && a.timeout >= forgetfulTimeout:
		a.r.history.reportViolation("%s, %v old with a timeout of %v, was ended without a request: %v", t.Name, age, a.timeout, err)
	}
}

// beginTxn begins a transaction.
func (a *txnApp) beginTxn() *Txn {
	a.txnCount++
	t := &Txn{Name: fmt.Sprintf("%s.%d", a.id, a.txnCount), ID: a.id, N: a.txnCount, Started: time.Now(), RecoveriesBefore: a.r.recoveryCount(), Sent: map[TP]int{}}
	a.r.history.update(func() { a.r.history.Txns[t.Name] = t })
	return t
}

// writeTxn begins a transaction and writes its records and offsets.
func (a *txnApp) writeTxn(ctx context.Context) (*Txn, error) {
	t := a.beginTxn()
	var tps []TP
	for i, tp := range a.targets {
		if a.generateNumber("targets")>>i&1 == 1 || i == a.txnCount%len(a.targets) {
			tps = append(tps, tp)
		}
	}
	if !a.v2 {
		if err := a.client.addPartitions(ctx, tps); err != nil {
			return t, err
		}
	}
	for i := range 1 + int(a.generateNumber("batches")%uint64(2*len(tps))) {
		if err := a.client.produceBatch(ctx, t, tps[i%len(tps)]); err != nil {
			return t, err
		}
	}
	if a.generateNumber("offsets")%2 == 0 {
		return t, a.client.commitOffset(ctx, t, int64(a.txnCount))
	}
	return t, nil
}
