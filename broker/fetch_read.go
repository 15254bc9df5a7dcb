package broker

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream"
)

// partAnswer is what was read for one partition.
type partAnswer struct {
	records net.Buffers
	bytes   int
	aborted []metadata.AbortedTxn // of a reader of committed records
}

// fetchReaders is how many partitions of one fetch are read at the same time.
const fetchReaders = 8

// minFetchBytes is what a fetch may always have, however full memory is.
const minFetchBytes = 1 << 20

// read plans how many bytes each partition may have, in the request's order,
// and reads them side by side.
func (f *fetch) read(ctx context.Context) {
	left := int64(f.q.MaxBytes)
	if left <= 0 || left > MaxFetchBytes {
		left = MaxFetchBytes
	}
	left = min(left, max(minFetchBytes, f.s.cfg.FetchBytes-f.s.fetching.Load()))
	var todo []*fetchPart
	for i := range f.parts {
		p := &f.parts[i]
		if p.code != errNone || p.ready == 0 || p.steered {
			continue
		}
		if len(todo) > 0 && left <= 0 {
			break
		}
		// The first may always have one whole batch (KIP-74).
		p.plan = int(min(int64(max(p.maxBytes, 0)), left))
		left -= min(p.ready, int64(p.plan))
		todo = append(todo, p)
	}
	if len(todo) == 0 {
		return
	}
	first := todo[0]
	f.readOne(ctx, first, true)
	f.readRest(ctx, todo[1:], first.answer.bytes == 0)
	for _, p := range todo {
		f.held += int64(p.answer.bytes)
	}
	f.s.fetching.Add(f.held)
}

func (f *fetch) readRest(ctx context.Context, todo []*fetchPart, minOne bool) {
	if len(todo) == 0 {
		return
	}
	if len(todo) == 1 || minOne {
		for _, p := range todo {
			f.readOne(ctx, p, minOne)
			minOne = minOne && p.answer.bytes == 0
		}
		return
	}
	next := make(chan *fetchPart)
	var wg sync.WaitGroup
	for range min(fetchReaders, len(todo)) {
		wg.Go(func() {
			for p := range next {
				f.readOne(ctx, p, false)
			}
		})
	}
	for _, p := range todo {
		next <- p
	}
	close(next)
	wg.Wait()
}

// readOne reads one partition. Readers run side by side: it touches nothing of
// the fetch but its own partition.
func (f *fetch) readOne(ctx context.Context, p *fetchPart, minOne bool) {
	var stats s3stream.ReadStats
	out, err := f.s.cfg.Reader.Read(ctx, s3stream.ReadRequest{Partition: p.tp, From: p.offset, MaxBytes: p.plan,
		MinOne: minOne, Until: p.end, Stats: &stats})
	p.gets = uint64(stats.GETs)
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			f.s.cfg.Log.Warn("read partition", "topic", p.tp.Topic, "partition", p.tp.Partition, "offset", p.offset, "error", err)
		}
		p.code = f.readError(p, err)
		return
	}
	p.answer = partAnswer{records: out.Records, bytes: out.Bytes}
	if p.committed && out.Bytes > 0 {
		f.s.cfg.Replica.View(func(st *metadata.State) { p.answer.aborted = st.Aborted(nil, p.tp, p.offset, out.Next) })
	}
}

// readError maps what a read failed with; the log may have been trimmed or the
// topic deleted meanwhile.
func (f *fetch) readError(p *fetchPart, err error) int16 {
	gone, trimmed := false, false
	f.s.cfg.Replica.View(func(st *metadata.State) {
		h, ok := st.Partition(p.tp)
		gone, trimmed = !ok, ok && p.offset < h.LogStart
	})
	switch {
	case gone && f.r.version >= 13:
		return errUnknownTopicID
	case gone:
		return errUnknownTopic
	case trimmed:
		return errOffsetOutOfRange
	}
	return kafkaError(err)
}
