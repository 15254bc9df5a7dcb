package s3stream

import (
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/zonewise/zonewise/metadata"
)

// WALDump is the content of a WAL object, as far as it is readable.
type WALDump struct {
	Name   metadata.ObjectName
	Key    string
	Bytes  int64
	Index  Location // zero where the trailer is damaged
	Parts  []PartDump
	Faults []string // what is wrong, in the order in which it was found
	// Scanned: the index could not be read; Parts has one part of whatever
	// batches follow the header, of no known partition.
	Scanned bool
}

// PartDump is one partition's range.
type PartDump struct {
	Partition metadata.TopicPartition
	Location
	CRC     uint32 // as written
	Found   uint32 // as computed
	Batches []BatchDump
}

// BatchDump is one batch.
type BatchDump struct {
	Position int64 // in the object
	Header   metadata.BatchHeader
	Fault    string // "" where it is valid
}

// DescribeWAL reads a whole WAL object, batches included. For a damaged one the
// dump has what could be read, Faults what is wrong, and the error joins the
// faults (ErrCorrupt). It returns ErrVersion where a later version wrote the
// object.
func DescribeWAL(body []byte) (WALDump, error) {
	d := WALDump{Bytes: int64(len(body))}
	o, err := decodeWAL(body)
	if errors.Is(err, ErrVersion) {
		return d, err
	}
	if o != nil {
		d.Name, d.Key, d.Index = o.Name, o.Name.Key(), o.Index
	}
	if err != nil {
		d.addFault("%v", err)
		d.scanBatches(body)
		return d, d.faultError()
	}
	for _, r := range o.Ranges {
		d.dumpPart(body, r)
	}
	return d, d.faultError()
}

func (d *WALDump) addFault(format string, args ...any) {
	d.Faults = append(d.Faults, fmt.Sprintf(format, args...))
}

func (d *WALDump) faultError() error {
	if len(d.Faults) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %d faults, the first: %s", ErrCorrupt, len(d.Faults), d.Faults[0])
}

func (d *WALDump) dumpPart(body []byte, r walRange) {
	p := PartDump{Partition: r.Partition, Location: r.Location, CRC: r.CRC}
	p.Found = crc32.Checksum(body[r.Position:r.Position+r.Length], castagnoli)
	name := fmt.Sprintf("%s/%d", r.Partition.Topic, r.Partition.Partition)
	if p.Found != p.CRC {
		d.addFault("range of %s, bytes %d to %d: checksum %08x, want %08x", name, r.Position, r.Position+r.Length, p.Found, p.CRC)
	}
	at := r.Position
	for _, g := range r.Groups {
		for _, want := range g.Batches {
			b := describeBatch(body[at:at+want.Bytes], at)
			h := b.Header
			if b.Fault == "" && (int64(h.Size) != want.Bytes || h.Offsets() != want.Offsets || h.Producer != g.Producer) {
				b.Fault = fmt.Sprintf("%d bytes, %d offsets, producer %d; the index says %d, %d, %d",
					h.Size, h.Offsets(), h.Producer, want.Bytes, want.Offsets, g.Producer)
			}
			if b.Fault != "" {
				d.addFault("batch of %s at byte %d: %s", name, at, b.Fault)
			}
			p.Batches = append(p.Batches, b)
			at += want.Bytes
		}
	}
	d.Parts = append(d.Parts, p)
}

// scanBatches lists the batches that follow the header, up to the first that is none.
func (d *WALDump) scanBatches(body []byte) {
	d.Scanned = true
	p := PartDump{Location: Location{Position: walHeaderSize}}
	at := int64(walHeaderSize)
	for at < int64(len(body)) {
		b := describeBatch(body[at:], at)
		if b.Header.Size == 0 {
			break
		}
		p.Batches = append(p.Batches, b)
		at += int64(b.Header.Size)
	}
	p.Length = max(at-walHeaderSize, 0)
	if len(p.Batches) > 0 {
		d.Parts = append(d.Parts, p)
		d.addFault("no index: found %d batches from byte %d to %d", len(p.Batches), walHeaderSize, at)
	}
}

func describeBatch(b []byte, at int64) BatchDump {
	h, err := metadata.ParseBatchHeader(b)
	d := BatchDump{Position: at, Header: h}
	if err != nil {
		d.Fault = err.Error()
		return d
	}
	if crc := metadata.BatchCRC(b[:h.Size]); crc != h.CRC {
		d.Fault = fmt.Sprintf("checksum %08x, want %08x", crc, h.CRC)
	}
	return d
}
