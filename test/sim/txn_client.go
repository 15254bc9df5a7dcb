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

// errFenced: another client has the transactional id, or the transaction was ended:
// the client's state is no longer valid.
var errFenced = errors.New("fenced")

// txnClient is one incarnation of a transactional producer.
type txnClient struct {
	client
	id               string // transactional id
	v2               bool   // KIP-890: partitions and groups join implicitly, the epoch rises with each end
	timeout          time.Duration
	identity         producerIdentity
	seqs             map[TP]int32
	coordinator      client // the connection to the group's coordinator
	coordinatorKnown bool   // coordinator is connected to it
}

func (w *world) newTxnClient(name, id string, v2 bool, timeout time.Duration, addrs []string) *txnClient {
	return &txnClient{client: client{w: w, name: name, addrs: addrs}, id: id, v2: v2, timeout: timeout, identity: producerIdentity{-1, -1}, seqs: map[TP]int32{},
		coordinator: client{w: w, name: name + "-co", addrs: addrs}}
}

func (x *txnClient) close() {
	x.closeConn()
	x.coordinator.closeConn()
}

// pickVersion picks a request's version by the protocol's generation.
func (x *txnClient) pickVersion(v1, v2 int16) int16 {
	if x.v2 {
		return v2
	}
	return v1
}

// requestUntilAnswered repeats a request until it gets a final response. unsure reports
// that an earlier attempt may have taken effect without a response.
func (x *txnClient) requestUntilAnswered(ctx context.Context, c *client, req kmsg.Request, version int16, code func(kmsg.Response) int16) (got int16, unsure bool, err error) {
	for {
		resp, err := c.requestOnce(ctx, req, version)
		if err == nil {
			switch got = code(resp); {
			case got == errConcurrentTxn || got == errNotAttempted || got == errUnstableOffset:
			case !isRetriable(got):
				return got, unsure, nil
			}
		}
		unsure = true
		c.closeConn()
		c.addrIndex++
		if c == &x.coordinator {
			x.coordinatorKnown = false
		}
		if err := c.backOff(ctx); err != nil {
			return 0, true, err
		}
		if c == &x.coordinator {
			if err := x.connectCoordinator(ctx); err != nil {
				return 0, true, err
			}
		}
	}
}

// codeError maps a step's error code to what it means for the client.
func (x *txnClient) codeError(what string, code int16) error {
	switch code {
	case errNone:
		return nil
	case errInvalidEpoch, errProducerFenced, errProducerMapping, errInvalidTxnState, errTxnAbortable:
		x.w.trace("client %s fenced at %s: %d", x.name, what, code)
		return fmt.Errorf("%s: error %d: %w", what, code, errFenced)
	case errOutOfOrderSequence, errUnknownProducer:
		if x.w.recoveryCount() > 0 {
			return fmt.Errorf("%s: error %d: %w", what, code, errFenced)
		}
	}
	x.w.history.reportViolation("%s: %s: error %d", x.name, what, code)
	return fmt.Errorf("%s: error %d: %w", what, code, errFenced)
}

// initProducerID gets an identity: a new one, which fences the former holder of the
// id, or, like a running producer after a failed transaction (KIP-360), by sending
// its current one.
func (x *txnClient) initProducerID(ctx context.Context, named bool) error {
	q := kmsg.NewPtrInitProducerIDRequest()
	q.TransactionalID, q.TransactionTimeoutMillis = &x.id, int32(x.timeout/time.Millisecond)
	q.ProducerID, q.ProducerEpoch = -1, -1
	if named {
		q.ProducerID, q.ProducerEpoch = x.identity.pid, x.identity.epoch
	}
	var r *kmsg.InitProducerIDResponse
	code, _, err := x.requestUntilAnswered(ctx, &x.client, q, x.pickVersion(4, 5), func(resp kmsg.Response) int16 {
		r = resp.(*kmsg.InitProducerIDResponse)
		return r.ErrorCode
	})
	if err != nil {
		return err
	}
	if err := x.codeError("init", code); err != nil {
		return err
	}
	x.setIdentity(producerIdentity{r.ProducerID, r.ProducerEpoch})
	return nil
}

// setIdentity sets the identity; with a new one, sequences restart.
func (x *txnClient) setIdentity(id producerIdentity) {
	if id != x.identity {
		x.identity, x.seqs = id, map[TP]int32{}
	}
}

// addPartitions makes partitions part of the transaction (V1).
func (x *txnClient) addPartitions(ctx context.Context, tps []TP) error {
	q := kmsg.NewPtrAddPartitionsToTxnRequest()
	q.TransactionalID, q.ProducerID, q.ProducerEpoch = x.id, x.identity.pid, x.identity.epoch
	for _, tp := range tps {
		t := kmsg.NewAddPartitionsToTxnRequestTopic()
		t.Topic, t.Partitions = tp.Topic, []int32{tp.Partition}
		q.Topics = append(q.Topics, t)
	}
	code, _, err := x.requestUntilAnswered(ctx, &x.client, q, 3, func(resp kmsg.Response) int16 {
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
	return x.codeError("add partitions", code)
}

// nextBatch builds the next batch of a transaction for a partition.
func (x *txnClient) nextBatch(t *Txn, tp TP) (b Batch, q *kmsg.ProduceRequest) {
	h := x.w.history
	v := x.w.generateNumber("txn batch", t.Name+tp.String(), t.Sent[tp])
	count, size := 1+int((v>>8)%4), 40+int((v>>16)%300)
	if (v>>40)%16 == 0 {
		size = 9_000 + int((v>>16)%20_000)
	}
	b = Batch{First: Record{t.Name, tp, t.Sent[tp]}, Count: count}
	var values [][]byte
	for i := range count {
		r := b.First
		r.N += i
		values = append(values, r.encodeValue(size))
	}
	h.update(func() { t.Sent[tp] += count })
	q = kmsg.NewPtrProduceRequest()
	q.Acks, q.TimeoutMillis, q.TransactionID = -1, 10_000, &x.id
	q.SetVersion(x.pickVersion([]int16{7, 9, 11}[x.w.generateNumber("version", x.name, 0)%3], 12))
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic = tp.Topic
	part := kmsg.NewProduceRequestTopicPartition()
	part.Partition = tp.Partition
	part.Records = encodeBatch(time.Now().UnixMilli(), batchHeader{x.identity, x.seqs[tp], true}, values)
	rt.Partitions = append(rt.Partitions, part)
	q.Topics = append(q.Topics, rt)
	x.seqs[tp] += int32(count)
	return b, q
}

// produceBatch sends one batch until it is acknowledged.
func (x *txnClient) produceBatch(ctx context.Context, t *Txn, tp TP) error {
	b, q := x.nextBatch(t, tp)
	base := Unknown
	code, _, err := x.requestUntilAnswered(ctx, &x.client, q, q.Version, func(resp kmsg.Response) (code int16) {
		code, base = produceResult(resp)
		return code
	})
	if err != nil {
		return err
	}
	if code == errDuplicateSequence {
		code, base = errNone, Unknown
	}
	if err := x.codeError("produce", code); err != nil {
		return err
	}
	a := Ack{b, base, time.Now()}
	x.w.history.update(func() { t.Acks, x.w.history.Acks = append(t.Acks, a), append(x.w.history.Acks, a) })
	return nil
}

// produceResult returns the result of a request with one batch.
func produceResult(resp kmsg.Response) (code int16, base int64) {
	p := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	return p.ErrorCode, p.BaseOffset
}

// connectCoordinator connects to the group's coordinator.
func (x *txnClient) connectCoordinator(ctx context.Context) error {
	for !x.coordinatorKnown {
		if err := x.coordinator.findCoordinator(ctx, "of-"+x.id); err == nil {
			x.coordinatorKnown = true
			return nil
		}
		x.coordinator.closeConn()
		x.coordinator.addrIndex++
		if err := x.coordinator.backOff(ctx); err != nil {
			return err
		}
	}
	return nil
}

// commitOffset makes an offset of the group part of the transaction.
func (x *txnClient) commitOffset(ctx context.Context, t *Txn, offset int64) error {
	if !x.v2 {
		q := kmsg.NewPtrAddOffsetsToTxnRequest()
		q.TransactionalID, q.ProducerID, q.ProducerEpoch, q.Group = x.id, x.identity.pid, x.identity.epoch, t.groupID()
		code, _, err := x.requestUntilAnswered(ctx, &x.client, q, 3, func(r kmsg.Response) int16 { return r.(*kmsg.AddOffsetsToTxnResponse).ErrorCode })
		if err == nil {
			err = x.codeError("add offsets", code)
		}
		if err != nil {
			return err
		}
	}
	if err := x.connectCoordinator(ctx); err != nil {
		return err
	}
	q := kmsg.NewPtrTxnOffsetCommitRequest()
	q.TransactionalID, q.ProducerID, q.ProducerEpoch, q.Group = x.id, x.identity.pid, x.identity.epoch, t.groupID()
	q.Generation = -1
	rt := kmsg.NewTxnOffsetCommitRequestTopic()
	rt.Topic = sourcePartition.Topic
	p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset, p.LeaderEpoch = sourcePartition.Partition, offset, -1
	rt.Partitions = append(rt.Partitions, p)
	q.Topics = append(q.Topics, rt)
	code, _, err := x.requestUntilAnswered(ctx, &x.coordinator, q, x.pickVersion(3, 5), func(r kmsg.Response) int16 {
		return r.(*kmsg.TxnOffsetCommitResponse).Topics[0].Partitions[0].ErrorCode
	})
	if err == nil {
		err = x.codeError("commit offsets", code)
	}
	if err == nil {
		x.w.history.update(func() { t.Offset = offset })
	}
	return err
}

// endTxn ends the transaction, and records the result.
func (x *txnClient) endTxn(ctx context.Context, t *Txn, commit bool) error {
	h := x.w.history
	if commit {
		h.update(func() { t.CommitSent = time.Now() })
	}
	q := kmsg.NewPtrEndTxnRequest()
	q.TransactionalID, q.ProducerID, q.ProducerEpoch, q.Commit = x.id, x.identity.pid, x.identity.epoch, commit
	var r *kmsg.EndTxnResponse
	code, unsure, err := x.requestUntilAnswered(ctx, &x.client, q, x.pickVersion(3, 5), func(resp kmsg.Response) int16 {
		r = resp.(*kmsg.EndTxnResponse)
		return r.ErrorCode
	})
	if err != nil {
		return err // its outcome stays unknown
	}
	if err := x.codeError("end", code); err != nil {
		h.update(func() { t.Dead = t.Dead || commit && !unsure })
		return err
	}
	if unsure {
		x.w.countState(endRetried, 1)
	}
	h.update(func() { t.Committed, t.Ended = commit, time.Now() })
	x.w.trace("client %s ended %s: commit %v", x.name, t.Name, commit)
	if x.v2 {
		x.setIdentity(producerIdentity{r.ProducerID, r.ProducerEpoch})
	}
	return nil
}
