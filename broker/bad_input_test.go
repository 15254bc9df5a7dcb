package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// ends of what a bad request may come to.
type fate uint8

const (
	answered fate = iota
	hungUp
	unanswered // neither, within the client's patience
)

// throw sends a frame on a connection of its own and says what came of it.
func throw(dial func() *raw, frame []byte) (fate, []byte) {
	r := dial()
	defer r.c.Close()
	r.c.SetDeadline(time.Now().Add(5 * time.Minute))
	sized := append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...)
	go r.c.Write(sized) // it may be refused before it is read
	b, err := r.answer()
	switch {
	case err == nil:
		return answered, b
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrClosedPipe), errors.Is(err, net.ErrClosed):
		return hungUp, nil
	}
	return unanswered, nil
}

// forEachVersion runs f for every request of the table, as a frame without its
// size, with the length of its header.
func forEachVersion(t *testing.T, dial func() *raw, f func(t *testing.T, name string, q kmsg.Request, frame []byte, header int)) {
	r := dial()
	id := r.makeTopic("t", 2)
	for _, a := range newAPITable(true) {
		for version := a.min; version <= a.max; version++ {
			q := sample(a.key, id)
			q.SetVersion(version)
			frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("c")).AppendRequest(nil, q, 7)[4:]
			f(t, fmt.Sprintf("key %d version %d", a.key, version), q, frame, len(frame)-len(q.AppendTo(nil)))
		}
	}
}

// Kafka's decoder throws at a request that is cut short, and its network layer
// closes the connection; whatever the API.
func TestRequestsCutShortEndTheConnection(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		forEachVersion(t, dial, func(t *testing.T, name string, q kmsg.Request, frame []byte, _ int) {
			for cut := range frame {
				if step := cutStep(q); cut%step != 0 && cut != len(frame)-1 {
					continue
				}
				if end, _ := throw(dial, frame[:cut]); end != hungUp {
					t.Fatalf("%s, cut at %d of %d: fate %d", name, cut, len(frame), end)
				}
			}
		})
	})
}

// cutStep is how many bytes lie between cuts: none for the highest version.
func cutStep(q kmsg.Request) int {
	for _, a := range newAPITable(true) {
		if a.key == q.Key() && a.max == q.GetVersion() {
			return 1
		}
	}
	return 7
}

// Kafka does not look at what stands behind the last field.
func TestBytesBehindARequestAreIgnored(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		forEachVersion(t, dial, func(t *testing.T, name string, q kmsg.Request, frame []byte, _ int) {
			if end, _ := throw(dial, append(frame, 1, 2, 3)); end != answered {
				t.Errorf("%s: fate %d", name, end)
			}
		})
	})
}

// arrays returns the fields of a request that are arrays, apart from tags.
func arrays(q kmsg.Request) (out []int) {
	v := reflect.ValueOf(q).Elem()
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Slice && f.Type().Elem().Kind() != reflect.Uint8 && v.Type().Field(i).Name != "UnknownTags" {
			out = append(out, i)
		}
	}
	return out
}

// lengthOf finds where the length of an array stands in the body: the first
// byte that changes when the array goes from empty to one element, or -1 where
// this version has no such field. nullable is what kmsg knows.
func lengthOf(q kmsg.Request, field int) (at int, width int, nullable bool) {
	f := reflect.ValueOf(q).Elem().Field(field)
	old := reflect.ValueOf(f.Interface())
	defer func() { f.Set(old) }()
	f.Set(reflect.MakeSlice(f.Type(), 0, 0))
	empty := q.AppendTo(nil)
	f.Set(reflect.MakeSlice(f.Type(), 1, 1))
	one := q.AppendTo(nil)
	f.Set(reflect.Zero(f.Type()))
	null := q.AppendTo(nil)
	at = -1
	for i := range empty {
		if empty[i] != one[i] {
			at = i
			break
		}
	}
	if width = 4; q.IsFlexible() {
		width = 1
	} else if at >= 0 {
		at -= 3
	}
	return at, width, string(null) != string(empty)
}

func TestNullWhereKafkaBearsNoneEndsTheConnection(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		tried := 0
		forEachVersion(t, dial, func(t *testing.T, name string, q kmsg.Request, frame []byte, header int) {
			for _, field := range arrays(q) {
				at, width, nullable := lengthOf(q, field)
				if at < 0 {
					continue
				}
				f := reflect.ValueOf(q).Elem().Field(field)
				f.Set(reflect.MakeSlice(f.Type(), 0, 0))
				body := q.AppendTo(nil)
				bad := append(append([]byte{}, frame[:header]...), body...)
				for i := range width {
					bad[header+at+i] = map[int]byte{1: 0, 4: 0xff}[width]
				}
				end, _ := throw(dial, bad)
				if nullable != (end == answered) || !nullable && end != hungUp {
					t.Errorf("%s, field %d: nullable %v, fate %d", name, field, nullable, end)
				}
				tried++
			}
		})
		if tried < 100 {
			t.Errorf("only %d arrays were tried", tried)
		}
	})
}

func TestArraysLongerThanTheirRequestEndTheConnection(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		forEachVersion(t, dial, func(t *testing.T, name string, q kmsg.Request, frame []byte, header int) {
			for _, field := range arrays(q) {
				at, width, nullable := lengthOf(q, field)
				if at < 0 {
					continue
				}
				for _, claim := range []uint32{1 << 20, 1<<31 - 1, 1<<32 - 2} {
					length := binary.BigEndian.AppendUint32(nil, claim)
					if width == 1 {
						length = binary.AppendUvarint(nil, uint64(claim))
					}
					f := reflect.ValueOf(q).Elem().Field(field)
					old := reflect.ValueOf(f.Interface())
					f.Set(reflect.MakeSlice(f.Type(), 0, 0))
					body := q.AppendTo(nil)
					f.Set(old)
					bad := append(append([]byte{}, frame[:header]...), body[:at]...)
					bad = append(append(bad, length...), body[at+width:]...)
					// A negative length is null, in Kafka too.
					if end, _ := throw(dial, bad); end != hungUp && !(nullable && claim > 1<<31) {
						t.Errorf("%s, field %d claims %d elements: fate %d", name, field, claim, end)
					}
				}
			}
		})
	})
}

func TestMangledRequestsHarmNobodyElse(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		forEachVersion(t, dial, func(t *testing.T, name string, q kmsg.Request, frame []byte, header int) {
			if q.Key() == 11 {
				return // a mangled join may wait for its rebalance, for minutes
			}
			for at := header; at < len(frame); at += cutStep(q) + 2 {
				for _, mangle := range [][]byte{{0xff, 0xff, 0xff, 0xff}, {0x7f, 0xff, 0xff, 0xff}, {0x80}} {
					bad := append([]byte{}, frame...)
					copy(bad[at:], mangle)
					if end, _ := throw(dial, bad); end == unanswered && q.Key() != 0 && q.Key() != 1 {
						t.Errorf("%s, %x at %d: neither answered nor closed", name, mangle, at)
					}
				}
			}
		})
		if faults := testutil.ToFloat64(n.server.metrics.handlerPanics); faults != 0 {
			t.Errorf("%v handlers panicked", faults)
		}
		r := dial()
		if got := r.roundTrip(produceOf(9, "t", metadata.TopicID{}, -1, batchOf(nowMs(), "a"))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; got.ErrorCode != 0 {
			t.Errorf("afterwards, a good request: %d", got.ErrorCode)
		}
	})
}

func TestOversizedFramesEndTheConnection(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		for _, size := range []uint32{0, 7, MaxFrameBytes + 1, 1<<31 - 1, 1 << 31, 1<<32 - 1} {
			r := dial()
			go r.c.Write(append(binary.BigEndian.AppendUint32(nil, size), 0, 3, 0, 0, 0, 0, 0, 1, 0xff, 0xff))
			if _, err := r.answer(); err == nil {
				t.Errorf("size %d was answered", size)
			}
		}
		r := dial()
		frame := binary.BigEndian.AppendUint32(nil, MaxNonProduceFrameBytes+1)
		go r.c.Write(append(frame, 0, 3, 0, 0, 0, 0, 0, 1, 0xff, 0xff))
		if _, err := r.answer(); err == nil {
			t.Error("a Metadata request of more than MaxNonProduceFrameBytes was answered")
		}
		if used := n.server.frames.used(); used != 0 {
			t.Errorf("%d bytes of frames still held", used)
		}
	})
}
