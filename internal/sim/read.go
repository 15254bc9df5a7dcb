package sim

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// reader tails partitions of one topic, and changes its broker now and then.
type reader struct {
	client
	topic string
	at    map[int32]int64 // position by partition
	nth   int
	wait  time.Duration // for records that are to come
	sink  func([]Read)  // the final reading: where it goes
}

func (w *world) newReader(name string, addrs []string, topic string, partitions ...int32) *reader {
	r := &reader{client: client{w: w, name: name, addrs: addrs}, topic: topic, at: map[int32]int64{}, wait: 400 * time.Millisecond}
	for _, p := range partitions {
		r.at[p] = 0
	}
	return r
}

// run reads until ctx ends.
func (r *reader) run(ctx context.Context) {
	defer r.drop()
	for ctx.Err() == nil {
		if err := r.poll(ctx); err != nil {
			if ctx.Err() != nil {
				return
			}
			r.drop()
			r.next++
			if r.pause(ctx) != nil {
				return
			}
		}
		if r.w.draw("switch", r.name, r.nth)%37 == 0 {
			r.drop()
			r.next++
		}
		if r.w.draw("nap", r.name, r.nth)%3 == 0 && r.pause(ctx) != nil {
			return
		}
	}
}

// fetch makes a request for all partitions from the present positions.
func (r *reader) fetch(maxWait time.Duration) *kmsg.FetchRequest {
	q := kmsg.NewPtrFetchRequest()
	q.ReplicaID, q.MaxWaitMillis, q.MinBytes, q.MaxBytes = -1, int32(maxWait/time.Millisecond), 1, 4<<20
	q.SessionID, q.SessionEpoch = 0, -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic = r.topic
	for p := int32(0); len(t.Partitions) < len(r.at); p++ {
		if _, ok := r.at[p]; !ok {
			continue
		}
		part := kmsg.NewFetchRequestTopicPartition()
		part.Partition, part.FetchOffset, part.PartitionMaxBytes = p, r.at[p], 1<<20
		part.CurrentLeaderEpoch = -1
		t.Partitions = append(t.Partitions, part)
	}
	q.Topics = append(q.Topics, t)
	return q
}

// poll fetches once.
func (r *reader) poll(ctx context.Context) error {
	r.nth++
	q := r.fetch(r.wait)
	resp, err := r.try(ctx, q, []int16{4, 7, 11, 12}[r.w.draw("version", r.name, 0)%4])
	if err != nil {
		return err
	}
	f := resp.(*kmsg.FetchResponse)
	if f.ErrorCode != errNone {
		return fmt.Errorf("fetch: error %d", f.ErrorCode)
	}
	failed := error(nil)
	for i := range f.Topics {
		for j := range f.Topics[i].Partitions {
			if err := r.take(ctx, &f.Topics[i].Partitions[j]); err != nil {
				failed = err
			}
		}
	}
	return failed
}

// take notes what a fetch brought for one partition.
func (r *reader) take(ctx context.Context, part *kmsg.FetchResponseTopicPartition) error {
	tp := TP{r.topic, part.Partition}
	from := r.at[part.Partition]
	switch part.ErrorCode {
	case errNone:
	case errOutOfRange:
		start, err := r.startOf(ctx, tp)
		if err != nil {
			return err
		}
		r.note(tp, Reading{From: from, Jump: true})
		r.at[part.Partition] = start
		return nil
	default:
		if !retriable(part.ErrorCode) {
			r.w.history.wrong("%s: fetch of %v at %d: error %d", r.name, tp, from, part.ErrorCode)
		}
		return fmt.Errorf("fetch of %v: error %d", tp, part.ErrorCode)
	}
	reads, err := readBatches(part.RecordBatches)
	if err != nil {
		r.w.history.wrong("%s: %v: %v", r.name, tp, err)
	}
	for len(reads) > 0 && reads[0].Offset < from {
		reads = reads[1:] // the batch began before the position: consumers skip
	}
	if len(reads) > 0 {
		r.note(tp, Reading{From: from, Reads: reads})
		r.at[part.Partition] = reads[len(reads)-1].Offset + 1
	}
	return nil
}

func (r *reader) note(tp TP, g Reading) {
	if r.sink != nil {
		r.sink(g.Reads)
		return
	}
	key := r.name + " " + tp.String()
	r.w.history.note(func() {
		r.w.history.Reads[key] = append(r.w.history.Reads[key], g)
		if n := len(g.Reads); n > 0 {
			r.w.history.Ends[key] = g.Reads[n-1].Offset + 1
		}
	})
}

// The special timestamps of ListOffsets.
const (
	atEnd   = -1
	atStart = -2
)

// startOf asks for the log's start.
func (r *reader) startOf(ctx context.Context, tp TP) (int64, error) {
	return r.listOffset(ctx, tp, atStart)
}

func (c *client) listOffset(ctx context.Context, tp TP, which int64) (int64, error) {
	q := kmsg.NewPtrListOffsetsRequest()
	q.ReplicaID = -1
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = tp.Topic
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Partition, p.Timestamp, p.CurrentLeaderEpoch = tp.Partition, which, -1
	t.Partitions = append(t.Partitions, p)
	q.Topics = append(q.Topics, t)
	resp, err := c.try(ctx, q, 5)
	if err != nil {
		return 0, err
	}
	part := resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
	if part.ErrorCode != errNone {
		return 0, fmt.Errorf("list offsets of %v: error %d", tp, part.ErrorCode)
	}
	return part.Offset, nil
}
