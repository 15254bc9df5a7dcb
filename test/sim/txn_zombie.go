package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// leaveZombie leaves the current incarnation behind; it continues its transaction at
// once, or after its successor has the id.
func (a *txnApp) leaveZombie(ctx context.Context, t *Txn) {
	z := a.client
	z.close()
	fenced := a.generateNumber("zombie")%2 == 0
	sleep := 1 + time.Duration(a.generateNumber("zombie sleeps")%200_000_000)
	var tps []TP
	for _, tp := range a.targets {
		if t.Sent[tp] > 0 {
			tps = append(tps, tp)
		}
	}
	heir := make(chan struct{})
	a.successors = append(a.successors, heir)
	a.r.background.Go(func() {
		z := &txnClient{client: client{w: z.w, name: z.name + "z", addrs: z.addrs}, id: z.id, v2: z.v2, timeout: z.timeout, identity: z.identity, seqs: z.seqs,
			coordinator: client{w: z.w, name: z.name + "z-co", addrs: z.addrs}}
		defer z.close()
		if fenced {
			select {
			case <-heir:
			case <-ctx.Done():
				return
			}
			a.r.history.update(func() { t.Dead = true })
		}
		time.Sleep(sleep)
		err := z.produceBatch(ctx, t, tps[0])
		if fenced && err == nil {
			a.r.history.reportViolation("%s: a batch of its fenced producer was accepted", t.Name)
		}
		if err == nil || fenced {
			err = z.endTxn(ctx, t, true)
		}
		switch {
		case fenced && err == nil:
			a.r.history.reportViolation("%s: its fenced producer committed", t.Name)
		case errors.Is(err, errFenced):
			a.r.countState(zombieFenced, 1)
		}
	})
}

// runLateBatch aborts a transaction of the older protocol while a batch of it is in
// flight through another broker, and begins the next one on the same partition. The
// batch has the same producer id and epoch, but must not become part of the next
// transaction. The next sequence is then unknown, so the epoch is raised.
func (a *txnApp) runLateBatch(ctx context.Context, t *Txn) error {
	x, tp := a.client, a.targets[len(a.targets)-1]
	if err := x.addPartitions(ctx, []TP{tp}); err != nil {
		return err
	}
	side := client{w: x.w, name: x.name + "-side", addrs: a.r.brokerAddrs(a.firstBroker + a.incarnations + 1)}
	defer side.closeConn()
	if err := side.ensureConnected(ctx); err != nil {
		return err
	}
	receive, err := a.sendLateBatch(ctx, t, &side, tp)
	if err != nil {
		return err
	}
	if err := x.endTxn(ctx, t, false); err != nil {
		return err
	}
	next := a.beginTxn()
	other := a.targets[0]
	if err := x.addPartitions(ctx, []TP{other, tp}); err != nil {
		return err
	}
	if err := x.produceBatch(ctx, next, other); err != nil {
		return err
	}
	receive()
	if err := x.endTxn(ctx, next, true); err != nil {
		return err
	}
	return fmt.Errorf("next sequence is unknown: %w", errFenced)
}

// barrierTimeout is how long the broker may take to accept a late batch, which lingers.
const barrierTimeout = 30 * time.Millisecond

// sendLateBatch sends a batch of the transaction on the side connection, and after it
// one without a response, whose effect shows that the broker has accepted the first.
// receive receives the response to the first.
func (a *txnApp) sendLateBatch(ctx context.Context, t *Txn, side *client, tp TP) (receive func(), err error) {
	at := TP{barrierTopic, int32(a.firstBroker)} // of this application alone
	_, q := a.client.nextBatch(t, tp)
	id, err := side.sendRequest(q)
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
	part.Records = encodeBatch(time.Now().UnixMilli(), batchHeader{producerIdentity{-1, -1}, -1, false}, [][]byte{Record{t.Name, at, 0}.encodeValue(40)})
	rt.Partitions = append(rt.Partitions, part)
	k.Topics = append(k.Topics, rt)
	a.barriersSent++ // an earlier one may arrive only now, so all of them are waited for
	if _, err := side.sendRequest(k); err != nil {
		return nil, errDied
	}
	taken := false
	for end := time.Now().Add(barrierTimeout); !taken && time.Now().Before(end); {
		now, err := a.client.listOffset(ctx, at, latestTimestamp)
		if err != nil {
			return nil, errDied
		}
		taken = now >= a.barriersSent && now < farOffset // a recovery skips offsets
	}
	a.r.history.update(func() { t.UncertainBatch = !taken })
	return func() {
		resp, err := side.readResponse(q, id)
		if err != nil {
			return
		}
		if code, _ := produceResult(resp); code == errInvalidTxnState || code == errTxnAbortable {
			a.r.countState(lateRefused, 1)
		}
	}, nil
}
