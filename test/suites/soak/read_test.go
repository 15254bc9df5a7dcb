//go:build soak

package soak

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	fetchBytes    = 4 << 20
	readPatience  = 90 * time.Second // a broker dies meanwhile, perhaps
	batchOverhead = 12               // before what a batch's length counts
	controlBatch  = 1 << 5           // attribute
)

// listOffsets lists the log starts, or the ends, of topics; it tries again while brokers
// are down.
func (r *rig) listOffsets(ctx context.Context, starts bool, topics ...string) (map[TopicPartition]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, readPatience)
	defer cancel()
	list := r.admin.ListEndOffsets
	if starts {
		list = r.admin.ListStartOffsets
	}
	for {
		listed, err := list(ctx, topics...)
		if err == nil {
			err = listed.Error()
		}
		if err == nil {
			all := map[TopicPartition]int64{}
			listed.Each(func(o kadm.ListedOffset) { all[TopicPartition{o.Topic, o.Partition}] = o.Offset })
			return all, nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, fmt.Errorf("list offsets of %v: %w", topics, err)
		}
	}
}

// readPartition reads a partition from its log start to what is its end now, into a
// sweep that prepare may change first.
func (r *rig) readPartition(ctx context.Context, tp TopicPartition, prepare func(*Sweep)) (*Sweep, error) {
	starts, err := r.listOffsets(ctx, true, tp.Topic)
	if err != nil {
		return nil, err
	}
	s := NewSweep(tp, r.history, r.source, starts[tp])
	if prepare != nil {
		prepare(s)
	}
	ends, err := r.listOffsets(ctx, false, tp.Topic)
	if err != nil {
		return nil, err
	}
	end := max(ends[tp], r.history.End(tp)) // what was acknowledged before is there, whatever ListOffsets says
	if ends[tp] < end {
		ends, err = r.listOffsets(ctx, false, tp.Topic)
		if err != nil {
			return nil, err
		}
		if ends[tp] < end {
			r.history.Report("%v: its end is %d, and a record was acknowledged at %d", tp, ends[tp], end-1)
			end = ends[tp]
		}
	}
	ctx, cancel := context.WithTimeout(ctx, readPatience)
	defer cancel()
	for s.Next() < end {
		before := s.Next()
		err := r.fetchInto(ctx, s)
		if err != nil && ctx.Err() != nil {
			return s, fmt.Errorf("read %v at %d of %d: %w", tp, s.Next(), end, err)
		}
		if s.Next() == before {
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
				s.Finish(end)
				return s, fmt.Errorf("read %v at %d of %d: %v without a record; the last error: %v", tp, s.Next(), end, readPatience, err)
			}
		}
	}
	return s, nil
}

// fetchInto sends one fetch and gives its batches to the sweep.
func (r *rig) fetchInto(ctx context.Context, s *Sweep) error {
	q := kmsg.NewPtrFetchRequest()
	q.MaxWaitMillis, q.MinBytes, q.MaxBytes = 200, 1, fetchBytes
	t, p := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = s.tp.Partition, s.Next(), fetchBytes
	t.Topic, t.Partitions = s.tp.Topic, append(t.Partitions, p)
	q.Topics = append(q.Topics, t)
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	resp, err := q.RequestWith(ctx, r.reader)
	if err != nil {
		return err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return errors.Join(kerr.ErrorForCode(resp.ErrorCode), fmt.Errorf("a fetch response of %d topics", len(resp.Topics)))
	}
	got := resp.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(got.ErrorCode); errors.Is(err, kerr.OffsetOutOfRange) {
		starts, listErr := r.listOffsets(ctx, true, s.tp.Topic)
		if listErr != nil {
			return listErr
		}
		if starts[s.tp] <= s.Next() {
			return fmt.Errorf("offset %d is out of range, and the log start is %d", s.Next(), starts[s.tp])
		}
		s.PassLogStart(starts[s.tp])
		return nil
	} else if err != nil {
		return err
	}
	return addBatches(s, got.RecordBatches)
}

// addBatches gives the whole batches of a response to the sweep. The first one may begin
// before the offset that was asked for: a log start can be within a batch.
func addBatches(s *Sweep, b []byte) error {
	from := s.Next()
	for len(b) >= 61 {
		size := batchOverhead + int(binary.BigEndian.Uint32(b[8:]))
		if size > len(b) {
			return nil // cut, as the protocol allows
		}
		var batch kmsg.RecordBatch
		if err := batch.ReadFrom(b[:size]); err != nil {
			return fmt.Errorf("decode a batch at %d: %w", s.Next(), err)
		}
		if got := crc32.Checksum(b[21:size], crc32.MakeTable(crc32.Castagnoli)); int32(got) != batch.CRC {
			s.history.Report("%v: the batch at %d has another checksum", s.tp, batch.FirstOffset)
		}
		b = b[size:]
		last := batch.FirstOffset + int64(batch.LastOffsetDelta)
		if last < from {
			continue
		}
		if batch.Attributes&controlBatch != 0 {
			s.AddMarker(last)
			continue
		}
		s.AddBatch(batch.FirstOffset, last, int64(size))
		if err := addRecords(s, &batch, from); err != nil {
			return err
		}
	}
	return nil
}

func addRecords(s *Sweep, batch *kmsg.RecordBatch, from int64) error {
	b := batch.Records
	for range batch.NumRecords {
		length, n := binary.Varint(b)
		if n <= 0 || length < 0 || int(length)+n > len(b) {
			return fmt.Errorf("a record of the batch at %d is cut", batch.FirstOffset)
		}
		var rec kmsg.Record
		if err := rec.ReadFrom(b[:n+int(length)]); err != nil {
			return fmt.Errorf("decode a record of the batch at %d: %w", batch.FirstOffset, err)
		}
		b = b[n+int(length):]
		if offset := batch.FirstOffset + int64(rec.OffsetDelta); offset >= from {
			s.AddRecord(offset, rec.Key, rec.Value)
		}
	}
	return nil
}
