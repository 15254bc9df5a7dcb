package metadata

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Layout of a Kafka record batch of magic 2 (KIP-98), big-endian. Neither the
// base offset, the length, the leader epoch nor the magic is covered by the
// CRC, so a broker may write the first and third when it serves a batch.
//
//	0        8       12            16  17     21      23               27
//	+--------+-------+-------------+---+------+-------+----------------+
//	| base   | length| leader epoch|mag| crc  | attrs | last off delta |
//	| offset | of the|             | 2 | 32C  |       |                |
//	|        | rest  |             |   |      |       |                |
//	+--------+-------+-------------+---+------+-------+----------------+
//	27            35            43          51      53          57      61
//	+-------------+-------------+-----------+-------+-----------+-------+-----
//	| base        | max         | producer  | epoch | base      | record| records
//	| timestamp   | timestamp   | id        |       | sequence  | count |
//	+-------------+-------------+-----------+-------+-----------+-------+-----
const (
	// BatchHeaderSize is the bytes before a batch's records.
	BatchHeaderSize = 61
	// BatchPrefixSize is the bytes of a batch that its length field leaves out.
	BatchPrefixSize = 12

	// AttrTransactional is the attribute bit of a transactional batch.
	AttrTransactional = 1 << 4
	// AttrControl is the attribute bit of a control batch.
	AttrControl = 1 << 5
	// AttrLogAppendTime is the attribute bit of log append time.
	AttrLogAppendTime = 1 << 3
	// AttrCompression masks the codec: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
	AttrCompression = 0x07
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// BatchHeader is the part of a batch before its records.
type BatchHeader struct {
	BaseOffset      Offset
	Size            int // of the whole batch, prefix included
	LeaderEpoch     LeaderEpoch
	CRC             uint32
	Attributes      uint16
	LastOffsetDelta int32
	BaseTimestamp   UnixMilli
	MaxTimestamp    UnixMilli
	Producer        ProducerID
	Epoch           ProducerEpoch
	BaseSequence    Sequence
	RecordCount     int32
}

// Offsets is how many offsets the batch has: last offset delta + 1.
func (h BatchHeader) Offsets() int64 { return int64(h.LastOffsetDelta) + 1 }

// Transactional reports the transactional bit.
func (h BatchHeader) Transactional() bool { return h.Attributes&AttrTransactional != 0 }

// ParseBatchHeader reads the header at the start of b. It checks only that the
// whole batch is there and that its magic is 2.
func ParseBatchHeader(b []byte) (BatchHeader, error) {
	if len(b) < BatchHeaderSize {
		return BatchHeader{}, fmt.Errorf("parse batch header: %d bytes, want at least %d", len(b), BatchHeaderSize)
	}
	if b[16] != 2 {
		return BatchHeader{}, fmt.Errorf("parse batch header: magic %d, want 2", b[16])
	}
	be := binary.BigEndian
	length := int64(int32(be.Uint32(b[8:])))
	if length < BatchHeaderSize-BatchPrefixSize || length+BatchPrefixSize > int64(len(b)) {
		return BatchHeader{}, fmt.Errorf("parse batch header: length %d with %d bytes available", length, len(b))
	}
	return BatchHeader{
		BaseOffset:      Offset(be.Uint64(b)),
		Size:            int(length) + BatchPrefixSize,
		LeaderEpoch:     LeaderEpoch(be.Uint32(b[12:])),
		CRC:             be.Uint32(b[17:]),
		Attributes:      be.Uint16(b[21:]),
		LastOffsetDelta: int32(be.Uint32(b[23:])),
		BaseTimestamp:   UnixMilli(be.Uint64(b[27:])),
		MaxTimestamp:    UnixMilli(be.Uint64(b[35:])),
		Producer:        ProducerID(be.Uint64(b[43:])),
		Epoch:           ProducerEpoch(be.Uint16(b[51:])),
		BaseSequence:    Sequence(be.Uint32(b[53:])),
		RecordCount:     int32(be.Uint32(b[57:])),
	}, nil
}

// BatchCRC computes the CRC-32C of a whole batch, from its attributes on.
func BatchCRC(batch []byte) uint32 { return crc32.Checksum(batch[21:], castagnoli) }

// PatchBatch writes the base offset and leader epoch into a batch's header.
func PatchBatch(batch []byte, base Offset, epoch LeaderEpoch) {
	binary.BigEndian.PutUint64(batch, uint64(base))
	binary.BigEndian.PutUint32(batch[12:], uint32(epoch))
}
