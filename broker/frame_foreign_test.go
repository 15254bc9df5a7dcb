package broker

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

// Who speaks TLS or HTTP to a Kafka port is told apart from a damaged request.
func TestWhatDoesNotSpeakKafkaIsSaid(t *testing.T) {
	for prefix, want := range map[string]string{"\x16\x03\x01\x02": "TLS", "GET ": "--http", "POST": "--http", "PRI ": "gRPC", "SSH-": "SSH"} {
		if _, err := parseFrameSize([]byte(prefix)); !errors.Is(err, errNotKafka) || !errors.Is(err, errBadFrame) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want it to name %s", prefix, err, want)
		}
		if n := int32(binary.BigEndian.Uint32([]byte(prefix))); n <= MaxFrameBytes {
			t.Errorf("%q could be the size of a frame: %d", prefix, n)
		}
	}
	for _, n := range []uint32{0, fixedHeaderBytes - 1, MaxFrameBytes + 1, 1 << 31} {
		if _, err := parseFrameSize(binary.BigEndian.AppendUint32(nil, n)); !errors.Is(err, errBadFrame) || errors.Is(err, errNotKafka) {
			t.Errorf("size %d: %v", n, err)
		}
	}
}
