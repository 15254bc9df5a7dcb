package sim

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// committedReader reads one partition like a read_committed consumer: up to the last
// stable offset, without the records of the listed aborted transactions.
type committedReader struct {
	reader
	lastStableOffset int64          // the newest one on this connection
	highWatermark    int64          // high watermark
	abortedProducers map[int64]bool // producers inside an aborted transaction
}

func (w *world) newCommittedReader(name string, addrs []string, tp TP) *committedReader {
	return &committedReader{reader: *w.newReader(name, addrs, tp.Topic, tp.Partition), abortedProducers: map[int64]bool{}}
}

func (r *committedReader) partition() TP {
	for p := range r.position {
		return TP{r.topic, p}
	}
	return TP{}
}

// run reads until ctx ends, and compares the records with the requested commits.
func (r *committedReader) run(ctx context.Context) {
	defer r.closeConn()
	tp := r.partition()
	for ctx.Err() == nil {
		reads, err := r.pollCommitted(ctx)
		if err != nil {
			r.closeConn()
			r.addrIndex++
			r.lastStableOffset = 0
		}
		for _, x := range reads {
			if known, may := r.w.history.mayBeVisible(x.Record.Producer); !known || !may {
				r.w.history.reportViolation("%s: %v at offset %d of %v was read as committed, but its commit was never requested or was refused", r.name, x.Record, x.Offset, tp)
			}
		}
		if r.backOff(ctx) != nil {
			return
		}
	}
}

// pollCommitted fetches once and returns the committed records.
func (r *committedReader) pollCommitted(ctx context.Context) ([]Read, error) {
	r.polls++
	q := r.newFetchRequest(300 * time.Millisecond)
	q.IsolationLevel = 1
	resp, err := r.requestOnce(ctx, q, []int16{4, 11, 12}[r.w.generateNumber("version", r.name, 0)%3])
	if err != nil {
		return nil, err
	}
	f := resp.(*kmsg.FetchResponse)
	if f.ErrorCode != errNone || len(f.Topics) != 1 || len(f.Topics[0].Partitions) != 1 {
		return nil, fmt.Errorf("fetch: error %d", f.ErrorCode)
	}
	part := &f.Topics[0].Partitions[0]
	switch {
	case part.ErrorCode == errOutOfRange:
		start, err := r.fetchLogStart(ctx, r.partition())
		if err == nil {
			r.position[part.Partition] = start
			clear(r.abortedProducers)
		}
		return nil, err
	case part.ErrorCode != errNone:
		return nil, fmt.Errorf("fetch: error %d", part.ErrorCode)
	case part.LastStableOffset < r.lastStableOffset || part.LastStableOffset > part.HighWatermark:
		r.w.history.reportViolation("%s: last stable offset %d of %v, was %d, high watermark %d", r.name, part.LastStableOffset, r.partition(), r.lastStableOffset, part.HighWatermark)
	}
	r.lastStableOffset, r.highWatermark = part.LastStableOffset, part.HighWatermark
	return r.filterAborted(part)
}

// filterAborted filters a fetch response like Kafka's consumers: an aborted
// transaction begins at its first offset and ends with its marker.
func (r *committedReader) filterAborted(part *kmsg.FetchResponseTopicPartition) (out []Read, err error) {
	reads, err := readBatches(part.RecordBatches)
	if err != nil {
		r.w.history.reportViolation("%s: %v: %v", r.name, r.partition(), err)
		return nil, err
	}
	aborted := slices.Clone(part.AbortedTransactions)
	slices.SortFunc(aborted, func(a, b kmsg.FetchResponseTopicPartitionAbortedTransaction) int {
		return cmp.Compare(a.FirstOffset, b.FirstOffset)
	})
	for _, x := range reads {
		for len(aborted) > 0 && aborted[0].FirstOffset <= x.Offset {
			r.abortedProducers[aborted[0].ProducerID] = true
			aborted = aborted[1:]
		}
		if x.Offset < r.position[part.Partition] {
			continue // the batch began before the position
		}
		if x.Offset >= part.LastStableOffset {
			r.w.history.reportViolation("%s: offset %d of %v was returned beyond the last stable offset %d", r.name, x.Offset, r.partition(), part.LastStableOffset)
		}
		r.position[part.Partition] = x.Offset + 1
		switch {
		case x.Mark.Kind == MarkAbort:
			delete(r.abortedProducers, x.Mark.Producer)
		case x.Mark.Kind == MarkCommit || x.Mark.Kind == MarkGap:
		case !r.abortedProducers[x.Mark.Producer]:
			out = append(out, x)
		}
	}
	return out, nil
}

// pollTxnOffset repeatedly fetches a transactional group's offset.
func (r *run) pollTxnOffset(id string, addrs []string) {
	c := &client{w: r.world, name: "watch-" + id, addrs: addrs}
	defer c.closeConn()
	found := false
	for r.backgroundCtx.Err() == nil {
		if !found {
			found = c.findCoordinator(r.backgroundCtx, "of-"+id) == nil
		}
		if found {
			found = r.recordTxnOffset(r.backgroundCtx, c, id) == nil
		}
		if !found {
			c.closeConn()
			c.addrIndex++
		}
		if c.backOff(r.backgroundCtx) != nil {
			return
		}
	}
}

func (r *run) recordTxnOffset(ctx context.Context, c *client, id string) error {
	q := kmsg.NewPtrOffsetFetchRequest()
	q.Group, q.RequireStable = "of-"+id, true
	t := kmsg.NewOffsetFetchRequestTopic()
	t.Topic, t.Partitions = sourcePartition.Topic, []int32{sourcePartition.Partition}
	q.Topics = append(q.Topics, t)
	e := TxnFetch{ID: id, Begun: time.Now()}
	resp, err := c.requestOnce(ctx, q, 7)
	if err != nil {
		return err
	}
	f := resp.(*kmsg.OffsetFetchResponse)
	if f.ErrorCode != errNone || len(f.Topics) != 1 {
		return groupError{"fetch offset", f.ErrorCode}
	}
	p := f.Topics[0].Partitions[0]
	switch p.ErrorCode {
	case errNone:
		e.Offset, e.End = p.Offset, time.Now()
		r.history.update(func() { r.history.TxnFetches = append(r.history.TxnFetches, e) })
	case errUnstableOffset:
	default:
		return groupError{"fetch offset", p.ErrorCode}
	}
	return nil
}

// readAllCommitted reads every transactional partition from every broker, and
// every group's last offset.
func (r *run) readAllCommitted() {
	for _, p := range r.processes {
		for _, tp := range transactionalTPs() {
			s, err := r.readCommitted(p, tp)
			if err != nil {
				r.history.reportViolation("read committed records of %v from %s at the end: %v", tp, p.name, err)
				continue
			}
			r.history.update(func() {
				if r.history.CommittedLogs[tp] == nil {
					r.history.CommittedLogs[tp] = map[string]CommittedLog{}
				}
				r.history.CommittedLogs[tp][p.name] = s
			})
		}
	}
	for _, a := range r.apps {
		if err := r.recordLastOffset(a.id); err != nil {
			r.history.reportViolation("fetch the last committed offset of %s: %v", a.id, err)
		}
	}
}

func (r *run) readCommitted(p *process, tp TP) (s CommittedLog, err error) {
	rd := r.newCommittedReader("last-committed-"+p.name, []string{p.zoneAddr(-1)}, tp)
	defer rd.closeConn()
	for empty := 0; empty < 5; {
		before := rd.position[tp.Partition]
		reads, err := rd.pollCommitted(r.ctx)
		if err != nil {
			return s, err
		}
		s.Reads = append(s.Reads, reads...)
		if s.LastStableOffset, s.HighWatermark = rd.lastStableOffset, rd.highWatermark; rd.position[tp.Partition] >= rd.highWatermark {
			break
		}
		if empty++; rd.position[tp.Partition] > before {
			empty = 0
		}
	}
	return s, nil
}

// recordLastOffset records a group's offset at the end.
func (r *run) recordLastOffset(id string) error {
	c := &client{w: r.world, name: "last-" + id, addrs: r.brokerAddrs(0)}
	defer c.closeConn()
	ctx, cancel := context.WithTimeout(r.ctx, readyTimeout)
	defer cancel()
	for {
		err := c.findCoordinator(ctx, "of-"+id)
		if err == nil {
			before := len(r.history.TxnFetches)
			if err = r.recordTxnOffset(ctx, c, id); err == nil && len(r.history.TxnFetches) > before {
				return nil
			}
		}
		c.closeConn()
		c.addrIndex++
		if perr := c.backOff(ctx); perr != nil {
			return fmt.Errorf("%w: %w", perr, err)
		}
	}
}
