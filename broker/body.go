package broker

import (
	"encoding/binary"
	"errors"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// errNullArray: Kafka, whose decoder throws at one, closes the connection.
var errNullArray = errors.New("null where an array must be")

// readBody decodes a request. kmsg takes null for an empty array where the
// protocol allows no null; Kafka's brokers do not bear it, and a request may
// mean something else by it ("all", in other versions). What is decoded is
// encoded again: it differs at a null that became an empty array.
//
// Differences of other kinds (a length in more bytes than it needs, a default
// value sent as a tag) are harmless, and what stands behind one is not looked
// at. Bytes behind the last field are left alone, as in Kafka.
func readBody(q kmsg.Request, body []byte) error {
	if err := q.ReadFrom(body); err != nil {
		return err
	}
	again := q.AppendTo(make([]byte, 0, len(body)))
	for i := range min(len(body), len(again)) {
		if body[i] == again[i] {
			continue
		}
		if q.IsFlexible() && again[i] == 1 {
			if n, k := binary.Uvarint(body[i:]); k > 0 && int32(n)-1 < 0 {
				return errNullArray
			}
		}
		if !q.IsFlexible() && again[i] == 0 && body[i] >= 0x80 {
			return errNullArray
		}
		break
	}
	return nil
}
