package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// leaveZombie leaves the present incarnation behind, which goes on with its
// transaction: at once, or after its successor has the id.
func (a *app) leaveZombie(ctx context.Context, t *Txn) {
	z := a.x
	z.close()
	fenced := a.draw("zombie")%2 == 0
	sleep := 1 + time.Duration(a.draw("zombie sleeps")%200_000_000)
	var tps []TP
	for _, tp := range a.targets {
		if t.Sent[tp] > 0 {
			tps = append(tps, tp)
		}
	}
	heir := make(chan struct{})
	a.heirs = append(a.heirs, heir)
	a.r.tails.Go(func() {
		z := &txnClient{client: client{w: z.w, name: z.name + "z", addrs: z.addrs}, id: z.id, v2: z.v2, timeout: z.timeout, me: z.me, seqs: z.seqs,
			co: client{w: z.w, name: z.name + "z-co", addrs: z.addrs}}
		defer z.close()
		if fenced {
			select {
			case <-heir:
			case <-ctx.Done():
				return
			}
			a.r.history.note(func() { t.Dead = true })
		}
		time.Sleep(sleep)
		err := z.produce(ctx, t, tps[0])
		if fenced && err == nil {
			a.r.history.wrong("%s: a batch of its fenced producer was accepted", t.Name)
		}
		if err == nil || fenced {
			err = z.end(ctx, t, true)
		}
		switch {
		case fenced && err == nil:
			a.r.history.wrong("%s: its fenced producer committed", t.Name)
		case errors.Is(err, errFenced):
			a.r.count(zombieFenced, 1)
		}
	})
}

// late aborts a transaction of the older protocol while a batch of it is on
// its way by another broker, and begins the next one on the same partition:
// the batch has that one's producer id and epoch, and belongs to no other than
// its own. Which sequence comes next is not known then: the epoch is raised.
func (a *app) late(ctx context.Context, t *Txn) error {
	x, tp := a.x, a.targets[len(a.targets)-1]
	if err := x.add(ctx, []TP{tp}); err != nil {
		return err
	}
	side := client{w: x.w, name: x.name + "-side", addrs: a.r.addrs(a.first + a.lives + 1)}
	defer side.drop()
	if err := side.connect(ctx); err != nil {
		return err
	}
	heard, err := a.knock(ctx, t, &side, tp)
	if err != nil {
		return err
	}
	if err := x.end(ctx, t, false); err != nil {
		return err
	}
	next := a.next()
	other := a.targets[0]
	if err := x.add(ctx, []TP{other, tp}); err != nil {
		return err
	}
	if err := x.produce(ctx, next, other); err != nil {
		return err
	}
	heard()
	if err := x.end(ctx, next, true); err != nil {
		return err
	}
	return fmt.Errorf("sequence not known: %w", errFenced)
}

// knockTime is how long a late batch, which lingers, may take to be taken in.
const knockTime = 30 * time.Millisecond

// knock sends a batch of the transaction by the side connection, and behind it
// one without an answer, whose effect shows that the broker has taken the
// first. heard hears what became of it.
func (a *app) knock(ctx context.Context, t *Txn, side *client, tp TP) (heard func(), err error) {
	at := TP{knocks, int32(a.first)}
	before, err := a.x.listOffset(ctx, at, atEnd)
	if err != nil {
		return nil, errDied
	}
	_, q := a.x.batchFor(t, tp)
	id, err := side.send(q)
	if err != nil {
		return nil, errDied
	}
	k := kmsg.NewPtrProduceRequest()
	k.Acks, k.TimeoutMillis = 0, 1000
	k.SetVersion(7)
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic = at.Topic
	part := kmsg.NewProduceRequestTopicPartition()
	part.Partition = at.Partition
	part.Records = batchOf(time.Now().UnixMilli(), batchHead{identity{-1, -1}, -1, false}, [][]byte{Record{t.Name, at, 0}.value(40)})
	rt.Partitions = append(rt.Partitions, part)
	k.Topics = append(k.Topics, rt)
	if _, err := side.send(k); err != nil {
		return nil, errDied
	}
	taken := false
	for end := time.Now().Add(knockTime); !taken && time.Now().Before(end); {
		now, err := a.x.listOffset(ctx, at, atEnd)
		if err != nil {
			return nil, errDied
		}
		taken = now > before
	}
	a.r.history.note(func() { t.Loose = !taken })
	return func() {
		resp, err := side.receive(q, id)
		if err != nil {
			return
		}
		if code, _ := produced(resp); code == errInvalidTxnState || code == errTxnAbortable {
			a.r.count(lateRefused, 1)
		}
	}, nil
}
