package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/zonewise/zonewise/metadata"
)

// batchRules are the rules for batches from a topic's configs.
type batchRules struct {
	maxBytes      int
	segmentBytes  int
	compacted     bool  // a record without key is refused
	logAppendTime bool  // message.timestamp.type=LogAppendTime
	maxBeforeMs   int64 // largest age of a timestamp
	maxAfterMs    int64 // how far a timestamp may be ahead of now
	codec         int   // compression.type, or codecProducer
	codecLevel    int   // of that codec; 0: its default
}

// batchError is why a batch is refused. It is final: a retry would fail again.
type batchError struct {
	code         int16
	text         string
	recordErrors []recordError // the invalid records
	// refusedEarly: refused before Kafka reads the partition, so that the response
	// has no log start.
	refusedEarly bool
}

type recordError struct {
	index int32
	text  string
}

func (e *batchError) Error() string { return e.text }

func refuseBatch(code int16, format string, args ...any) *batchError {
	return &batchError{code: code, text: fmt.Sprintf(format, args...)}
}

// checkBatch checks a producer's records for one partition, in Kafka's order, as
// far as that does not depend on the state. It returns the batch to store:
// timestamps may have been set (with a new CRC), and the records are recompressed
// if the topic has another compression.type. It modifies its input in place.
//
// Apply checks sequences and epochs.
func (cs *codecs) checkBatch(records []byte, version int16, now metadata.UnixMilli, rules batchRules) ([]byte, metadata.BatchHeader, *batchError) {
	h, err := parseSoleBatch(records)
	if err != nil {
		return nil, h, err
	}
	records = records[:h.Size]
	codec := int(h.Attributes & metadata.AttrCompression)
	switch {
	case codec == codecZstd && version < 7:
		bad := refuseBatch(kerr.UnsupportedCompressionType.Code, "zstd needs Produce version 7")
		bad.refusedEarly = true
		return nil, h, bad
	case h.BaseOffset != 0:
		return nil, h, refuseBatch(kerr.InvalidRecord.Code, "base offset %d, want 0", h.BaseOffset)
	case len(records) > rules.maxBytes:
		return nil, h, refuseBatch(kerr.MessageTooLarge.Code, "batch of %d bytes, max.message.bytes is %d", len(records), rules.maxBytes)
	case metadata.BatchCRC(records) != h.CRC:
		return nil, h, refuseBatch(kerr.CorruptMessage.Code, "CRC-32C of the batch is wrong")
	case codec > codecZstd:
		return nil, h, refuseBatch(kerr.InvalidRecord.Code, "compression %d is not known", codec)
	case h.RecordCount <= 0 || h.Offsets() != int64(h.RecordCount):
		return nil, h, refuseBatch(kerr.InvalidRecord.Code, "%d records with last offset delta %d", h.RecordCount, h.LastOffsetDelta)
	case h.Attributes&metadata.AttrControl != 0:
		return nil, h, refuseBatch(kerr.InvalidRecord.Code, "clients may not write control batches")
	case h.Producer < metadata.NoProducer || h.Producer >= 0 && (h.BaseSequence < 0 || h.Epoch < 0):
		return nil, h, refuseBatch(kerr.InvalidRecord.Code, "producer %d epoch %d with base sequence %d", h.Producer, h.Epoch, h.BaseSequence)
	}
	w := recordChecker{rules: &rules, header: &h, now: now, maxTime: math.MinInt64}
	if err := cs.checkRecords(records[metadata.BatchHeaderSize:], codec, &w); err != nil {
		return nil, h, err
	}
	if len(records) > rules.segmentBytes {
		return nil, h, refuseBatch(kerr.RecordListTooLarge.Code, "batch of %d bytes, segment.bytes is %d", len(records), rules.segmentBytes)
	}
	setBatchTimestamp(records, &h, now, w.maxTime, rules.logAppendTime)
	return cs.repack(records, h, codec, &rules)
}

// Offsets in a batch up to its magic, and Kafka's minimum of bytes after base
// offset and length.
const (
	batchLengthEnd = 12
	batchMagicEnd  = 17
	minBatchRest   = 14
)

// nextBatchSize returns the size of the first batch in records; 0 if it is not
// complete. A malformed start is an error.
func nextBatchSize(records []byte) (int, *batchError) {
	if len(records) < batchLengthEnd {
		return 0, nil
	}
	rest := int64(int32(binary.BigEndian.Uint32(records[batchLengthEnd-4:])))
	switch {
	case rest < minBatchRest:
		return 0, refuseBatch(kerr.CorruptMessage.Code, "batch length %d is too small", rest)
	case len(records) < batchMagicEnd:
		return 0, nil
	case records[batchMagicEnd-1] > 2:
		return 0, refuseBatch(kerr.CorruptMessage.Code, "magic %d, want 2", int8(records[batchMagicEnd-1]))
	case rest+batchLengthEnd > int64(len(records)):
		return 0, nil
	}
	return int(rest) + batchLengthEnd, nil
}

// parseSoleBatch finds the only batch in records and parses its header.
// Trailing bytes that are not another batch are not stored, as in Kafka.
func parseSoleBatch(records []byte) (metadata.BatchHeader, *batchError) {
	h, err := findSoleBatch(records)
	if err != nil {
		err.refusedEarly = true
	}
	return h, err
}

func findSoleBatch(records []byte) (h metadata.BatchHeader, bad *batchError) {
	size, bad := nextBatchSize(records)
	switch {
	case bad != nil:
		return h, bad
	case size == 0:
		return h, refuseBatch(kerr.InvalidRecord.Code, "no record batch")
	case records[batchMagicEnd-1] != 2:
		return h, refuseBatch(kerr.InvalidRecord.Code, "magic %d, want 2", records[batchMagicEnd-1])
	}
	if more, bad := nextBatchSize(records[size:]); bad != nil || more > 0 {
		if bad == nil {
			bad = refuseBatch(kerr.InvalidRecord.Code, "%d trailing bytes: one batch per partition", len(records)-size)
		}
		return h, bad
	}
	h, err := metadata.ParseBatchHeader(records[:size])
	if err != nil {
		return h, refuseBatch(kerr.CorruptMessage.Code, "%v", err)
	}
	return h, nil
}

// setBatchTimestamp sets a batch's timestamps, with a new CRC if that changed
// anything: the append time, or the true maximum timestamp if the producer's
// header has another one. A producer's own LogAppendTime is not accepted, as in
// Kafka.
func setBatchTimestamp(batch []byte, h *metadata.BatchHeader, now, maxTime metadata.UnixMilli, appendTime bool) {
	claimed := h.Attributes&metadata.AttrLogAppendTime != 0
	if appendTime {
		h.Attributes |= metadata.AttrLogAppendTime
		maxTime = now
	} else {
		h.Attributes &^= metadata.AttrLogAppendTime
	}
	if h.MaxTimestamp == maxTime && !appendTime && !claimed {
		return
	}
	h.MaxTimestamp = maxTime
	binary.BigEndian.PutUint16(batch[21:], h.Attributes)
	binary.BigEndian.PutUint64(batch[35:], uint64(maxTime))
	h.CRC = metadata.BatchCRC(batch)
	binary.BigEndian.PutUint32(batch[17:], h.CRC)
}

// maxRecordErrors bounds the invalid records in a response.
const maxRecordErrors = 100

// recordChecker checks the records of one batch.
type recordChecker struct {
	rules   *batchRules
	header  *metadata.BatchHeader
	now     metadata.UnixMilli
	maxTime metadata.UnixMilli
	index   int32
	refusal *batchError
}

var errBadRecord = errors.New("malformed record")

// checkRecord checks one record, without its length:
//
//	+------------+-----------------+--------------+---------+-------+---------+
//	| attributes | timestamp delta | offset delta | key     | value | headers |
//	| int8       | varlong         | varint       | varint+ | idem  | varint+ |
//	+------------+-----------------+--------------+---------+-------+---------+
func (w *recordChecker) checkRecord(b []byte) error {
	r := recordReader{b: b}
	r.skipBytes(1)
	delta := r.readVarint()
	offset := r.readVarint()
	keyLen := r.readVarint()
	if keyLen > 0 {
		r.skipBytes(keyLen)
	}
	if n := r.readVarint(); n > 0 {
		r.skipBytes(n)
	}
	headers := r.readVarint()
	if headers < 0 {
		return errBadRecord
	}
	for ; headers > 0 && !r.bad; headers-- {
		n := r.readVarint()
		if n < 0 {
			return errBadRecord
		}
		r.skipBytes(n)
		if n = r.readVarint(); n > 0 {
			r.skipBytes(n)
		}
	}
	if r.bad || len(r.b) != 0 || keyLen < -1 {
		return errBadRecord
	}
	if offset != int64(w.index) {
		return fmt.Errorf("%w: offset delta %d at record %d", errBadRecord, offset, w.index)
	}
	w.checkRecordRules(w.header.BaseTimestamp+metadata.UnixMilli(delta), keyLen >= 0)
	w.index++
	return nil
}

// checkRecordRules checks one record against the topic's rules, and adds at
// most one error.
func (w *recordChecker) checkRecordRules(ts metadata.UnixMilli, keyed bool) {
	claimed := w.header.Attributes&metadata.AttrLogAppendTime != 0
	if claimed {
		ts = w.header.MaxTimestamp
	}
	w.maxTime = max(w.maxTime, ts)
	switch {
	case w.rules.compacted && !keyed:
		w.addRecordError(kerr.InvalidRecord.Code, "compacted topic cannot accept message without key")
	case !w.rules.logAppendTime && ts != -1:
		if ts < w.now && uint64(w.now)-uint64(ts) > uint64(w.rules.maxBeforeMs) || ts > w.now && uint64(ts)-uint64(w.now) > uint64(w.rules.maxAfterMs) {
			w.addRecordError(kerr.InvalidTimestamp.Code, fmt.Sprintf("timestamp %d is out of the topic's range at %d", ts, w.now))
		}
	case claimed:
		w.addRecordError(kerr.InvalidTimestamp.Code, "producers may not send batches with LogAppendTime")
	}
}

// addRecordError refuses the batch for a record. A timestamp error takes
// precedence over a missing key, in any order, as in Kafka.
func (w *recordChecker) addRecordError(code int16, text string) {
	if w.refusal == nil {
		w.refusal = &batchError{}
	}
	if len(w.refusal.recordErrors) == 0 || code == kerr.InvalidTimestamp.Code && w.refusal.code != code {
		w.refusal.code, w.refusal.text = code, "one or more records were rejected: "+text
	}
	if len(w.refusal.recordErrors) < maxRecordErrors {
		w.refusal.recordErrors = append(w.refusal.recordErrors, recordError{w.index, text})
	}
}

// recordReader reads the fields of a record.
type recordReader struct {
	b   []byte
	bad bool
}

func (r *recordReader) readVarint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *recordReader) skipBytes(n int64) {
	if n < 0 || n > int64(len(r.b)) {
		r.bad, r.b = true, nil
		return
	}
	r.b = r.b[n:]
}
