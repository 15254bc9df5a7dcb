package s3stream

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"hash/crc32"
	"os"
	"strings"
	"testing"

	"github.com/zonewise/zonewise/metadata"
)

var rewrite = flag.Bool("rewrite", false, "write golden files anew")

func goldenParts() (metadata.ObjectName, []ObjectPart) {
	name := metadata.ObjectName{Session: 1041, Lane: metadata.LaneLow, Number: 7, Try: 1}
	return name, []ObjectPart{
		{Partition: part(1), Batches: [][]byte{
			makeBatch(batchSpec{producer: 9, seq: 0, records: 2, size: 3, ts: 1000, fill: 'a'}),
			makeBatch(batchSpec{producer: 9, seq: 2, records: 1, size: 1, ts: 1001, fill: 'b'}),
			makeBatch(batchSpec{producer: -1, seq: -1, records: 1, size: 2, ts: 1002, fill: 'c'})}},
		{Partition: part(0), Batches: [][]byte{makeBatch(batchSpec{producer: 10, seq: 5, records: 1, size: 0, ts: 1003})}},
	}
}

func TestWALObjectHasItsGoldenBytes(t *testing.T) {
	name, parts := goldenParts()
	body, at, err := EncodeWAL(name, parts)
	if err != nil {
		t.Fatal(err)
	}
	got := hex.Dump(body)
	if *rewrite {
		if err := os.WriteFile("testdata/wal-object.txt", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/wal-object.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the format moved:\n%s", got)
	}
	for i, p := range parts {
		if whole := bytes.Join(p.Batches, nil); !bytes.Equal(body[at[i].Position:at[i].Position+at[i].Length], whole) {
			t.Errorf("part %d is not at %+v", i, at[i])
		}
	}
}

func TestDescribeTellsWhatWasEncoded(t *testing.T) {
	name, parts := goldenParts()
	body, at, _ := EncodeWAL(name, parts)
	d, err := DescribeWAL(body)
	if err != nil || d.Name != name || d.Key != name.Key() || len(d.Parts) != len(parts) || len(d.Faults) != 0 {
		t.Fatalf("%+v, %v", d, err)
	}
	for i, p := range d.Parts {
		if p.Partition != parts[i].Partition || p.Location != at[i] || len(p.Batches) != len(parts[i].Batches) || p.CRC != p.Found {
			t.Errorf("part %d: %+v", i, p)
		}
	}
}

func TestEveryDamagedByteIsNoticed(t *testing.T) {
	name, parts := goldenParts()
	body, _, _ := EncodeWAL(name, parts)
	for i := range body {
		for _, bit := range []byte{1, 0x80} {
			bad := bytes.Clone(body)
			bad[i] ^= bit
			d, err := DescribeWAL(bad)
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Fatalf("byte %d: %v", i, err)
			}
			if errors.Is(err, ErrCorrupt) && len(d.Faults) == 0 {
				t.Fatalf("byte %d: no fault named", i)
			}
		}
	}
	for n := range body {
		if _, err := DescribeWAL(body[:n]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
}

func TestDescribeNamesTheDamagedBatchAndScansWithoutIndex(t *testing.T) {
	name, parts := goldenParts()
	body, at, _ := EncodeWAL(name, parts)
	bad := bytes.Clone(body)
	bad[at[0].Position+70] ^= 1
	d, err := DescribeWAL(bad)
	if err == nil || len(d.Faults) != 2 || !strings.Contains(d.Faults[1], "batch of") || d.Parts[0].Batches[0].Fault == "" || d.Parts[0].Batches[1].Fault != "" {
		t.Errorf("%v: %q", err, d.Faults)
	}
	d, err = DescribeWAL(body[:len(body)-1])
	if !errors.Is(err, ErrCorrupt) || !d.Scanned || len(d.Parts[0].Batches) != 4 || d.Name != name {
		t.Errorf("%v: %+v", err, d)
	}
}

func TestLaterVersionIsItsOwnError(t *testing.T) {
	name, parts := goldenParts()
	body, _, _ := EncodeWAL(name, parts)
	binary.BigEndian.PutUint16(body[4:], 2)
	if _, err := DescribeWAL(body); !errors.Is(err, ErrVersion) || errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
}

func TestEncodeRefusesWhatCannotBeRead(t *testing.T) {
	name, good := goldenParts()
	b := makeBatch(batchSpec{producer: -1, records: 1})
	for what, parts := range map[string][]ObjectPart{
		"nothing":         nil,
		"empty part":      {{Partition: part(0)}},
		"cut batch":       {{Partition: part(0), Batches: [][]byte{b[:60]}}},
		"two in one":      {{Partition: part(0), Batches: [][]byte{append(bytes.Clone(b), b...)}}},
		"partition twice": {good[0], good[0]},
		"partition -1":    {{Partition: part(-1), Batches: [][]byte{b}}},
	} {
		if _, _, err := EncodeWAL(name, parts); err == nil {
			t.Errorf("%s: encoded", what)
		}
	}
	if _, _, err := EncodeWAL(metadata.ObjectName{}, good); err == nil {
		t.Error("no name: encoded")
	}
}

func FuzzDescribeWAL(f *testing.F) {
	name, parts := goldenParts()
	body, _, _ := EncodeWAL(name, parts)
	f.Add(body)
	f.Add(body[:40])
	f.Fuzz(func(t *testing.T, b []byte) {
		mend(b)
		d, err := DescribeWAL(b)
		if (err == nil) != (len(d.Faults) == 0) && !errors.Is(err, ErrVersion) {
			t.Fatalf("%v with faults %q", err, d.Faults)
		}
	})
}

// mend makes the CRCs of trailer and index right, so that the fuzzer gets past
// them.
func mend(b []byte) {
	start := len(b) - walTrailerSize
	if start < walHeaderSize {
		return
	}
	be := binary.BigEndian
	at := be.Uint64(b[start:])
	if at > uint64(start) {
		return
	}
	be.PutUint32(b[start+8:], uint32(uint64(start)-at))
	be.PutUint32(b[start+12:], crc32.Checksum(b[at:start], castagnoli))
	be.PutUint64(b[start+16:], uint64(len(b)))
	be.PutUint32(b[start+24:], crc32.Checksum(b[:walHeaderSize], castagnoli))
	be.PutUint32(b[start+28:], crc32.Checksum(b[start:start+28], castagnoli))
}

func TestTheChecksumOfAnObjectIsPutTogetherFromItsRanges(t *testing.T) {
	w := newWorld(t, 21)
	for range 50 {
		name := w.nextName()
		body, _, err := EncodeWAL(name, w.randomParts(1+w.rng.IntN(20), 1+w.rng.IntN(5000)))
		if err != nil {
			t.Fatal(err)
		}
		if sum, err := checksumWAL(body); err != nil || sum != crc32.Checksum(body, castagnoli) {
			t.Fatalf("%08x (%v) of %d bytes, want %08x", sum, err, len(body), crc32.Checksum(body, castagnoli))
		}
	}
}
