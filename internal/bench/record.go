package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"time"
)

// A record's value. Numbers are big-endian; the checksum covers all but itself.
//
//	+--------+-----+----------+--------------------+---------+--------+------------+
//	| "ZWB1" | run | producer | number within its  | due at, | CRC32C | filler ... |
//	|        | 8   | 4        | partition 8        | unix ns | 4      |            |
//	+--------+-----+----------+--------------------+---------+--------+------------+
const (
	recordMagic = "ZWB1"
	headerBytes = 36
	crcAt       = 32
)

// recordStamp is the metadata that a record carries.
type recordStamp struct {
	run      uint64
	producer uint32
	number   uint64 // of this producer's records of this partition, from 0
	due      time.Time
}

var (
	errForeign = errors.New("not a record of zonewise bench")
	errChanged = errors.New("record was altered")
)

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// encode fills a value whose filler is there already.
func (s *recordStamp) encode(value []byte, table *crc32.Table) {
	copy(value, recordMagic)
	binary.BigEndian.PutUint64(value[4:], s.run)
	binary.BigEndian.PutUint32(value[12:], s.producer)
	binary.BigEndian.PutUint64(value[16:], s.number)
	binary.BigEndian.PutUint64(value[24:], uint64(s.due.UnixNano()))
	binary.BigEndian.PutUint32(value[crcAt:], checksum(value, table))
}

func checksum(value []byte, table *crc32.Table) uint32 {
	return crc32.Update(crc32.Checksum(value[:crcAt], table), table, value[headerBytes:])
}

func (s *recordStamp) decode(value []byte, table *crc32.Table) error {
	if len(value) < headerBytes || string(value[:4]) != recordMagic {
		return errForeign
	}
	if want, got := binary.BigEndian.Uint32(value[crcAt:]), checksum(value, table); want != got {
		return fmt.Errorf("%w: checksum %08x, want %08x", errChanged, got, want)
	}
	s.run = binary.BigEndian.Uint64(value[4:])
	s.producer = binary.BigEndian.Uint32(value[12:])
	s.number = binary.BigEndian.Uint64(value[16:])
	s.due = time.Unix(0, int64(binary.BigEndian.Uint64(value[24:])))
	return nil
}

// filler makes values that compress to about half, as business data does.
type filler struct{ pool []byte }

const fillerPool = 4 << 20

func newFiller(seed uint64, size int) *filler {
	source := rand.New(rand.NewPCG(seed, 1))
	pool := make([]byte, max(fillerPool, 2*size))
	for i := 0; i+8 <= len(pool); i += 16 { // every other 8 bytes stay zero
		binary.BigEndian.PutUint64(pool[i:], source.Uint64())
	}
	return &filler{pool}
}

func (f *filler) newValue(source *rand.Rand, size int) []byte {
	at := source.IntN(len(f.pool) - size + 1)
	return append(make([]byte, 0, size), f.pool[at:at+size]...)
}
