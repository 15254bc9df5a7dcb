package oracle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
)

// readBatches turns the batches of a Fetch response into fields that can be compared:
// header, validity of the checksum, and every record. Unreadable data is a field of
// its own; like clients, it leaves out a last batch that a limit has cut.
func readBatches(raw []byte) node {
	list := node{name: "RecordBatches", list: true}
	for len(raw) > 0 {
		if len(raw) < headerBytes {
			break
		}
		size := 12 + int(int32(binary.BigEndian.Uint32(raw[8:])))
		if size > len(raw) {
			break
		}
		if size < headerBytes {
			list.items = append(list.items, leafNode("$broken", "length"))
			break
		}
		list.items = append(list.items, readBatch(raw[:size]))
		raw = raw[size:]
	}
	return list
}

func readBatch(b []byte) node {
	get := binary.BigEndian
	attributes := get.Uint16(b[21:])
	n := node{}
	add := func(name string, value int64) {
		n.items = append(n.items, leafNode(name, strconv.FormatInt(value, 10)))
	}
	add("BaseOffset", int64(get.Uint64(b)))
	add("LeaderEpoch", int64(int32(get.Uint32(b[12:]))))
	add("Magic", int64(b[16]))
	add("Attributes", int64(attributes))
	add("LastOffsetDelta", int64(int32(get.Uint32(b[23:]))))
	add("FirstTimestamp", int64(get.Uint64(b[27:])))
	add("MaxTimestamp", int64(get.Uint64(b[35:])))
	add("ProducerID", int64(get.Uint64(b[43:])))
	add("ProducerEpoch", int64(int16(get.Uint16(b[51:]))))
	add("BaseSequence", int64(int32(get.Uint32(b[53:]))))
	add("Count", int64(int32(get.Uint32(b[57:]))))
	n.items = append(n.items, leafNode("CRCHolds", strconv.FormatBool(crc32.Checksum(b[21:], castagnoli) == get.Uint32(b[17:]))))
	plain, err := decompress(int(attributes&7), b[headerBytes:])
	if err != nil {
		n.items = append(n.items, leafNode("$broken", "packed records"))
		return n
	}
	records := node{name: "Records", list: true}
	for len(plain) > 0 {
		r, rest, err := readRecord(plain, attributes&(1<<5) != 0)
		if err != nil {
			records.items = append(records.items, leafNode("$broken", "record"))
			break
		}
		records.items, plain = append(records.items, r), rest
	}
	n.items = append(n.items, records)
	return n
}

var errRecord = errors.New("malformed record")

func readRecord(in []byte, control bool) (n node, rest []byte, err error) {
	next := func() int64 {
		x, k := binary.Varint(in)
		if k <= 0 {
			err = errRecord
			return 0
		}
		in = in[k:]
		return x
	}
	blob := func() string {
		size := next()
		if size < 0 {
			return "#null"
		}
		if size > int64(len(in)) {
			err = errRecord
			return ""
		}
		out := string(in[:size])
		in = in[size:]
		return out
	}
	size := next()
	if err != nil || size < 1 || size > int64(len(in)) {
		return n, nil, errRecord
	}
	rest = in[size:]
	in = in[1:size]
	n.items = append(n.items, leafNode("TimestampDelta", strconv.FormatInt(next(), 10)), leafNode("OffsetDelta", strconv.FormatInt(next(), 10)))
	key, value := blob(), blob()
	if control && len(value) >= 6 {
		// An end marker: version, then the coordinator's epoch, which may differ.
		value = fmt.Sprintf("marker version %x", value[:2])
	}
	n.items = append(n.items, leafNode("Key", strconv.Quote(key)), leafNode("Value", strconv.Quote(value)))
	count := next()
	for i := range count {
		if err != nil {
			break
		}
		k, v := blob(), blob()
		n.items = append(n.items, leafNode("Header"+strconv.FormatInt(i, 10), strconv.Quote(k+"="+v)))
	}
	return n, rest, err
}
