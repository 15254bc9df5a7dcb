package broker

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kbin"

	"github.com/zonewise/zonewise/broker/schema"
)

// minFrameBytesPerSecond is the minimum rate of a frame after an initial
// allowance: a slower sender would hold memory that others need.
const minFrameBytesPerSecond = 1 << 20

// A frame's memory grows as it arrives: first initialFrameBytes, then
// frameGrowthFactor times as much whenever it is full. So a client that claims
// 100 MiB and sends slowly holds only a few times what it has sent.
const (
	initialFrameBytes = 1 << 20
	frameGrowthFactor = 4
)

// fixedHeaderBytes is the size of the fixed part of a header: key, version,
// correlation id.
const fixedHeaderBytes = 8

// errBadFrame is a frame without a response: the connection ends.
var errBadFrame = errors.New("bad frame")

// A request frame (Kafka protocol guide), big-endian:
//
//	+--------+-----+---------+-------------+-----------+--------+------
//	| size   | key | version | correlation | client id | tags   | body
//	| int32  | i16 | int16   | int32       | nullable  | header |
//	|        |     |         |             | string    | v2     |
//	+--------+-----+---------+-------------+-----------+--------+------
type requestHeader struct {
	key, version int16
	correlation  int32
	clientID     string
}

// parseFrameSize checks a size prefix.
func parseFrameSize(prefix []byte) (int, error) {
	n := int32(binary.BigEndian.Uint32(prefix))
	if what := detectOtherProtocol(prefix); what != "" {
		return 0, fmt.Errorf("%w: %w: %s", errBadFrame, errNotKafka, what)
	}
	if n < fixedHeaderBytes || n > MaxFrameBytes {
		return 0, fmt.Errorf("%w: size %d, want %d to %d", errBadFrame, n, fixedHeaderBytes, MaxFrameBytes)
	}
	return int(n), nil
}

// errNotKafka is a connection of another protocol.
var errNotKafka = errors.New("not Kafka's protocol")

// detectOtherProtocol recognizes the first bytes of other protocols; "" if they
// may be Kafka's. As a size each is larger than MaxFrameBytes.
func detectOtherProtocol(prefix []byte) string {
	switch text := string(prefix); {
	case prefix[0] == 0x16 && prefix[1] == 3:
		return "it looks like TLS, and Kafka listeners speak plain text: set security.protocol=PLAINTEXT at the client"
	case text == "GET " || text == "POST" || text == "HEAD" || text == "PUT " || text == "OPTI" || text == "DELE" || text == "CONN":
		return "it looks like HTTP: page, API and metrics are at the port of --http"
	case text == "PRI ":
		return "it looks like HTTP/2 or gRPC"
	case text == "SSH-":
		return "it looks like SSH"
	}
	return ""
}

// parseFixedHeader parses the fixed part of a header, which is the same in all
// versions.
func parseFixedHeader(frame []byte) requestHeader {
	be := binary.BigEndian
	return requestHeader{key: int16(be.Uint16(frame)), version: int16(be.Uint16(frame[2:])), correlation: int32(be.Uint32(frame[4:]))}
}

// parseRequestHeader parses the rest of a request header and returns the body.
func parseRequestHeader(h requestHeader, flexible bool, frame []byte) (requestHeader, []byte, error) {
	r := kbin.Reader{Src: frame[fixedHeaderBytes:]}
	if id := r.NullableString(); id != nil {
		h.clientID = *id
	}
	if flexible {
		skipTags(&r)
	}
	if !r.Ok() {
		return h, nil, fmt.Errorf("%w: header of key %d version %d cut short", errBadFrame, h.key, h.version)
	}
	return h, r.Src, nil
}

func skipTags(r *kbin.Reader) {
	n := r.Uvarint()
	if n > schema.MaxTaggedFields {
		r.Src = nil
		r.Span(1) // makes the reader fail
		return
	}
	for ; n > 0 && r.Ok(); n-- {
		r.Uvarint()
		r.Span(int(r.Uvarint()))
	}
}

// appendResponseHeader starts a response: space for its size, the correlation
// id, and an empty tag section if it is flexible.
func appendResponseHeader(dst []byte, correlation int32, flexible bool) []byte {
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(correlation))
	if flexible {
		dst = append(dst, 0)
	}
	return dst
}

// setResponseSize sets the size of a response whose first part is dst and whose
// other parts have extra bytes.
func setResponseSize(dst []byte, extra int) {
	binary.BigEndian.PutUint32(dst, uint32(len(dst)-4+extra))
}
