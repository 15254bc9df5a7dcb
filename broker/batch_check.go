package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/zonewise/zonewise/metadata"
)

// batchRules are a topic's rules for batches, from its configs.
type batchRules struct {
	maxBytes     int
	segmentBytes int
	compacted    bool  // a record without key is refused
	appendTime   bool  // message.timestamp.type=LogAppendTime
	beforeMs     int64 // how old a timestamp may be
	afterMs      int64 // how far ahead of now
	codec        int   // compression.type, or codecProducer
	level        int   // of that codec; 0: its default
}

// batchError is why a batch is refused. It is final: the same batch would be
// refused again.
type batchError struct {
	code    int16
	text    string
	records []recordError // which records are to blame
	// early: judged before Kafka looks at the partition, whose log start is
	// then not answered.
	early bool
}

type recordError struct {
	index int32
	text  string
}

func (e *batchError) Error() string { return e.text }

func refuse(code int16, format string, args ...any) *batchError {
	return &batchError{code: code, text: fmt.Sprintf(format, args...)}
}

// checkBatch judges what a producer sent for one partition, in the order in
// which Kafka does, as far as the state has no say. It returns the batch as it
// is to be stored: timestamps may have been set (then the CRC is new), and
// the bytes packed anew if the topic wants another compression. The bytes it
// is given are changed in place.
//
// What apply judges (sequences, epochs) is not looked at here.
func (cs *codecs) checkBatch(records []byte, version int16, now metadata.UnixMilli, rules batchRules) ([]byte, metadata.BatchHeader, *batchError) {
	h, err := soleBatch(records)
	if err != nil {
		return nil, h, err
	}
	records = records[:h.Size]
	codec := int(h.Attributes & metadata.AttrCompression)
	switch {
	case codec == codecZstd && version < 7:
		bad := refuse(errCompression, "zstd needs Produce version 7")
		bad.early = true
		return nil, h, bad
	case h.BaseOffset != 0:
		return nil, h, refuse(errInvalidRecord, "base offset %d, want 0", h.BaseOffset)
	case len(records) > rules.maxBytes:
		return nil, h, refuse(errMessageTooLarge, "batch of %d bytes, max.message.bytes is %d", len(records), rules.maxBytes)
	case metadata.BatchCRC(records) != h.CRC:
		return nil, h, refuse(errCorruptMessage, "CRC-32C of the batch is wrong")
	case codec > codecZstd:
		return nil, h, refuse(errInvalidRecord, "compression %d is not known", codec)
	case h.RecordCount <= 0 || h.Offsets() != int64(h.RecordCount):
		return nil, h, refuse(errInvalidRecord, "%d records with last offset delta %d", h.RecordCount, h.LastOffsetDelta)
	case h.Attributes&metadata.AttrControl != 0:
		return nil, h, refuse(errInvalidRecord, "clients may not write control batches")
	case h.Producer < metadata.NoProducer || h.Producer >= 0 && (h.BaseSequence < 0 || h.Epoch < 0):
		return nil, h, refuse(errInvalidRecord, "producer %d epoch %d with base sequence %d", h.Producer, h.Epoch, h.BaseSequence)
	}
	w := walk{rules: &rules, header: &h, now: now, maxTime: math.MinInt64}
	if err := cs.walk(records[metadata.BatchHeaderSize:], codec, &w); err != nil {
		return nil, h, err
	}
	if len(records) > rules.segmentBytes {
		return nil, h, refuse(errRecordListTooLarge, "batch of %d bytes, segment.bytes is %d", len(records), rules.segmentBytes)
	}
	stampBatch(records, &h, now, w.maxTime, rules.appendTime)
	return cs.repack(records, h, codec, &rules)
}

// The first bytes of a batch, up to its magic, and what Kafka takes for the
// least that can stand behind base offset and length.
const (
	batchLengthEnd = 12
	batchMagicEnd  = 17
	leastBatchRest = 14
)

// nextBatch returns how long the batch is that records begin with; 0 where
// there is no whole one. What begins like no batch at all is corrupt.
func nextBatch(records []byte) (int, *batchError) {
	if len(records) < batchLengthEnd {
		return 0, nil
	}
	rest := int64(int32(binary.BigEndian.Uint32(records[batchLengthEnd-4:])))
	switch {
	case rest < leastBatchRest:
		return 0, refuse(errCorruptMessage, "batch of %d bytes behind its length", rest)
	case len(records) < batchMagicEnd:
		return 0, nil
	case records[batchMagicEnd-1] > 2:
		return 0, refuse(errCorruptMessage, "magic %d, want 2", int8(records[batchMagicEnd-1]))
	case rest+batchLengthEnd > int64(len(records)):
		return 0, nil
	}
	return int(rest) + batchLengthEnd, nil
}

// soleBatch finds the only batch in records and reads its header. Bytes behind
// it that begin no other are not stored, as in Kafka.
func soleBatch(records []byte) (metadata.BatchHeader, *batchError) {
	h, err := findSole(records)
	if err != nil {
		err.early = true
	}
	return h, err
}

func findSole(records []byte) (h metadata.BatchHeader, bad *batchError) {
	size, bad := nextBatch(records)
	switch {
	case bad != nil:
		return h, bad
	case size == 0:
		return h, refuse(errInvalidRecord, "no batch")
	case records[batchMagicEnd-1] != 2:
		return h, refuse(errInvalidRecord, "magic %d, want 2", records[batchMagicEnd-1])
	}
	if more, bad := nextBatch(records[size:]); bad != nil || more > 0 {
		if bad == nil {
			bad = refuse(errInvalidRecord, "%d bytes behind the batch: one batch per partition", len(records)-size)
		}
		return h, bad
	}
	h, err := metadata.ParseBatchHeader(records[:size])
	if err != nil {
		return h, refuse(errCorruptMessage, "%v", err)
	}
	return h, nil
}

// stampBatch writes what the broker says of time into a batch, and its new CRC
// where that changed anything: the time of append, or the true greatest
// timestamp where the producer's header names another. A producer that calls
// its own times those of appending is not believed, as by Kafka.
func stampBatch(batch []byte, h *metadata.BatchHeader, now, maxTime metadata.UnixMilli, appendTime bool) {
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

// maxRecordErrors bounds how many records an answer blames.
const maxRecordErrors = 100

// walk goes over the records of one batch.
type walk struct {
	rules   *batchRules
	header  *metadata.BatchHeader
	now     metadata.UnixMilli
	maxTime metadata.UnixMilli
	index   int32
	bad     *batchError
}

var errRecord = errors.New("record cannot be read")

// record judges one record: what stands behind its length.
//
//	+------------+-----------------+--------------+---------+-------+---------+
//	| attributes | timestamp delta | offset delta | key     | value | headers |
//	| int8       | varlong         | varint       | varint+ | idem  | varint+ |
//	+------------+-----------------+--------------+---------+-------+---------+
func (w *walk) record(b []byte) error {
	r := recordReader{b: b}
	r.bytes(1)
	delta := r.varint()
	offset := r.varint()
	keyLen := r.varint()
	if keyLen > 0 {
		r.bytes(keyLen)
	}
	if n := r.varint(); n > 0 {
		r.bytes(n)
	}
	headers := r.varint()
	if headers < 0 {
		return errRecord
	}
	for ; headers > 0 && !r.bad; headers-- {
		n := r.varint()
		if n < 0 {
			return errRecord
		}
		r.bytes(n)
		if n = r.varint(); n > 0 {
			r.bytes(n)
		}
	}
	if r.bad || len(r.b) != 0 || keyLen < -1 {
		return errRecord
	}
	if offset != int64(w.index) {
		return fmt.Errorf("%w: offset delta %d at record %d", errRecord, offset, w.index)
	}
	w.judge(w.header.BaseTimestamp+metadata.UnixMilli(delta), keyLen >= 0)
	w.index++
	return nil
}

// judge holds one record against the topic's rules, and blames it once at most.
func (w *walk) judge(ts metadata.UnixMilli, keyed bool) {
	claimed := w.header.Attributes&metadata.AttrLogAppendTime != 0
	if claimed {
		ts = w.header.MaxTimestamp
	}
	w.maxTime = max(w.maxTime, ts)
	switch {
	case w.rules.compacted && !keyed:
		w.blame(errInvalidRecord, "compacted topic cannot accept message without key")
	case !w.rules.appendTime && ts != -1:
		if ts < w.now && uint64(w.now)-uint64(ts) > uint64(w.rules.beforeMs) || ts > w.now && uint64(ts)-uint64(w.now) > uint64(w.rules.afterMs) {
			w.blame(errInvalidTimestamp, fmt.Sprintf("timestamp %d is out of the topic's range at %d", ts, w.now))
		}
	case claimed:
		w.blame(errInvalidTimestamp, "producers may not send batches of log append time")
	}
}

// blame refuses the batch for a record. A time that is wrong outweighs a key
// that is missing, whichever comes first, as in Kafka.
func (w *walk) blame(code int16, text string) {
	if w.bad == nil {
		w.bad = &batchError{}
	}
	if len(w.bad.records) == 0 || code == errInvalidTimestamp && w.bad.code != code {
		w.bad.code, w.bad.text = code, "one or more records were rejected: "+text
	}
	if len(w.bad.records) < maxRecordErrors {
		w.bad.records = append(w.bad.records, recordError{w.index, text})
	}
}

// recordReader reads the parts of a record.
type recordReader struct {
	b   []byte
	bad bool
}

func (r *recordReader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *recordReader) bytes(n int64) {
	if n < 0 || n > int64(len(r.b)) {
		r.bad, r.b = true, nil
		return
	}
	r.b = r.b[n:]
}
