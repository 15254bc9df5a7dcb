package schema

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Kafka 4.4's decoding limits (MessageUtil in kafka-clients 4.4.0). Kafka closes the
// connection of a request that exceeds them.
const (
	// MaxArrayLength is the maximum number of elements of one array.
	MaxArrayLength = 1_000_000
	// MaxTaggedFields is the maximum number of tagged fields of one struct.
	MaxTaggedFields = 10_000
)

// Errors of Measure. Kafka's brokers close the connection for each.
var (
	ErrShort   = errors.New("truncated")
	ErrNull    = errors.New("null where it is not allowed")
	ErrLimit   = errors.New("protocol limit exceeded")
	ErrInvalid = errors.New("invalid length")
)

// Size is the size of a request once it is decoded.
type Size struct {
	Elements int64 // of all arrays
	Bytes    int64 // of memory, without the frame that bytes fields reference; an upper estimate
}

// Memory of a value in addition to its field in the struct.
const (
	tagBytes       = 96 // an entry of a Go map of 4-byte keys and slices
	tagMapBytes    = 64
	pointerBytes   = 16 // the target of a nullable string's pointer
	allocationStep = 16
	maxStringBytes = 1<<15 - 1
)

// Measure walks a request's body. Bytes after the last field are ignored, as in
// Kafka.
func (s *Shape) Measure(body []byte) (Size, error) {
	w := measurer{remaining: body, flexible: s.flexible, size: Size{Bytes: s.body.bytes}}
	err := w.measureStruct(&s.body)
	return w.size, err
}

// measurer is one pass over a body.
type measurer struct {
	remaining []byte
	flexible  bool
	size      Size
}

func (w *measurer) skipBytes(n int64) error {
	if n > int64(len(w.remaining)) {
		return ErrShort
	}
	w.remaining = w.remaining[n:]
	return nil
}

func (w *measurer) readUvarint() (uint32, error) {
	v, n := binary.Uvarint(w.remaining[:min(len(w.remaining), 5)])
	switch {
	case n <= 0:
		return 0, ErrShort
	case v > math.MaxUint32:
		return 0, fmt.Errorf("%w: %#x", ErrInvalid, v)
	}
	w.remaining = w.remaining[n:]
	return uint32(v), nil
}

func (w *measurer) measureStruct(s *structShape) error {
	for i := range s.fields {
		if err := w.measureField(&s.fields[i]); err != nil {
			return err
		}
	}
	if w.flexible {
		return w.measureTaggedFields(s)
	}
	return nil
}

func (w *measurer) measureField(f *fieldShape) (err error) {
	if f.array {
		err = w.measureArray(f)
	} else {
		err = w.measureValue(f)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	return nil
}

// fixedWireBytes is the wire size of kinds that have a fixed one; else 0.
func (f *fieldShape) fixedWireBytes() int64 {
	switch f.kind {
	case kind8:
		return 1
	case kind16:
		return 2
	case kind32:
		return 4
	case kind64:
		return 8
	case kindUUID:
		return 16
	}
	return 0
}

func (w *measurer) measureValue(f *fieldShape) error {
	switch f.kind {
	case kindString, kindBytes:
		return w.measureText(f)
	case kindStruct:
		if f.nullable { // one byte: negative is null
			if len(w.remaining) == 0 {
				return ErrShort
			}
			null := int8(w.remaining[0]) < 0
			w.remaining = w.remaining[1:]
			if null {
				return nil
			}
		}
		return w.measureStruct(f.inner)
	}
	return w.skipBytes(f.fixedWireBytes())
}

// measureText skips a string or bytes.
func (w *measurer) measureText(f *fieldShape) error {
	n, err := w.readLength(f.kind == kindString)
	switch {
	case err != nil:
		return err
	case n < 0 && !f.nullable:
		return ErrNull
	case n < 0:
		return nil
	}
	if f.kind == kindString {
		if n > maxStringBytes {
			return fmt.Errorf("%w: string of %d bytes", ErrInvalid, n)
		}
		w.size.Bytes += (n + allocationStep - 1) / allocationStep * allocationStep
		if f.pointer {
			w.size.Bytes += pointerBytes
		}
	}
	return w.skipBytes(n)
}

// readLength reads the length of a string, of bytes or of an array; negative is
// null.
func (w *measurer) readLength(short bool) (int64, error) {
	switch {
	case w.flexible:
		n, err := w.readUvarint()
		return int64(int32(n)) - 1, err
	case short && len(w.remaining) >= 2:
		n := int16(binary.BigEndian.Uint16(w.remaining))
		w.remaining = w.remaining[2:]
		return int64(n), nil
	case !short && len(w.remaining) >= 4:
		n := int32(binary.BigEndian.Uint32(w.remaining))
		w.remaining = w.remaining[4:]
		return int64(n), nil
	}
	return 0, ErrShort
}

func (w *measurer) measureArray(f *fieldShape) error {
	n, err := w.readLength(false)
	switch {
	case err != nil:
		return err
	case n < 0 && !f.nullable:
		return ErrNull
	case n > int64(len(w.remaining)):
		return ErrShort
	case n > MaxArrayLength:
		return fmt.Errorf("%w: array of %d elements, at most %d", ErrLimit, n, MaxArrayLength)
	case n <= 0:
		return nil
	}
	w.size.Elements += n
	w.size.Bytes += n * f.elementBytes()
	if fixed := f.fixedWireBytes(); fixed > 0 {
		return w.skipBytes(n * fixed)
	}
	one := *f
	one.array, one.nullable, one.pointer = false, false, false
	for range n {
		if err := w.measureValue(&one); err != nil {
			return err
		}
	}
	return nil
}

// measureTaggedFields skips the tagged fields at the end of a struct.
func (w *measurer) measureTaggedFields(s *structShape) error {
	n, err := w.readUvarint()
	if err != nil {
		return err
	}
	if n > MaxTaggedFields {
		return fmt.Errorf("%w: %d tagged fields, at most %d", ErrLimit, n, MaxTaggedFields)
	}
	unknown := int64(0)
	for range n {
		tag, err := w.readUvarint()
		if err != nil {
			return err
		}
		size, err := w.readUvarint()
		if err != nil {
			return err
		}
		if int64(size) > int64(len(w.remaining)) {
			return ErrShort
		}
		known := false
		for i := range s.tagged {
			if f := &s.tagged[i]; f.tag == tag {
				known = true
				inner := measurer{remaining: w.remaining[:size], flexible: true, size: w.size}
				if err := inner.measureField(f); err != nil {
					return err
				}
				w.size = inner.size
			}
		}
		if !known {
			unknown++
		}
		w.remaining = w.remaining[size:]
	}
	if unknown > 0 {
		w.size.Bytes += tagMapBytes + unknown*tagBytes
	}
	return nil
}
