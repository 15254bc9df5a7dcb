package oracle

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"go.yaml.in/yaml/v3"
)

// batchSpec is a record batch as a scenario describes it; omitted fields have the
// values of a correct client.
//
//	records   a number of records, or a list of values, or of {key, value, ts, headers}
//	pid epoch seq txn control codec       as in the batch's header
//	ts maxts attrs magic offset count last leader   other values for header fields
//	crc: bad   length: +N   trailing: HEX   payload: HEX   pad: N (bytes in the first value)
type batchSpec struct {
	Records  yaml.Node
	Pid      string
	Epoch    string
	Seq      string
	Txn      bool
	Control  bool
	Codec    string
	Ts       string
	Maxts    string
	Attrs    string
	Magic    string
	Offset   string
	Count    string
	Last     string
	Leader   string
	Crc      string
	Length   string
	Trailing string
	Payload  string // encoded records as they are, in place of Records
	Pad      int
}

type recordSpec struct {
	key, value []byte
	ts         int64
	headers    [][2][]byte
	delta      int64
}

const headerBytes = 61

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// parseNumber expands and parses one field; an empty one has the value fallback.
func (v variables) parseNumber(text string, fallback int64) (int64, error) {
	if text == "" {
		return fallback, nil
	}
	value, err := v.expand(text)
	if err != nil {
		return 0, err
	}
	if n, ok := value.(int64); ok {
		return n, nil
	}
	return strconv.ParseInt(fmt.Sprint(value), 0, 64)
}

func buildBatch(n *yaml.Node, v variables) ([]byte, error) {
	var s batchSpec
	raw, err := yaml.Marshal(n)
	if err != nil {
		return nil, err
	}
	d := yaml.NewDecoder(bytes.NewReader(raw))
	d.KnownFields(true)
	if err := d.Decode(&s); err != nil {
		return nil, fmt.Errorf("read batch: %w", err)
	}
	now, err := v.parseNumber("$now", 0)
	if err != nil {
		return nil, err
	}
	ts, err := v.parseNumber(s.Ts, now)
	if err != nil {
		return nil, err
	}
	records, err := s.buildRecords(v, ts)
	if err != nil {
		return nil, err
	}
	return s.encode(v, ts, records)
}

func (s *batchSpec) buildRecords(v variables, ts int64) (out []recordSpec, err error) {
	switch s.Records.Kind {
	case yaml.ScalarNode:
		n, err := v.parseNumber(s.Records.Value, 0)
		if err != nil {
			return nil, err
		}
		for i := range n {
			out = append(out, recordSpec{value: fmt.Appendf(nil, "v%d", i), ts: ts, delta: i})
		}
	case yaml.SequenceNode:
		for i, item := range s.Records.Content {
			r := recordSpec{ts: ts, delta: int64(i)}
			if item.Kind == yaml.ScalarNode {
				r.value, err = parseBytes(item, v)
			} else {
				err = r.parseFields(item, v)
			}
			if err != nil {
				return nil, err
			}
			out = append(out, r)
		}
	}
	if s.Pad > 0 && len(out) > 0 {
		out[0].value = append(out[0].value, bytes.Repeat([]byte{'p'}, s.Pad)...)
	}
	return out, nil
}

func (r *recordSpec) parseFields(n *yaml.Node, v variables) (err error) {
	for i := 0; i+1 < len(n.Content) && err == nil; i += 2 {
		value := n.Content[i+1]
		switch n.Content[i].Value {
		case "key":
			r.key, err = nullableBytes(value, v)
		case "value":
			r.value, err = nullableBytes(value, v)
		case "ts":
			r.ts, err = v.parseNumber(value.Value, 0)
		case "delta":
			r.delta, err = v.parseNumber(value.Value, 0)
		case "headers":
			for j := 0; j+1 < len(value.Content); j += 2 {
				b, bad := nullableBytes(value.Content[j+1], v)
				if bad != nil {
					return bad
				}
				r.headers = append(r.headers, [2][]byte{[]byte(value.Content[j].Value), b})
			}
		default:
			return fmt.Errorf("a record has no field %s", n.Content[i].Value)
		}
	}
	return err
}

func nullableBytes(n *yaml.Node, v variables) ([]byte, error) {
	if isNull(n) {
		return nil, nil
	}
	return parseBytes(n, v)
}

func (s *batchSpec) encode(v variables, ts int64, records []recordSpec) ([]byte, error) {
	var bad error
	number := func(text string, fallback int64) int64 {
		n, err := v.parseNumber(text, fallback)
		if err != nil {
			bad = err
		}
		return n
	}
	var plain []byte
	newest := ts
	for _, r := range records {
		plain = appendRecord(plain, r, ts)
		newest = max(newest, r.ts)
	}
	codec, packed, err := compress(s.Codec, plain)
	if err != nil {
		return nil, err
	}
	if s.Payload != "" {
		if packed, err = hex.DecodeString(s.Payload); err != nil {
			return nil, err
		}
	}
	attributes := int64(codec)
	if s.Txn {
		attributes |= 1 << 4
	}
	if s.Control {
		attributes |= 1 << 5
	}
	b := make([]byte, headerBytes, headerBytes+len(packed))
	put := binary.BigEndian
	put.PutUint64(b, uint64(number(s.Offset, 0)))
	put.PutUint32(b[12:], uint32(number(s.Leader, -1)))
	b[16] = byte(number(s.Magic, 2))
	put.PutUint16(b[21:], uint16(number(s.Attrs, attributes)))
	put.PutUint32(b[23:], uint32(number(s.Last, int64(len(records))-1)))
	put.PutUint64(b[27:], uint64(ts))
	put.PutUint64(b[35:], uint64(number(s.Maxts, newest)))
	put.PutUint64(b[43:], uint64(number(s.Pid, -1)))
	put.PutUint16(b[51:], uint16(number(s.Epoch, -1)))
	put.PutUint32(b[53:], uint32(number(s.Seq, -1)))
	put.PutUint32(b[57:], uint32(number(s.Count, int64(len(records)))))
	b = append(b, packed...)
	put.PutUint32(b[8:], uint32(int64(len(b))-12+number(s.Length, 0)))
	crc := crc32.Checksum(b[21:], castagnoli)
	if s.Crc == "bad" {
		crc ^= 0xff
	}
	put.PutUint32(b[17:], crc)
	tail, err := hex.DecodeString(s.Trailing)
	if err != nil {
		return nil, err
	}
	return append(b, tail...), bad
}

func appendRecord(b []byte, r recordSpec, ts int64) []byte {
	one := []byte{0}
	one = binary.AppendVarint(one, r.ts-ts)
	one = binary.AppendVarint(one, r.delta)
	blob := func(x []byte) {
		if x == nil {
			one = binary.AppendVarint(one, -1)
			return
		}
		one = append(binary.AppendVarint(one, int64(len(x))), x...)
	}
	blob(r.key)
	blob(r.value)
	one = binary.AppendVarint(one, int64(len(r.headers)))
	for _, h := range r.headers {
		blob(h[0])
		blob(h[1])
	}
	return append(binary.AppendVarint(b, int64(len(one))), one...)
}

func compress(codec string, in []byte) (int, []byte, error) {
	var out bytes.Buffer
	var w io.WriteCloser
	number := 0
	switch codec {
	case "", "none":
		return 0, in, nil
	case "snappy":
		return 2, s2.EncodeSnappy(nil, in), nil
	case "gzip":
		number, w = 1, gzip.NewWriter(&out)
	case "lz4":
		number, w = 3, lz4.NewWriter(&out)
	case "zstd":
		z, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
		if err != nil {
			return 0, nil, err
		}
		number, w = 4, z
	default:
		return 0, nil, fmt.Errorf("no codec is called %s", codec)
	}
	if _, err := w.Write(in); err != nil {
		return 0, nil, err
	}
	err := w.Close() // before its bytes are read
	return number, out.Bytes(), err
}

// decompress decompresses the records that a broker serves.
func decompress(codec int, in []byte) (out []byte, err error) {
	var r io.Reader
	switch codec {
	case 0:
		return in, nil
	case 1:
		if r, err = gzip.NewReader(bytes.NewReader(in)); err != nil {
			return nil, err
		}
	case 2:
		if bytes.HasPrefix(in, []byte("\x82SNAPPY\x00")) {
			return decompressXerial(in)
		}
		return s2.Decode(nil, in)
	case 3:
		r = lz4.NewReader(bytes.NewReader(in))
	case 4:
		z, err := zstd.NewReader(bytes.NewReader(in), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		defer z.Close()
		r = z
	default:
		return nil, fmt.Errorf("codec %d", codec)
	}
	return io.ReadAll(r)
}

func decompressXerial(in []byte) (out []byte, err error) {
	for in = in[min(16, len(in)):]; len(in) >= 4; {
		n := int(binary.BigEndian.Uint32(in))
		if n > len(in)-4 {
			return nil, io.ErrUnexpectedEOF
		}
		part, err := s2.Decode(nil, in[4:4+n])
		if err != nil {
			return nil, err
		}
		out, in = append(out, part...), in[4+n:]
	}
	return out, nil
}
