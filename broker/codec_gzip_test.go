package broker

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"hash/crc32"
	"strings"
	"testing"
)

func gzipOf(t *testing.T, plain string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(plain)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Kafka's broker reads gzip with Java's GZIPInputStream; a real one is compared
// in the clients suite (TestWhatIsTakenIsReadByAll).
func TestGzipIsTakenAsJavaReadsIt(t *testing.T) {
	plain := strings.Repeat("some text, ", 30_000)
	member, short := gzipOf(t, plain), gzipOf(t, "")
	with := func(more ...[]byte) []byte { return append(bytes.Clone(member), bytes.Join(more, nil)...) }
	reserved := bytes.Clone(member)
	reserved[3] |= 0xe0
	named := func(flag byte, n int) []byte {
		head := append(bytes.Clone(member[:10]), bytes.Repeat([]byte{'n'}, n)...)
		head[3] |= flag
		return append(append(head, 0), member[10:]...)
	}
	sealed := append(bytes.Clone(reserved[:10]), 0, 0) // with a checksum of its header
	sealed[3] |= gzipHeaderCRC
	binary.LittleEndian.PutUint16(sealed[10:], uint16(crc32.ChecksumIEEE(sealed[:10])))
	sealed = append(sealed, member[10:]...)
	other := bytes.Clone(sealed)
	other[10]++
	wrong := bytes.Clone(member)
	wrong[len(wrong)-8] ^= 1
	for _, c := range []struct {
		name string
		in   []byte
		want string
	}{
		{"a member", member, plain},
		{"two members", with(member), plain + plain},
		{"an empty member first", append(bytes.Clone(short), member...), plain},
		{"a byte behind it", with([]byte{7}), plain},
		{"zeros behind it", with(make([]byte, 100)), plain},
		{"a header behind it", with(member[:10]), plain},
		{"half a member behind it", with(member[:len(member)/2]), ""},
		{"reserved flags", reserved, plain},
		{"reserved flags in the second member", with(reserved), plain + plain},
		{"a long name", named(gzipName, 5000), plain},
		{"a long comment", named(gzipComment, 70_000), plain},
		{"a name without end", named(gzipName, 5000)[:4000], ""},
		{"reserved flags and a checksum of the header", sealed, plain},
		{"a wrong checksum of the header", other, ""},
		{"wrong checksum", wrong, ""},
		{"without its trailer", member[:len(member)-8], ""},
		{"nothing", nil, ""},
	} {
		out, err := Decompress(codecGzip, c.in, 2*len(plain))
		if (err == nil) != (c.want != "") || err == nil && string(out) != c.want {
			t.Errorf("%s: %d bytes, %v", c.name, len(out), err)
		}
	}
}

// Java looks at what is behind a member if it has not taken all of its source yet,
// however little that is: the header of another one, with nothing behind it, is a
// member cut short then. It takes 8 KiB at a time, from the end of the header on.
func TestWhatIsBehindAMemberDependsOnJavasBuffer(t *testing.T) {
	const stored = gzipHeaderBytes + 5 + 5 + gzipTrailerBytes // what a member has beside its content, with an empty last block
	for _, c := range []struct {
		room, behind int // bytes in Java's buffer behind the member, and in all
		taken        bool
	}{{12, 0, true}, {12, 12, true}, {4, 12, false}, {4, 9, true}, {4, 4, true}, {-4, 12, false}} {
		plain := strings.Repeat("x", gzipHeaderBytes+gzipFill-c.room-stored)
		var b bytes.Buffer
		w, err := gzip.NewWriterLevel(&b, gzip.NoCompression)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write([]byte(plain)) // to memory
		if err := w.Close(); err != nil || b.Len() != len(plain)+stored {
			t.Fatalf("a member of %d bytes, %v", b.Len(), err)
		}
		b.Write(append(bytes.Clone(b.Bytes()[:gzipHeaderBytes]), 0, 0)[:c.behind])
		out, err := Decompress(codecGzip, b.Bytes(), 1<<20)
		if (err == nil) != c.taken || err == nil && string(out) != plain {
			t.Errorf("%+v: %d bytes, %v", c, len(out), err)
		}
	}
}

// A batch of as many members as it holds costs what its bytes do.
func BenchmarkManyGzipMembers(b *testing.B) {
	var empty bytes.Buffer
	if err := gzip.NewWriter(&empty).Close(); err != nil {
		b.Fatal(err)
	}
	in := bytes.Repeat(empty.Bytes(), 1<<20/empty.Len())
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		if _, err := Decompress(codecGzip, in, 1<<20); err != nil {
			b.Fatal(err)
		}
	}
}
