package sim

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// TP is a partition by its topic's name.
type TP struct {
	Topic     string
	Partition int32
}

func (tp TP) String() string { return fmt.Sprintf("%s/%d", tp.Topic, tp.Partition) }

// Record is the content of a record: it is the n-th that a producer sent to a
// partition. No two sent records are equal.
type Record struct {
	Producer string
	TP       TP
	N        int
}

func (r Record) String() string { return fmt.Sprintf("%s>%s#%d", r.Producer, r.TP, r.N) }

// encodeValue encodes r in about size bytes; every byte follows from r and size.
func (r Record) encodeValue(size int) []byte {
	b := r.appendHeader(make([]byte, 0, size+64), size)
	for next := r.fillerByte(len(b)); len(b) < size; next += fillerStep {
		b = append(b, next)
	}
	return b
}

// appendHeader appends the start of a value; the rest up to size is filler.
func (r Record) appendHeader(b []byte, size int) []byte {
	b = append(append(append(b, r.Producer...), '|'), r.TP.Topic...)
	for _, n := range [...]int{int(r.TP.Partition), r.N, size} {
		b = strconv.AppendInt(append(b, '|'), int64(n), 10)
	}
	return append(b, '|')
}

// fillerByte is the byte at i, after the header; the next one is fillerStep more.
func (r Record) fillerByte(i int) byte { return byte(r.N*31) + byte(i*fillerStep) }

const fillerStep = 7

const maxValue = 1 << 20

// parseRecord is the inverse of encodeValue, to the last byte.
func parseRecord(b []byte) (Record, error) {
	parts := bytes.SplitN(b, []byte("|"), 6)
	if len(parts) != 6 {
		return Record{}, fmt.Errorf("value of %d bytes was not written by the simulation", len(b))
	}
	p, err1 := strconv.Atoi(string(parts[2]))
	n, err2 := strconv.Atoi(string(parts[3]))
	size, err3 := strconv.Atoi(string(parts[4]))
	if err := errors.Join(err1, err2, err3); err != nil {
		return Record{}, err
	}
	r := Record{string(parts[0]), TP{string(parts[1]), int32(p)}, n}
	if !r.matchesValue(b, size) {
		return r, fmt.Errorf("value of %v is damaged", r)
	}
	return r, nil
}

// matchesValue reports whether b is encodeValue(size).
func (r Record) matchesValue(b []byte, size int) bool {
	head := r.appendHeader(make([]byte, 0, 64), size)
	if size > maxValue || len(b) != max(size, len(head)) || !bytes.HasPrefix(b, head) {
		return false
	}
	next := r.fillerByte(len(head))
	for _, c := range b[len(head):] {
		if c != next {
			return false
		}
		next += fillerStep
	}
	return true
}

// batchHeader is the producer part of a batch's header.
type batchHeader struct {
	producerIdentity
	seq           int32
	transactional bool
}

// attrTransactional and attrControl are bits of a batch's attributes.
const (
	attrTransactional = 1 << 4
	attrControl       = 1 << 5
)

// encodeBatch encodes records as one batch.
func encodeBatch(at int64, h batchHeader, values [][]byte) []byte {
	var records []byte
	for i, v := range values {
		rec := kmsg.Record{OffsetDelta: int32(i), Value: v}
		rec.Length = int32(len(rec.AppendTo(nil)) - 1)
		records = rec.AppendTo(records)
	}
	n := int32(len(values))
	b := kmsg.RecordBatch{PartitionLeaderEpoch: -1, Magic: 2, LastOffsetDelta: n - 1, FirstTimestamp: at, MaxTimestamp: at,
		ProducerID: h.pid, ProducerEpoch: h.epoch, FirstSequence: h.seq, NumRecords: n, Records: records}
	if h.transactional {
		b.Attributes |= attrTransactional
	}
	out := b.AppendTo(nil)
	binary.BigEndian.PutUint32(out[8:], uint32(len(out)-12))
	binary.BigEndian.PutUint32(out[17:], metadata.BatchCRC(out))
	return out
}

// Read is one record as it was read.
type Read struct {
	Offset int64
	Record Record // zero: a marker
	Mark   Mark
}

// Mark is the transaction part of a record's batch, or of a marker; zero if it
// belongs to no transaction.
type Mark struct {
	Producer int64
	Epoch    int16
	Kind     MarkKind
}

// MarkKind is the role of a record in a transaction.
type MarkKind uint8

// The kinds.
const (
	MarkNone MarkKind = iota
	MarkData
	MarkAbort
	MarkCommit
	MarkGap // the end of a recovery's gap
)

func (m MarkKind) isControl() bool { return m >= MarkAbort }

// readBatches decodes the records of a fetch response; like consumers, it leaves out
// a truncated last batch.
func readBatches(b []byte) ([]Read, error) {
	var all []Read
	for len(b) >= 12 {
		size := 12 + int(binary.BigEndian.Uint32(b[8:]))
		if size > len(b) {
			break
		}
		var batch kmsg.RecordBatch
		if err := batch.ReadFrom(b[:size]); err != nil {
			return all, fmt.Errorf("decode a fetched batch: %w", err)
		}
		if got := metadata.BatchCRC(b[:size]); got != uint32(batch.CRC) {
			return all, fmt.Errorf("fetched batch at offset %d has a wrong CRC", batch.FirstOffset)
		}
		reads, err := readBatch(&batch)
		all = append(all, reads...)
		if err != nil {
			return all, err
		}
		b = b[size:]
	}
	return all, nil
}

// readBatch decodes one batch's records.
func readBatch(batch *kmsg.RecordBatch) (all []Read, err error) {
	rest := batch.Records
	for range batch.NumRecords {
		length, n := binary.Varint(rest)
		if n <= 0 || int(length) < 0 || n+int(length) > len(rest) {
			return all, fmt.Errorf("fetched batch at offset %d: a record of %d bytes", batch.FirstOffset, length)
		}
		var rec kmsg.Record
		if err := rec.ReadFrom(rest[:n+int(length)]); err != nil {
			return all, fmt.Errorf("decode a fetched record: %w", err)
		}
		rest = rest[n+int(length):]
		r := Read{Offset: batch.FirstOffset + int64(rec.OffsetDelta)}
		if batch.Attributes&attrTransactional != 0 {
			r.Mark = Mark{batch.ProducerID, batch.ProducerEpoch, MarkData}
		}
		if batch.Attributes&attrControl != 0 {
			if len(rec.Key) != 4 || rec.Key[3] > 1 {
				return all, fmt.Errorf("offset %d: control record with key %x", r.Offset, rec.Key)
			}
			if r.Mark.Kind += 1 + MarkKind(rec.Key[3]); batch.Attributes&attrTransactional == 0 {
				r.Mark.Kind = MarkGap
			}
		} else if r.Record, err = parseRecord(rec.Value); err != nil {
			return all, fmt.Errorf("offset %d: %w", r.Offset, err)
		}
		all = append(all, r)
	}
	return all, nil
}
