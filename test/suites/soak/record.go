package soak

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
)

// RecordID identifies a record: the n-th, from 0, of a producer on a partition. Each
// producer writes to one topic.
type RecordID struct {
	Producer  uint32
	Partition int32
	Seq       int64
}

// String returns the id in reports.
func (id RecordID) String() string {
	return fmt.Sprintf("record %d of producer %d on partition %d", id.Seq, id.Producer, id.Partition)
}

// The head of a value: magic, then the id and the value's length, all big endian.
const (
	recordMagic = 0x534f414b // "SOAK"
	headBytes   = 4 + 4 + 4 + 8 + 4
	fillerBytes = 1 << 20
)

// ErrValue says that a key or value is not what any producer has written.
var ErrValue = errors.New("it was never written like this")

// RecordSource makes keys and values, each a function of its id, and compares what is
// read with them byte by byte. It is not changed after NewRecordSource.
type RecordSource struct{ filler []byte }

// NewRecordSource returns a source; values of sources of one seed are the same.
func NewRecordSource(seed uint64) *RecordSource {
	s := &RecordSource{make([]byte, 2*fillerBytes)}
	r := rand.New(rand.NewPCG(seed, 0))
	for i := 0; i < len(s.filler); i += 8 {
		binary.BigEndian.PutUint64(s.filler[i:], r.Uint64())
	}
	return s
}

// MaxValue is the largest value of a source, in bytes.
const MaxValue = headBytes + fillerBytes

// Key returns a record's key.
func (s *RecordSource) Key(id RecordID) []byte {
	key := make([]byte, 0, 12)
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(key, id.Producer), uint64(id.Seq))
}

// Value returns a record's value, of headBytes to MaxValue bytes.
func (s *RecordSource) Value(id RecordID, size int) []byte {
	v := make([]byte, headBytes, size)
	binary.BigEndian.PutUint32(v, recordMagic)
	binary.BigEndian.PutUint32(v[4:], id.Producer)
	binary.BigEndian.PutUint32(v[8:], uint32(id.Partition))
	binary.BigEndian.PutUint64(v[12:], uint64(id.Seq))
	binary.BigEndian.PutUint32(v[20:], uint32(size))
	return append(v, s.fill(id, size)...)
}

// fill returns what follows the head: a piece of the filler at a place that differs
// from record to record.
func (s *RecordSource) fill(id RecordID, size int) []byte {
	at := (uint64(id.Seq)*0x9e3779b97f4a7c15 ^ uint64(id.Producer)<<17 ^ uint64(uint32(id.Partition))<<5) % fillerBytes
	return s.filler[at : at+uint64(size-headBytes)]
}

// ParseRecord returns the id of a record that was read, if each byte of it is what its
// producer wrote.
func (s *RecordSource) ParseRecord(key, value []byte) (RecordID, error) {
	if len(value) < headBytes || binary.BigEndian.Uint32(value) != recordMagic {
		return RecordID{}, fmt.Errorf("a value of %d bytes without a head: %w", len(value), ErrValue)
	}
	id := RecordID{binary.BigEndian.Uint32(value[4:]), int32(binary.BigEndian.Uint32(value[8:])), int64(binary.BigEndian.Uint64(value[12:]))}
	size := int(binary.BigEndian.Uint32(value[20:]))
	switch {
	case size != len(value) || size > MaxValue:
		return id, fmt.Errorf("%v: %d bytes, %d were written: %w", id, len(value), size, ErrValue)
	case !bytes.Equal(value[headBytes:], s.fill(id, size)):
		return id, fmt.Errorf("%v: its value differs: %w", id, ErrValue)
	case !bytes.Equal(key, s.Key(id)):
		return id, fmt.Errorf("%v: its key is %x: %w", id, key, ErrValue)
	}
	return id, nil
}
