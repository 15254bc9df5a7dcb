package s3stream

import (
	"hash/crc32"
	"testing"

	"github.com/zonewise/zonewise/metadata"
)

// BenchmarkRead reads 1 MiB at a time of a partition of 1 KiB records in
// batches of 16 KiB, from each place.
func BenchmarkRead(b *testing.B) {
	for _, from := range []Source{FromTail, FromBlock} {
		b.Run(from.String(), func(b *testing.B) {
			w := newWorld(b, 1)
			s := w.store(w.mem, func(c *Config) { c.TailBytes = 64 << 20 })
			defer s.Close()
			owner := s
			if from == FromBlock {
				owner = nil
			}
			for range 4 {
				p := ObjectPart{Partition: part(0)}
				for range 400 {
					p.Batches = append(p.Batches, makeBatch(batchSpec{producer: -1, records: 16, size: 1024}))
				}
				w.commitObject(owner, []ObjectPart{p})
			}
			end := w.end(part(0))
			b.SetBytes(1 << 20)
			b.ReportAllocs()
			var at metadata.Offset
			for b.Loop() {
				r, err := s.Read(b.Context(), ReadRequest{Partition: part(0), From: at, MaxBytes: 1 << 20, MinOne: true, Until: end})
				if err != nil {
					b.Fatal(err)
				}
				if at = r.Next; at >= end {
					at = 0
				}
			}
		})
	}
}

func BenchmarkEncodeWAL(b *testing.B) {
	var parts []ObjectPart
	size := 0
	for n := range 8 {
		p := ObjectPart{Partition: part(n)}
		for range 64 {
			p.Batches = append(p.Batches, makeBatch(batchSpec{producer: -1, records: 16, size: 1024}))
			size += len(p.Batches[0])
		}
		parts = append(parts, p)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := EncodeWAL(metadata.ObjectName{Session: 1}, parts); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkChecksum is what an upload computes of the body it sends.
func BenchmarkChecksum(b *testing.B) {
	var parts []ObjectPart
	for n := range 8 {
		p := ObjectPart{Partition: part(n)}
		for range 64 {
			p.Batches = append(p.Batches, makeBatch(batchSpec{producer: -1, records: 16, size: 1024}))
		}
		parts = append(parts, p)
	}
	body, _, err := EncodeWAL(metadata.ObjectName{Session: 1}, parts)
	if err != nil {
		b.Fatal(err)
	}
	for name, sum := range map[string]func([]byte) (uint32, error){
		"whole":    func(body []byte) (uint32, error) { return crc32.Checksum(body, castagnoli), nil },
		"combined": checksumWAL,
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := sum(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
