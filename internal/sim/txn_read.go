package sim

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// committedReader reads one partition as a consumer of committed records does:
// up to the last stable offset, without what the answer says is aborted.
type committedReader struct {
	reader
	stable int64          // the newest last stable offset by this connection
	end    int64          // high watermark
	gone   map[int64]bool // producers inside an aborted transaction
}

func (w *world) newCommittedReader(name string, addrs []string, tp TP) *committedReader {
	return &committedReader{reader: *w.newReader(name, addrs, tp.Topic, tp.Partition), gone: map[int64]bool{}}
}

func (r *committedReader) tp() TP {
	for p := range r.at {
		return TP{r.topic, p}
	}
	return TP{}
}

// run reads until ctx ends, and holds what it sees against what was asked for.
func (r *committedReader) run(ctx context.Context) {
	defer r.drop()
	tp := r.tp()
	for ctx.Err() == nil {
		reads, err := r.pollCommitted(ctx)
		if err != nil {
			r.drop()
			r.next++
			r.stable = 0
		}
		for _, x := range reads {
			if known, may := r.w.history.mayBeSeen(x.Record.Producer); !known || !may {
				r.w.history.wrong("%s: %v at offset %d of %v is read as committed: nobody asked for that, or in vain", r.name, x.Record, x.Offset, tp)
			}
		}
		if r.pause(ctx) != nil {
			return
		}
	}
}

// pollCommitted fetches once and returns the committed records.
func (r *committedReader) pollCommitted(ctx context.Context) ([]Read, error) {
	r.nth++
	q := r.fetch(300 * time.Millisecond)
	q.IsolationLevel = 1
	resp, err := r.try(ctx, q, []int16{4, 11, 12}[r.w.draw("version", r.name, 0)%3])
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
		start, err := r.startOf(ctx, r.tp())
		if err == nil {
			r.at[part.Partition] = start
			clear(r.gone)
		}
		return nil, err
	case part.ErrorCode != errNone:
		return nil, fmt.Errorf("fetch: error %d", part.ErrorCode)
	case part.LastStableOffset < r.stable || part.LastStableOffset > part.HighWatermark:
		r.w.history.wrong("%s: last stable offset %d of %v, was %d, high watermark %d", r.name, part.LastStableOffset, r.tp(), r.stable, part.HighWatermark)
	}
	r.stable, r.end = part.LastStableOffset, part.HighWatermark
	return r.filter(part)
}

// filter takes what a fetch brought, as Kafka's consumers do: the aborted
// transactions begin at their first offset and end with their marker.
func (r *committedReader) filter(part *kmsg.FetchResponseTopicPartition) (out []Read, err error) {
	reads, err := readBatches(part.RecordBatches)
	if err != nil {
		r.w.history.wrong("%s: %v: %v", r.name, r.tp(), err)
		return nil, err
	}
	aborted := slices.Clone(part.AbortedTransactions)
	slices.SortFunc(aborted, func(a, b kmsg.FetchResponseTopicPartitionAbortedTransaction) int {
		return cmp.Compare(a.FirstOffset, b.FirstOffset)
	})
	for _, x := range reads {
		for len(aborted) > 0 && aborted[0].FirstOffset <= x.Offset {
			r.gone[aborted[0].ProducerID] = true
			aborted = aborted[1:]
		}
		if x.Offset < r.at[part.Partition] {
			continue // the batch began before the position
		}
		if x.Offset >= part.LastStableOffset {
			r.w.history.wrong("%s: offset %d of %v is given beyond the last stable one, %d", r.name, x.Offset, r.tp(), part.LastStableOffset)
		}
		r.at[part.Partition] = x.Offset + 1
		switch {
		case x.Mark.Kind == MarkAbort:
			delete(r.gone, x.Mark.Producer)
		case x.Mark.Kind == MarkCommit || x.Mark.Kind == MarkGap:
		case !r.gone[x.Mark.Producer]:
			out = append(out, x)
		}
	}
	return out, nil
}

// watchOffset fetches a transactional group's position again and again.
func (r *run) watchOffset(id string, addrs []string) {
	c := &client{w: r.world, name: "watch-" + id, addrs: addrs}
	defer c.drop()
	found := false
	for r.tailing.Err() == nil {
		if !found {
			found = c.findCoordinator(r.tailing, "of-"+id) == nil
		}
		if found {
			found = r.noteOffset(r.tailing, c, id) == nil
		}
		if !found {
			c.drop()
			c.next++
		}
		if c.pause(r.tailing) != nil {
			return
		}
	}
}

func (r *run) noteOffset(ctx context.Context, c *client, id string) error {
	q := kmsg.NewPtrOffsetFetchRequest()
	q.Group, q.RequireStable = "of-"+id, true
	t := kmsg.NewOffsetFetchRequestTopic()
	t.Topic, t.Partitions = sourceOf.Topic, []int32{sourceOf.Partition}
	q.Topics = append(q.Topics, t)
	e := TxnFetch{ID: id, Begun: time.Now()}
	resp, err := c.try(ctx, q, 7)
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
		r.history.note(func() { r.history.TxnFetches = append(r.history.TxnFetches, e) })
	case errUnstableOffset:
	default:
		return groupError{"fetch offset", p.ErrorCode}
	}
	return nil
}

// committedAtEnd reads every transactional partition from every broker, and
// every group's last position.
func (r *run) committedAtEnd() {
	for _, p := range r.processes {
		for _, tp := range transactionalTPs() {
			s, err := r.readCommitted(p, tp)
			if err != nil {
				r.history.wrong("read committed records of %v from %s at the end: %v", tp, p.name, err)
				continue
			}
			r.history.note(func() {
				if r.history.Stable[tp] == nil {
					r.history.Stable[tp] = map[string]Stable{}
				}
				r.history.Stable[tp][p.name] = s
			})
		}
	}
	for _, a := range r.apps {
		if err := r.lastOffset(a.id); err != nil {
			r.history.wrong("fetch the last position of %s: %v", a.id, err)
		}
	}
}

func (r *run) readCommitted(p *process, tp TP) (s Stable, err error) {
	rd := r.newCommittedReader("last-committed-"+p.name, []string{p.addr(-1)}, tp)
	defer rd.drop()
	for empty := 0; empty < 5; {
		before := rd.at[tp.Partition]
		reads, err := rd.pollCommitted(r.ctx)
		if err != nil {
			return s, err
		}
		s.Reads = append(s.Reads, reads...)
		if s.Last, s.End = rd.stable, rd.end; rd.at[tp.Partition] >= rd.end {
			break
		}
		if empty++; rd.at[tp.Partition] > before {
			empty = 0
		}
	}
	return s, nil
}

// lastOffset notes a group's position at the end.
func (r *run) lastOffset(id string) error {
	c := &client{w: r.world, name: "last-" + id, addrs: r.addrs(0)}
	defer c.drop()
	ctx, cancel := context.WithTimeout(r.ctx, readyTime)
	defer cancel()
	for {
		err := c.findCoordinator(ctx, "of-"+id)
		if err == nil {
			before := len(r.history.TxnFetches)
			if err = r.noteOffset(ctx, c, id); err == nil && len(r.history.TxnFetches) > before {
				return nil
			}
		}
		c.drop()
		c.next++
		if perr := c.pause(ctx); perr != nil {
			return fmt.Errorf("%w: %w", perr, err)
		}
	}
}
