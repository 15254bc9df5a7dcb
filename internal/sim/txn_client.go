package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Kafka's errors of transactions, as far as clients act on them.
const (
	errInvalidEpoch    = 47
	errInvalidTxnState = 48
	errProducerMapping = 49
	errConcurrentTxn   = 51
	errNotAttempted    = 55
	errUnstableOffset  = 88
	errProducerFenced  = 90
	errTxnAbortable    = 120
)

// errFenced: another one speaks for the transactional id, or its transaction
// was ended: what the client holds is worth nothing any more.
var errFenced = errors.New("fenced")

// txnClient is one incarnation of a transactional producer.
type txnClient struct {
	client
	id      string // transactional id
	v2      bool   // KIP-890: partitions and groups join by themselves, the epoch rises with each end
	timeout time.Duration
	me      identity
	seqs    map[TP]int32
	co      client // the connection to the group's coordinator
	found   bool   // co knows where that is
}

func (w *world) newTxnClient(name, id string, v2 bool, timeout time.Duration, addrs []string) *txnClient {
	return &txnClient{client: client{w: w, name: name, addrs: addrs}, id: id, v2: v2, timeout: timeout, me: identity{-1, -1}, seqs: map[TP]int32{},
		co: client{w: w, name: name + "-co", addrs: addrs}}
}

func (x *txnClient) close() {
	x.drop()
	x.co.drop()
}

// version picks a request's version by the protocol's generation.
func (x *txnClient) version(v1, v2 int16) int16 {
	if x.v2 {
		return v2
	}
	return v1
}

// step asks until an answer says something. unsure tells that an attempt
// before may have taken effect unheard.
func (x *txnClient) step(ctx context.Context, c *client, req kmsg.Request, version int16, code func(kmsg.Response) int16) (got int16, unsure bool, err error) {
	for {
		resp, err := c.try(ctx, req, version)
		if err == nil {
			switch got = code(resp); {
			case got == errConcurrentTxn || got == errNotAttempted || got == errUnstableOffset:
			case !retriable(got):
				return got, unsure, nil
			}
		}
		unsure = true
		c.drop()
		c.next++
		if c == &x.co {
			x.found = false
		}
		if err := c.pause(ctx); err != nil {
			return 0, true, err
		}
		if c == &x.co {
			if err := x.coordinator(ctx); err != nil {
				return 0, true, err
			}
		}
	}
}

// judge turns a step's code into what follows for the client.
func (x *txnClient) judge(what string, code int16) error {
	switch code {
	case errNone:
		return nil
	case errInvalidEpoch, errProducerFenced, errProducerMapping, errInvalidTxnState, errTxnAbortable:
		x.w.trace("client %s fenced at %s: %d", x.name, what, code)
		return fmt.Errorf("%s: error %d: %w", what, code, errFenced)
	case errOutOfOrderSequence, errUnknownProducer:
		if x.w.recoveries() > 0 {
			return fmt.Errorf("%s: error %d: %w", what, code, errFenced)
		}
	}
	x.w.history.wrong("%s: %s: error %d", x.name, what, code)
	return fmt.Errorf("%s: error %d: %w", what, code, errFenced)
}

// begin gets an identity: anew, which fences whoever had the id before, or, as
// a producer that lives does after a failed transaction (KIP-360), by naming
// its own.
func (x *txnClient) begin(ctx context.Context, named bool) error {
	q := kmsg.NewPtrInitProducerIDRequest()
	q.TransactionalID, q.TransactionTimeoutMillis = &x.id, int32(x.timeout/time.Millisecond)
	q.ProducerID, q.ProducerEpoch = -1, -1
	if named {
		q.ProducerID, q.ProducerEpoch = x.me.pid, x.me.epoch
	}
	var r *kmsg.InitProducerIDResponse
	code, _, err := x.step(ctx, &x.client, q, x.version(4, 5), func(resp kmsg.Response) int16 {
		r = resp.(*kmsg.InitProducerIDResponse)
		return r.ErrorCode
	})
	if err != nil {
		return err
	}
	if err := x.judge("init", code); err != nil {
		return err
	}
	x.become(identity{r.ProducerID, r.ProducerEpoch})
	return nil
}

// become takes an identity; with a new one sequences begin again.
func (x *txnClient) become(id identity) {
	if id != x.me {
		x.me, x.seqs = id, map[TP]int32{}
	}
}

// add makes partitions part of the transaction (V1).
func (x *txnClient) add(ctx context.Context, tps []TP) error {
	q := kmsg.NewPtrAddPartitionsToTxnRequest()
	q.TransactionalID, q.ProducerID, q.ProducerEpoch = x.id, x.me.pid, x.me.epoch
	for _, tp := range tps {
		t := kmsg.NewAddPartitionsToTxnRequestTopic()
		t.Topic, t.Partitions = tp.Topic, []int32{tp.Partition}
		q.Topics = append(q.Topics, t)
	}
	code, _, err := x.step(ctx, &x.client, q, 3, func(resp kmsg.Response) int16 {
		for _, t := range resp.(*kmsg.AddPartitionsToTxnResponse).Topics {
			for _, p := range t.Partitions {
				if p.ErrorCode != errNone {
					return p.ErrorCode
				}
			}
		}
		return errNone
	})
	if err != nil {
		return err
	}
	return x.judge("add partitions", code)
}

// batchFor makes the next batch of a transaction for a partition.
func (x *txnClient) batchFor(t *Txn, tp TP) (b Batch, q *kmsg.ProduceRequest) {
	h := x.w.history
	v := x.w.draw("txn batch", t.Name+tp.String(), t.Sent[tp])
	count, size := 1+int((v>>8)%4), 40+int((v>>16)%300)
	if (v>>40)%16 == 0 {
		size = 9_000 + int((v>>16)%20_000)
	}
	b = Batch{First: Record{t.Name, tp, t.Sent[tp]}, Count: count}
	var values [][]byte
	for i := range count {
		r := b.First
		r.N += i
		values = append(values, r.value(size))
	}
	h.note(func() { t.Sent[tp] += count })
	q = kmsg.NewPtrProduceRequest()
	q.Acks, q.TimeoutMillis, q.TransactionID = -1, 10_000, &x.id
	q.SetVersion(x.version([]int16{7, 9, 11}[x.w.draw("version", x.name, 0)%3], 12))
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic = tp.Topic
	part := kmsg.NewProduceRequestTopicPartition()
	part.Partition = tp.Partition
	part.Records = batchOf(time.Now().UnixMilli(), batchHead{x.me, x.seqs[tp], true}, values)
	rt.Partitions = append(rt.Partitions, part)
	q.Topics = append(q.Topics, rt)
	x.seqs[tp] += int32(count)
	return b, q
}

// produce sends one batch until it is acknowledged.
func (x *txnClient) produce(ctx context.Context, t *Txn, tp TP) error {
	b, q := x.batchFor(t, tp)
	base := Unknown
	code, _, err := x.step(ctx, &x.client, q, q.Version, func(resp kmsg.Response) (code int16) {
		code, base = produced(resp)
		return code
	})
	if err != nil {
		return err
	}
	if code == errDuplicateSequence {
		code, base = errNone, Unknown
	}
	if err := x.judge("produce", code); err != nil {
		return err
	}
	a := Ack{b, base, time.Now()}
	x.w.history.note(func() { t.Acks, x.w.history.Acks = append(t.Acks, a), append(x.w.history.Acks, a) })
	return nil
}

// produced is the answer to a request of one batch.
func produced(resp kmsg.Response) (code int16, base int64) {
	p := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	return p.ErrorCode, p.BaseOffset
}

// coordinator connects co to the group's coordinator.
func (x *txnClient) coordinator(ctx context.Context) error {
	for !x.found {
		if err := x.co.findCoordinator(ctx, "of-"+x.id); err == nil {
			x.found = true
			return nil
		}
		x.co.drop()
		x.co.next++
		if err := x.co.pause(ctx); err != nil {
			return err
		}
	}
	return nil
}

// commitOffset makes a position of the group part of the transaction.
func (x *txnClient) commitOffset(ctx context.Context, t *Txn, offset int64) error {
	if !x.v2 {
		q := kmsg.NewPtrAddOffsetsToTxnRequest()
		q.TransactionalID, q.ProducerID, q.ProducerEpoch, q.Group = x.id, x.me.pid, x.me.epoch, t.group()
		code, _, err := x.step(ctx, &x.client, q, 3, func(r kmsg.Response) int16 { return r.(*kmsg.AddOffsetsToTxnResponse).ErrorCode })
		if err == nil {
			err = x.judge("add offsets", code)
		}
		if err != nil {
			return err
		}
	}
	if err := x.coordinator(ctx); err != nil {
		return err
	}
	q := kmsg.NewPtrTxnOffsetCommitRequest()
	q.TransactionalID, q.ProducerID, q.ProducerEpoch, q.Group = x.id, x.me.pid, x.me.epoch, t.group()
	q.Generation = -1
	rt := kmsg.NewTxnOffsetCommitRequestTopic()
	rt.Topic = sourceOf.Topic
	p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset, p.LeaderEpoch = sourceOf.Partition, offset, -1
	rt.Partitions = append(rt.Partitions, p)
	q.Topics = append(q.Topics, rt)
	code, _, err := x.step(ctx, &x.co, q, x.version(3, 5), func(r kmsg.Response) int16 {
		return r.(*kmsg.TxnOffsetCommitResponse).Topics[0].Partitions[0].ErrorCode
	})
	if err == nil {
		err = x.judge("commit offsets", code)
	}
	if err == nil {
		x.w.history.note(func() { t.Offset = offset })
	}
	return err
}

// end ends the transaction, and notes what came of it.
func (x *txnClient) end(ctx context.Context, t *Txn, commit bool) error {
	h := x.w.history
	if commit {
		h.note(func() { t.CommitSent = time.Now() })
	}
	q := kmsg.NewPtrEndTxnRequest()
	q.TransactionalID, q.ProducerID, q.ProducerEpoch, q.Commit = x.id, x.me.pid, x.me.epoch, commit
	var r *kmsg.EndTxnResponse
	code, unsure, err := x.step(ctx, &x.client, q, x.version(3, 5), func(resp kmsg.Response) int16 {
		r = resp.(*kmsg.EndTxnResponse)
		return r.ErrorCode
	})
	if err != nil {
		return err // its outcome stays unknown
	}
	if err := x.judge("end", code); err != nil {
		h.note(func() { t.Dead = t.Dead || commit && !unsure })
		return err
	}
	if unsure {
		x.w.count(endRetried, 1)
	}
	h.note(func() { t.Committed, t.Ended = commit, time.Now() })
	x.w.trace("client %s ended %s: commit %v", x.name, t.Name, commit)
	if x.v2 {
		x.become(identity{r.ProducerID, r.ProducerEpoch})
	}
	return nil
}
