package sim

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// app is an application with one transactional id: it writes one transaction
// after the other, dies and comes again, leaves zombies behind, and forgets
// transactions until they time out. Its goroutine (run) owns it.
type app struct {
	r       *run
	id      string
	v2      bool
	timeout time.Duration
	first   int // the process that it turns to first
	targets []TP

	n     int // transactions so far
	lives int
	x     *txnClient      // the present incarnation
	heirs []chan struct{} // closed when the next incarnation has the id
}

// What becomes of a transaction.
const (
	txnCommits = iota
	txnAborts
	txnForgotten // until it has timed out, and then some
	txnDies      // its application dies and comes again
	txnZombie    // and what died goes on
	txnLateBatch // V1: aborted with a batch on its way, which arrives in the next one
)

func (a *app) draw(what string) uint64 { return a.r.draw("app "+what, a.id, a.n) }

// fate draws what becomes of the present transaction.
func (a *app) fate() int {
	switch v := a.draw("fate") % 24; {
	case v < 5:
		return txnAborts
	case v < 7:
		return txnDies
	case v < 9:
		return txnZombie
	case v < 11 && !a.v2:
		return txnLateBatch
	case v < 13 && a.timeout < forgetful:
		return txnForgotten
	}
	return txnCommits
}

// forgetful: apps with a shorter timeout forget transactions; the others' must
// not be ended by anybody else.
const forgetful = 10 * time.Second

// run writes transactions until stop is closed. The last one of a forgetful
// app stays open: the service ends it.
func (a *app) run(ctx context.Context, stop <-chan struct{}) {
	named := false
	for ctx.Err() == nil {
		if !named {
			a.incarnate()
		}
		err := a.x.begin(ctx, named)
		named = false
		if err != nil {
			a.x.close()
			continue
		}
		for _, heir := range a.heirs {
			close(heir)
		}
		a.heirs = nil
		for err == nil && !isClosed(stop) {
			a.pause(ctx)
			err = a.one(ctx)
		}
		if err == nil {
			if a.timeout < forgetful {
				_, _ = a.write(ctx) // what fails now is open or not: both end
			}
			a.x.close()
			return
		}
		// Half of those that live on name what they had.
		named = errors.Is(err, errFenced) && a.draw("named")%2 == 0
		if !named {
			a.x.close()
		}
	}
}

func (a *app) incarnate() {
	a.lives++
	a.x = a.r.newTxnClient(fmt.Sprintf("%s.%d", a.id, a.lives), a.id, a.v2, a.timeout, a.r.addrs(a.first+a.lives))
}

func (a *app) pause(ctx context.Context) {
	select {
	case <-time.After(20*time.Millisecond + time.Duration(a.draw("pause")%150_000_000)):
	case <-ctx.Done():
	}
}

// errDied: the incarnation is over on purpose.
var errDied = errors.New("died")

// one is one transaction from its beginning to its end.
func (a *app) one(ctx context.Context) error {
	t, err := a.write(ctx)
	if err != nil {
		a.ended(t, err)
		return err
	}
	switch a.fate() {
	case txnAborts:
		err = a.x.end(ctx, t, false)
	case txnDies:
		return errDied
	case txnZombie:
		a.leaveZombie(ctx, t)
		return errDied
	case txnLateBatch:
		return a.late(ctx, t)
	case txnForgotten:
		select {
		case <-time.After(a.timeout + 2*time.Second + time.Duration(a.draw("forget")%2_000_000_000)):
		case <-ctx.Done():
		}
		if err = a.x.end(ctx, t, true); errors.Is(err, errFenced) {
			a.r.count(txnTimedOut, 1)
		}
		return err
	default:
		err = a.x.end(ctx, t, true)
	}
	if err != nil {
		a.ended(t, err)
		return err
	}
	return nil
}

// ended looks at who may have ended a transaction that its client did not.
func (a *app) ended(t *Txn, err error) {
	if t == nil || !errors.Is(err, errFenced) {
		return
	}
	switch age := time.Since(t.Begun); {
	case a.r.recoveries() > t.Before:
		a.r.count(txnRecovered, 1)
	case age < a.timeout/2 && a.timeout >= forgetful:
		a.r.history.wrong("%s, %v old with a timeout of %v, was ended by nobody's order: %v", t.Name, age, a.timeout, err)
	}
}

// next begins a transaction.
func (a *app) next() *Txn {
	a.n++
	t := &Txn{Name: fmt.Sprintf("%s.%d", a.id, a.n), ID: a.id, N: a.n, Begun: time.Now(), Before: a.r.recoveries(), Sent: map[TP]int{}}
	a.r.history.note(func() { a.r.history.Txns[t.Name] = t })
	return t
}

// write begins a transaction and writes what belongs to it.
func (a *app) write(ctx context.Context) (*Txn, error) {
	t := a.next()
	var tps []TP
	for i, tp := range a.targets {
		if a.draw("targets")>>i&1 == 1 || i == a.n%len(a.targets) {
			tps = append(tps, tp)
		}
	}
	if !a.v2 {
		if err := a.x.add(ctx, tps); err != nil {
			return t, err
		}
	}
	for i := range 1 + int(a.draw("batches")%uint64(2*len(tps))) {
		if err := a.x.produce(ctx, t, tps[i%len(tps)]); err != nil {
			return t, err
		}
	}
	if a.draw("offsets")%2 == 0 {
		return t, a.x.commitOffset(ctx, t, int64(a.n))
	}
	return t, nil
}
