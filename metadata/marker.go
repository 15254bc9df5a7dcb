package metadata

import (
	"encoding/binary"
	"hash/crc32"
)

// A transaction's end is a control batch on each of its partitions (KIP-98).
// It has one offset and no bytes of any object: its span has its fields, and every
// broker builds the same bytes when it serves them.
//
// The offsets that a recovery skips end with such a batch, too: without it a
// consumer at the old end would stay there, below the high watermark with nothing
// to read. Clients skip control batches, and have the new end as their position
// then. It commits a transaction of no producer, which every client ignores.
//
//	0                  61     62    63     64     65    66       70     71          77
//	+------------------+------+-----+------+------+-----+---------+------+-----------+---+
//	| batch header,    |length|attrs|ts    |offset| key | version | value| version 0 | 0 |
//	| bits 4, 5 of the | 16   | 0   |delta | delta| len | 0, type | len  | coord.    |   |
//	| attributes set   |      |     |  0   |  0   | 4   |   0/1   | 6    | epoch 0   |   |
//	+------------------+------+-----+------+------+-----+---------+------+-----------+---+
const (
	// MarkerAbort and MarkerCommit are Span.Object of a transaction's marker,
	// MarkerRecovery is that of the last offset that a recovery skips.
	MarkerAbort    = -2
	MarkerCommit   = -3
	MarkerRecovery = -4
	// MarkerSize is the bytes of a marker's batch.
	MarkerSize = BatchHeaderSize + 17
)

// Marker reports whether the span is one control batch: a transaction's end, or
// that of a recovery's gap. Position is its producer id.
func (s Span) Marker() bool { return s.Object <= MarkerAbort }

// MarkerBatch builds the control batch of a marker span. appendTime is set for
// topics with append timestamps: Kafka sets the attribute in markers, too.
func MarkerBatch(sp Span, appendTime bool) []byte {
	b := make([]byte, MarkerSize)
	be := binary.BigEndian
	be.PutUint64(b, uint64(sp.First))
	be.PutUint32(b[8:], MarkerSize-BatchPrefixSize)
	b[16] = 2
	attributes := uint16(AttrTransactional | AttrControl)
	if sp.Object == MarkerRecovery {
		attributes = AttrControl
	}
	if appendTime {
		attributes |= AttrLogAppendTime
	}
	be.PutUint16(b[21:], attributes)
	be.PutUint64(b[27:], uint64(sp.MaxTimestamp))
	be.PutUint64(b[35:], uint64(sp.MaxTimestamp))
	be.PutUint64(b[43:], uint64(sp.Position))
	be.PutUint16(b[51:], uint16(sp.Epoch))
	be.PutUint32(b[53:], 0xffffffff) // base sequence -1
	be.PutUint32(b[57:], 1)
	r := b[BatchHeaderSize:]
	r[0], r[4], r[9] = 16<<1, 4<<1, 6<<1 // zigzag
	if sp.Object != MarkerAbort {
		r[8] = 1
	}
	be.PutUint32(b[17:], crc32.Checksum(b[21:], castagnoli))
	return b
}
