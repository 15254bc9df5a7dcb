package sim

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// reader tails partitions of one topic, and sometimes changes its broker.
type reader struct {
	client
	topic    string
	position map[int32]int64 // position by partition
	polls    int
	maxWait  time.Duration // for new records
	sink     func([]Read)  // receives the records of the final reading
	rest     time.Duration // between some fetches, so that it falls behind
}

func (w *world) newReader(name string, addrs []string, topic string, partitions ...int32) *reader {
	r := &reader{client: client{w: w, name: name, addrs: addrs}, topic: topic, position: map[int32]int64{}, maxWait: 400 * time.Millisecond}
	for _, p := range partitions {
		r.position[p] = 0
	}
	return r
}

// run reads until ctx ends.
func (r *reader) run(ctx context.Context) {
	defer r.closeConn()
	for ctx.Err() == nil {
		if err := r.poll(ctx); err != nil {
			if ctx.Err() != nil {
				return
			}
			r.closeConn()
			r.addrIndex++
			if r.backOff(ctx) != nil {
				return
			}
		}
		if r.rest > 0 && r.w.generateNumber("rest", r.name, r.polls)%8 == 0 {
			select {
			case <-time.After(r.rest):
			case <-ctx.Done():
			}
		}
		if r.w.generateNumber("switch", r.name, r.polls)%37 == 0 {
			r.closeConn()
			r.addrIndex++
		}
		if r.w.generateNumber("nap", r.name, r.polls)%3 == 0 && r.backOff(ctx) != nil {
			return
		}
	}
}

// newFetchRequest builds a request for all partitions from the current positions.
func (r *reader) newFetchRequest(maxWait time.Duration) *kmsg.FetchRequest {
	q := kmsg.NewPtrFetchRequest()
	q.ReplicaID, q.MaxWaitMillis, q.MinBytes, q.MaxBytes = -1, int32(maxWait/time.Millisecond), 1, 4<<20
	q.SessionID, q.SessionEpoch = 0, -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic = r.topic
	for p := int32(0); len(t.Partitions) < len(r.position); p++ {
		if _, ok := r.position[p]; !ok {
			continue
		}
		part := kmsg.NewFetchRequestTopicPartition()
		part.Partition, part.FetchOffset, part.PartitionMaxBytes = p, r.position[p], 1<<20
		part.CurrentLeaderEpoch = -1
		t.Partitions = append(t.Partitions, part)
	}
	q.Topics = append(q.Topics, t)
	return q
}

// poll fetches once.
func (r *reader) poll(ctx context.Context) error {
	r.polls++
	q := r.newFetchRequest(r.maxWait)
	resp, err := r.requestOnce(ctx, q, []int16{4, 7, 11, 12}[r.w.generateNumber("version", r.name, 0)%4])
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
			if err := r.applyPartition(ctx, &f.Topics[i].Partitions[j]); err != nil {
				failed = err
			}
		}
	}
	return failed
}

// applyPartition records a fetch response of one partition.
func (r *reader) applyPartition(ctx context.Context, part *kmsg.FetchResponseTopicPartition) error {
	tp := TP{r.topic, part.Partition}
	from := r.position[part.Partition]
	switch part.ErrorCode {
	case errNone:
	case errOutOfRange:
		start, err := r.fetchLogStart(ctx, tp)
		if err != nil {
			return err
		}
		r.recordReading(tp, Reading{From: from, Reset: true, To: start})
		r.position[part.Partition] = start
		return nil
	default:
		if !isRetriable(part.ErrorCode) {
			r.w.history.reportViolation("%s: fetch of %v at %d: error %d", r.name, tp, from, part.ErrorCode)
		}
		return fmt.Errorf("fetch of %v: error %d", tp, part.ErrorCode)
	}
	reads, err := readBatches(part.RecordBatches)
	if err != nil {
		r.w.history.reportViolation("%s: %v: %v", r.name, tp, err)
	}
	for len(reads) > 0 && reads[0].Offset < from {
		reads = reads[1:] // the batch began before the position: consumers skip
	}
	r.w.history.addReadBatches(tp, part.RecordBatches)
	if len(reads) > 0 {
		r.recordReading(tp, Reading{From: from, Reads: reads})
		r.position[part.Partition] = reads[len(reads)-1].Offset + 1
	}
	return nil
}

func (r *reader) recordReading(tp TP, g Reading) {
	if r.sink != nil {
		r.sink(g.Reads)
		return
	}
	key := r.name + " " + tp.String()
	r.w.history.update(func() {
		r.w.history.Reads[key] = append(r.w.history.Reads[key], g)
		if n := len(g.Reads); n > 0 {
			r.w.history.ReaderEnds[key] = g.Reads[n-1].Offset + 1
		}
		if g.Reset && isExpiring(tp.Topic) {
			r.w.history.observeLogStart(tp, g.To)
			r.w.history.ReaderEnds[key] = max(r.w.history.ReaderEnds[key], g.To)
		}
	})
}

// The special timestamps of ListOffsets.
const (
	latestTimestamp   = -1
	earliestTimestamp = -2
)

// fetchLogStart returns the log start offset.
func (r *reader) fetchLogStart(ctx context.Context, tp TP) (int64, error) {
	return r.listOffset(ctx, tp, earliestTimestamp)
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
	resp, err := c.requestOnce(ctx, q, 5)
	if err != nil {
		return 0, err
	}
	part := resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
	if part.ErrorCode != errNone {
		return 0, fmt.Errorf("list offsets of %v: error %d", tp, part.ErrorCode)
	}
	return part.Offset, nil
}
