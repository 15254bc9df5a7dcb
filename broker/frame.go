package broker

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kbin"

	"github.com/zonewise/zonewise/broker/schema"
)

// minFrameBytesPerSecond is how fast a frame must arrive at least, beyond a first
// allowance: who sends slower would hold the memory of others.
const minFrameBytesPerSecond = 1 << 20

// A frame's memory grows with what has come of it: initialFrameBytes is taken on the
// sender's word, more when that is full, frameGrowthFactor times as much each time. So
// who claims 100 MiB and sends slowly holds a few times what was sent.
const (
	initialFrameBytes = 1 << 20
	frameGrowthFactor = 4
)

// fixedHeaderBytes is what stands before everything else: key, version, correlation id.
const fixedHeaderBytes = 8

// errBadFrame is a frame that cannot be answered: the connection ends.
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

// errNotKafka is a connection of somebody who does not speak Kafka's protocol.
var errNotKafka = errors.New("not Kafka's protocol")

// detectOtherProtocol says what the first bytes of a connection look like that are none of
// Kafka's; "" where they may be. Read as a size, each is beyond MaxFrameBytes.
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

// parseFixedHeader reads what stands before everything else: it can be read whatever
// the version is.
func parseFixedHeader(frame []byte) requestHeader {
	be := binary.BigEndian
	return requestHeader{key: int16(be.Uint16(frame)), version: int16(be.Uint16(frame[2:])), correlation: int32(be.Uint32(frame[4:]))}
}

// parseRequestHeader reads the rest of a request header and returns the body.
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
		r.Span(1) // marks the reader bad
		return
	}
	for ; n > 0 && r.Ok(); n-- {
		r.Uvarint()
		r.Span(int(r.Uvarint()))
	}
}

// appendResponseHeader begins an answer: room for its size, the correlation id,
// and for flexible answers an empty tag section.
func appendResponseHeader(dst []byte, correlation int32, flexible bool) []byte {
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(correlation))
	if flexible {
		dst = append(dst, 0)
	}
	return dst
}

// setResponseSize writes the size of an answer whose first part is dst and whose
// other parts have extra bytes.
func setResponseSize(dst []byte, extra int) {
	binary.BigEndian.PutUint32(dst, uint32(len(dst)-4+extra))
}
