// Package framing draws bodies of compressed batches: every way in which the
// formats of gzip, snappy, lz4 and zstd let the same records be packed, and ways
// in which they do not. What a broker takes, every consumer must be able to read;
// the tests that use it compare broker and readers.
//
//	Draw(seed, index) ──> Case: codec, body, and the parts that it is made of
//
// A case depends on its seed and index alone (and on the versions of the packers
// in go.mod), so that one that fails is drawn again by itself.
package framing

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Codecs, as the attributes of a batch number them.
const (
	Gzip = 1 + iota
	Snappy
	LZ4
	Zstd
)

// Records is how many records each batch holds.
const Records = 5

// Case is one body of a batch.
type Case struct {
	Index int // that it was drawn by
	Codec int
	Body  []byte
	Parts []string // what it is made of, beyond what every body of its codec has
}

// String names a case for people.
func (c Case) String() string {
	return fmt.Sprintf("case %d, %s: %s", c.Index, CodecName(c.Codec), strings.Join(c.Parts, ", "))
}

// CodecName is how Kafka's configs call a codec.
func CodecName(codec int) string { return [...]string{"none", "gzip", "snappy", "lz4", "zstd"}[codec] }

// Has reports whether one of the parts is in it.
func (c Case) Has(parts ...string) bool {
	return slices.ContainsFunc(parts, func(p string) bool { return slices.Contains(c.Parts, p) })
}

// Batch is a batch of so many records, with that body.
func Batch(codec, records int, body []byte) []byte {
	b := kmsg.RecordBatch{PartitionLeaderEpoch: -1, Magic: 2, Attributes: int16(codec), LastOffsetDelta: int32(records - 1),
		FirstTimestamp: 1_700_000_000_000, MaxTimestamp: 1_700_000_000_000, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1,
		NumRecords: int32(records), Records: body}
	b.Length = int32(len(b.AppendTo(nil)) - 12)
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

// Draw draws a case. The codecs take turns.
func Draw(seed uint64, index int) Case {
	d := &drawer{Rand: rand.New(rand.NewPCG(seed, uint64(index)))}
	d.budget = [...]int{0, 0, 0, 0, 1, 1, 1, 1, 1, 2}[d.IntN(10)]
	codec := Gzip + index%4
	body := [...]func() []byte{Gzip: d.gzip, Snappy: d.snappy, LZ4: d.lz4, Zstd: d.zstd}[codec]()
	return Case{index, codec, d.damage(body), d.parts}
}

// drawer draws the parts of one case.
type drawer struct {
	*rand.Rand
	parts  []string
	budget int // of faults that the case may still have
}

// note tells of a part.
func (d *drawer) note(part string) {
	if !slices.Contains(d.parts, part) {
		d.parts = append(d.parts, part)
	}
}

// one is true once in n times.
func (d *drawer) one(n int) bool { return d.IntN(n) == 0 }

func (d *drawer) pick(from ...int) int { return from[d.IntN(len(from))] }

// with draws whether a case has a part that its format allows.
func (d *drawer) with(n int, part string) bool {
	if !d.one(n) {
		return false
	}
	d.note(part)
	return true
}

// fault draws whether a case has a part that its format does not allow.
func (d *drawer) fault(n int, part string) bool {
	if d.budget == 0 || !d.with(n, part) {
		return false
	}
	d.budget--
	return true
}

// some are n bytes, most often without 0.
func (d *drawer) some(n int) []byte {
	out := bytes.Repeat([]byte{byte(1 + d.IntN(255))}, n)
	if d.one(2) {
		for i := range out {
			out[i] = byte(1 + d.IntN(255))
		}
	}
	return out
}

// plain draws the records of a batch.
func (d *drawer) plain() []byte {
	return d.plainOf(d.pick(0, 10, 100, 2000, 9000, 20_000, 70_000, 140_000))
}

// plainOf is Records records of about so many bytes in all.
func (d *drawer) plainOf(size int) (plain []byte) {
	kind := d.IntN(4)
	for i := range Records {
		n := size / Records
		value := bytes.Repeat(fmt.Appendf(nil, "record %d, ", i), n/10+1)[:n]
		switch {
		case kind == 1 || kind == 2 && i%2 == 0:
			for k := range value {
				value[k] = byte(d.Uint32())
			}
		case kind == 3:
			clear(value)
		}
		r := kmsg.Record{OffsetDelta: int32(i), Value: value}
		r.Length = int32(len(r.AppendTo(nil)) - 1) // a varint of one byte stands for 0
		plain = r.AppendTo(plain)
	}
	return plain
}

// split cuts plain into at most so many pieces, of which some may be empty.
func (d *drawer) split(plain []byte, most int) (pieces [][]byte) {
	for range d.IntN(most) {
		at := d.IntN(len(plain) + 1)
		if d.one(5) {
			at = 0
		}
		pieces, plain = append(pieces, plain[:at]), plain[at:]
	}
	return append(pieces, plain)
}

// damage cuts a body or flips bits of it.
func (d *drawer) damage(body []byte) []byte {
	body = bytes.Clone(body)
	if len(body) > 0 && d.fault(6, "cut") {
		body = body[:d.near(len(body))]
	}
	if len(body) > 0 && d.fault(3, "flipped") {
		for range 1 + d.IntN(2) {
			body[d.near(len(body))] ^= 1 << d.IntN(8)
		}
	}
	return body
}

// near draws an index below n, most often close to either end: headers and
// trailers are there.
func (d *drawer) near(n int) int {
	switch d.IntN(3) {
	case 0:
		return d.IntN(min(n, 24))
	case 1:
		return n - 1 - d.IntN(min(n, 16))
	}
	return d.IntN(n)
}

// match finds what repeats at plain[at:]: how far back, how long, within bounds.
func match(plain []byte, at int) (offset, length int) {
	for back := 1; back <= min(at, 16); back++ {
		n := 0
		for n < 1100 && at+n < len(plain) && plain[at+n] == plain[at+n-back] {
			n++
		}
		if n > length {
			offset, length = back, n
		}
	}
	return offset, length
}
