package broker

import (
	"bytes"
	"compress/gzip"
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
