package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// tempTopic is made, written to, changed and deleted again and again by one client:
// each time it is another topic of the same name.
const tempTopic = "temp"

// tempParts is how many partitions it has.
const tempParts = 2

// temper is that client. It does one thing after the other, so that it knows what
// must be true; a recovery takes that knowledge away until the next turn.
type temper struct {
	client
	turn int // counts topics
	seen int // recoveries when the turn began
	asks int
}

// errTurn: the turn is over, and nothing is wrong.
var errTurn = errors.New("another turn")

func (t *temper) run(ctx context.Context) { t.turns(ctx, t.live) }

// turns does the same again and again until ctx ends.
func (t *temper) turns(ctx context.Context, live func(context.Context) error) {
	defer t.drop()
	for ctx.Err() == nil {
		t.turn++
		t.seen = t.w.recoveries()
		if err := live(ctx); err != nil && ctx.Err() == nil {
			t.w.trace("%s turn %d ends: %v", t.name, t.turn, err)
		}
		if t.pause(ctx) != nil {
			return
		}
	}
}

// live is one topic's life.
func (t *temper) live(ctx context.Context) error {
	if err := t.delete(ctx); err != nil { // whatever is there
		return err
	}
	id, err := t.create(ctx)
	if err != nil {
		return err
	}
	if err := t.noPosition(ctx); err != nil {
		return err
	}
	var acked int
	for n := range 3 + int(t.w.draw("temp", t.name, t.turn)%5) {
		if n == 2 {
			if err := t.configure(ctx); err != nil {
				return err
			}
		}
		if acked, err = t.produce(ctx, n, acked); err != nil {
			return err
		}
	}
	if err := t.position(ctx, int64(acked)); err != nil {
		return err
	}
	if err := t.readBack(ctx, acked); err != nil {
		return err
	}
	if err := t.delete(ctx); err != nil {
		return err
	}
	return t.gone(ctx, id)
}

// wrong notes what must not be, unless a recovery may have made it so.
func (t *temper) wrong(format string, args ...any) error {
	if t.w.recoveries() == t.seen {
		t.w.history.wrong("%s turn %d: %s", t.name, t.turn, fmt.Sprintf(format, args...))
	}
	return errTurn
}

// until asks until the answer is none to be asked for again: one that is final, or
// that no client would retry. unsure tells that an attempt before may have taken
// effect unheard.
func (t *temper) until(ctx context.Context, q kmsg.Request, version int16, code func(kmsg.Response) int16, final ...int16) (got int16, unsure bool, err error) {
	for ctx.Err() == nil && t.w.recoveries() == t.seen {
		resp, err := t.try(ctx, q, version)
		if err == nil {
			if got = code(resp); !retriable(got) || slices.Contains(final, got) {
				return got, unsure, nil
			}
		}
		unsure = true
		t.drop()
		t.next++
		if t.pause(ctx) != nil {
			break
		}
	}
	return 0, true, errTurn
}

// elsewhere goes to another broker, whose state may be older.
func (t *temper) elsewhere() {
	t.drop()
	t.next += 2
}

func (t *temper) delete(ctx context.Context) error {
	q := kmsg.NewPtrDeleteTopicsRequest()
	q.TimeoutMillis, q.TopicNames = 5000, []string{tempTopic}
	code, _, err := t.until(ctx, q, 4, func(r kmsg.Response) int16 { return r.(*kmsg.DeleteTopicsResponse).Topics[0].ErrorCode }, errUnknownTopic)
	if err == nil && code != errNone && code != errUnknownTopic {
		return t.wrong("delete: error %d", code)
	}
	return err
}

func (t *temper) create(ctx context.Context) (id [16]byte, err error) {
	q := kmsg.NewPtrCreateTopicsRequest()
	q.TimeoutMillis = 5000
	c := kmsg.NewCreateTopicsRequestTopic()
	c.Topic, c.NumPartitions, c.ReplicationFactor = tempTopic, tempParts, -1
	q.Topics = append(q.Topics, c)
	code, unsure, err := t.until(ctx, q, 7, func(r kmsg.Response) int16 {
		id = r.(*kmsg.CreateTopicsResponse).Topics[0].TopicID
		return r.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode
	})
	switch {
	case err != nil:
		return id, err
	case code == errNone:
		t.w.count(topicAgain, 1)
		return id, nil
	case code == errTopicExists && unsure:
		return id, errTurn // ours, with an id that we did not hear
	}
	return id, t.wrong("create: error %d", code)
}

// produce sends one record, and returns how many there must be then at least.
func (t *temper) produce(ctx context.Context, n, acked int) (int, error) {
	q := kmsg.NewPtrProduceRequest()
	q.Acks, q.TimeoutMillis = -1, 10_000
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic = tempTopic
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = batchOf(time.Now().UnixMilli(), batchHead{identity: identity{-1, -1}, seq: -1}, [][]byte{t.record(n).value(200)})
	rt.Partitions = append(rt.Partitions, p)
	q.Topics = append(q.Topics, rt)
	if n%2 == 1 {
		t.elsewhere()
	}
	code, _, err := t.until(ctx, q, 9, func(r kmsg.Response) int16 {
		code, _ := produced(r)
		return code
	})
	if err == nil && code != errNone {
		return acked, t.wrong("produce: error %d", code)
	}
	return acked + 1, err
}

// record is the n-th of the present topic: its producer's name tells the topic.
func (t *temper) record(n int) Record {
	return Record{fmt.Sprintf("temp.%d", t.turn), TP{tempTopic, 0}, n}
}

// readBack reads the topic at another broker: all that was acknowledged is there, in
// order, retries aside, and nothing of the topics before it.
func (t *temper) readBack(ctx context.Context, acked int) error {
	t.elsewhere()
	rd := &reader{client: t.client, topic: tempTopic, at: map[int32]int64{0: 0}}
	defer func() { t.client = rd.client }()
	var got []Read
	rd.sink = func(r []Read) { got = append(got, r...) }
	var end int64
	for {
		at, err := rd.listOffset(ctx, TP{tempTopic, 0}, atEnd)
		if end = at; err == nil {
			break
		}
		if rd.drop(); rd.pause(ctx) != nil || t.w.recoveries() != t.seen {
			return errTurn
		}
		rd.next++
	}
	for rd.at[0] < end {
		if err := rd.poll(ctx); err != nil {
			if rd.drop(); rd.pause(ctx) != nil || t.w.recoveries() != t.seen {
				return errTurn
			}
			rd.next++
		}
	}
	next := 0
	for _, r := range got {
		switch {
		case r.Record.Producer != t.record(0).Producer:
			return t.wrong("offset %d holds %v", r.Offset, r.Record)
		case r.Record.N == next:
			next++
		case r.Record.N > next:
			return t.wrong("offset %d holds %v before #%d", r.Offset, r.Record, next)
		}
	}
	if next != acked {
		return t.wrong("%d records were acknowledged, %d are there", acked, next)
	}
	return nil
}

// gone sees at another broker that the topic is there no more.
func (t *temper) gone(ctx context.Context, id [16]byte) error {
	t.elsewhere()
	q := kmsg.NewPtrListOffsetsRequest()
	q.ReplicaID = -1
	rt := kmsg.NewListOffsetsRequestTopic()
	rt.Topic = tempTopic
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Timestamp, p.CurrentLeaderEpoch = atEnd, -1
	rt.Partitions = append(rt.Partitions, p)
	q.Topics = append(q.Topics, rt)
	code, _, err := t.until(ctx, q, 5, func(r kmsg.Response) int16 { return r.(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0].ErrorCode }, errUnknownTopic)
	if err == nil && code != errUnknownTopic {
		return t.wrong("topic %x was deleted, and another broker lists its offsets: error %d", id, code)
	}
	return err
}
