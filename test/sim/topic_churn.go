package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// churnTopic is created, written to, changed and deleted repeatedly by one client:
// each time it is a new topic with the same name.
const churnTopic = "temp"

// churnPartitions is its number of partitions.
const churnPartitions = 2

// topicChurnClient is that client. It does one thing after the other, so that it knows
// what must be true; after a recovery it does not, until the next round.
type topicChurnClient struct {
	client
	round            int // counts topics
	recoveriesBefore int // recoveries when the round began
	attempts         int
}

// errRoundOver: the round ends without a violation.
var errRoundOver = errors.New("round over")

func (t *topicChurnClient) run(ctx context.Context) { t.runRounds(ctx, t.runRound) }

// runRounds repeats rounds until ctx ends.
func (t *topicChurnClient) runRounds(ctx context.Context, live func(context.Context) error) {
	defer t.closeConn()
	for ctx.Err() == nil {
		t.round++
		t.recoveriesBefore = t.w.recoveryCount()
		if err := live(ctx); err != nil && ctx.Err() == nil {
			t.w.trace("%s round %d ends: %v", t.name, t.round, err)
		}
		if t.backOff(ctx) != nil {
			return
		}
	}
}

// runRound runs one topic from its creation to its deletion.
func (t *topicChurnClient) runRound(ctx context.Context) error {
	if err := t.deleteTopic(ctx); err != nil { // of an earlier round
		return err
	}
	id, err := t.createTopic(ctx)
	if err != nil {
		return err
	}
	if err := t.verifyNoOffset(ctx); err != nil {
		return err
	}
	var acked int
	for n := range 3 + int(t.w.generateNumber("temp", t.name, t.round)%5) {
		if n == 2 {
			if err := t.changeConfigs(ctx); err != nil {
				return err
			}
		}
		if acked, err = t.produceRecord(ctx, n, acked); err != nil {
			return err
		}
	}
	if err := t.commitAndVerifyOffset(ctx, int64(acked)); err != nil {
		return err
	}
	if err := t.verifyRecords(ctx, acked); err != nil {
		return err
	}
	if err := t.deleteTopic(ctx); err != nil {
		return err
	}
	return t.verifyDeleted(ctx, id)
}

// reportViolation records a violation, unless a recovery may have caused it.
func (t *topicChurnClient) reportViolation(format string, args ...any) error {
	if t.w.recoveryCount() == t.recoveriesBefore {
		t.w.history.reportViolation("%s round %d: %s", t.name, t.round, fmt.Sprintf(format, args...))
	}
	return errRoundOver
}

// requestUntilFinal repeats a request until its response is final: one that no client
// would retry. unsure reports that an earlier attempt may have taken effect without
// a response.
func (t *topicChurnClient) requestUntilFinal(ctx context.Context, q kmsg.Request, version int16, code func(kmsg.Response) int16, final ...int16) (got int16, unsure bool, err error) {
	for ctx.Err() == nil && t.w.recoveryCount() == t.recoveriesBefore {
		resp, err := t.requestOnce(ctx, q, version)
		if err == nil {
			if got = code(resp); !isRetriable(got) || slices.Contains(final, got) {
				return got, unsure, nil
			}
		}
		unsure = true
		t.closeConn()
		t.addrIndex++
		if t.backOff(ctx) != nil {
			break
		}
	}
	return 0, true, errRoundOver
}

// switchBroker moves to another broker, whose state may be older.
func (t *topicChurnClient) switchBroker() {
	t.closeConn()
	t.addrIndex += 2
}

func (t *topicChurnClient) deleteTopic(ctx context.Context) error {
	q := kmsg.NewPtrDeleteTopicsRequest()
	q.TimeoutMillis, q.TopicNames = 5000, []string{churnTopic}
	code, _, err := t.requestUntilFinal(ctx, q, 4, func(r kmsg.Response) int16 { return r.(*kmsg.DeleteTopicsResponse).Topics[0].ErrorCode }, errUnknownTopic)
	if err == nil && code != errNone && code != errUnknownTopic {
		return t.reportViolation("delete: error %d", code)
	}
	return err
}

func (t *topicChurnClient) createTopic(ctx context.Context) (id [16]byte, err error) {
	q := kmsg.NewPtrCreateTopicsRequest()
	q.TimeoutMillis = 5000
	c := kmsg.NewCreateTopicsRequestTopic()
	c.Topic, c.NumPartitions, c.ReplicationFactor = churnTopic, churnPartitions, -1
	q.Topics = append(q.Topics, c)
	code, unsure, err := t.requestUntilFinal(ctx, q, 7, func(r kmsg.Response) int16 {
		id = r.(*kmsg.CreateTopicsResponse).Topics[0].TopicID
		return r.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode
	})
	switch {
	case err != nil:
		return id, err
	case code == errNone:
		t.w.countState(topicAgain, 1)
		return id, nil
	case code == errTopicExists && unsure:
		return id, errRoundOver // created by an attempt without a response, so its id is unknown
	}
	return id, t.reportViolation("create: error %d", code)
}

// produceRecord sends one record, and returns the minimum number of records afterwards.
func (t *topicChurnClient) produceRecord(ctx context.Context, n, acked int) (int, error) {
	q := kmsg.NewPtrProduceRequest()
	q.Acks, q.TimeoutMillis = -1, 10_000
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic = churnTopic
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = encodeBatch(time.Now().UnixMilli(), batchHeader{producerIdentity: producerIdentity{-1, -1}, seq: -1}, [][]byte{t.roundRecord(n).encodeValue(200)})
	rt.Partitions = append(rt.Partitions, p)
	q.Topics = append(q.Topics, rt)
	if n%2 == 1 {
		t.switchBroker()
	}
	code, _, err := t.requestUntilFinal(ctx, q, 9, func(r kmsg.Response) int16 {
		code, _ := produceResult(r)
		return code
	})
	if err == nil && code != errNone {
		return acked, t.reportViolation("produce: error %d", code)
	}
	return acked + 1, err
}

// roundRecord is the n-th record of the current topic, which its producer's name contains.
func (t *topicChurnClient) roundRecord(n int) Record {
	return Record{fmt.Sprintf("temp.%d", t.round), TP{churnTopic, 0}, n}
}

// verifyRecords reads the topic at another broker: all acknowledged records are there,
// in order except for retries, and none of an earlier topic.
func (t *topicChurnClient) verifyRecords(ctx context.Context, acked int) error {
	t.switchBroker()
	rd := &reader{client: t.client, topic: churnTopic, position: map[int32]int64{0: 0}}
	defer func() { t.client = rd.client }()
	var got []Read
	rd.sink = func(r []Read) { got = append(got, r...) }
	var end int64
	for {
		at, err := rd.listOffset(ctx, TP{churnTopic, 0}, latestTimestamp)
		if end = at; err == nil {
			break
		}
		if rd.closeConn(); rd.backOff(ctx) != nil || t.w.recoveryCount() != t.recoveriesBefore {
			return errRoundOver
		}
		rd.addrIndex++
	}
	for rd.position[0] < end {
		if err := rd.poll(ctx); err != nil {
			if rd.closeConn(); rd.backOff(ctx) != nil || t.w.recoveryCount() != t.recoveriesBefore {
				return errRoundOver
			}
			rd.addrIndex++
		}
	}
	next := 0
	for _, r := range got {
		switch {
		case r.Record.Producer != t.roundRecord(0).Producer:
			return t.reportViolation("offset %d holds %v", r.Offset, r.Record)
		case r.Record.N == next:
			next++
		case r.Record.N > next:
			return t.reportViolation("offset %d holds %v before #%d", r.Offset, r.Record, next)
		}
	}
	if next != acked {
		return t.reportViolation("%d records were acknowledged, %d were read", acked, next)
	}
	return nil
}

// verifyDeleted checks at another broker that the topic no longer exists.
func (t *topicChurnClient) verifyDeleted(ctx context.Context, id [16]byte) error {
	t.switchBroker()
	q := kmsg.NewPtrListOffsetsRequest()
	q.ReplicaID = -1
	rt := kmsg.NewListOffsetsRequestTopic()
	rt.Topic = churnTopic
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Timestamp, p.CurrentLeaderEpoch = latestTimestamp, -1
	rt.Partitions = append(rt.Partitions, p)
	q.Topics = append(q.Topics, rt)
	code, _, err := t.requestUntilFinal(ctx, q, 5, func(r kmsg.Response) int16 { return r.(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0].ErrorCode }, errUnknownTopic)
	if err == nil && code != errUnknownTopic {
		return t.reportViolation("topic %x was deleted, and another broker lists its offsets: error %d", id, code)
	}
	return err
}
