package schema

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Kafka 4.4's limits of what it decodes (MessageUtil in kafka-clients 4.4.0).
// Kafka closes the connection of a request beyond them.
const (
	// MaxArrayLength is how many elements one array may have.
	MaxArrayLength = 1_000_000
	// MaxTaggedFields is how many tagged fields one struct may have.
	MaxTaggedFields = 10_000
)

// Errors of Measure. Kafka's brokers close the connection for each.
var (
	ErrShort   = errors.New("cut short")
	ErrNull    = errors.New("null where it is not allowed")
	ErrLimit   = errors.New("over a limit of the protocol")
	ErrInvalid = errors.New("invalid length")
)

// Size is what a request will take once it is decoded.
type Size struct {
	Elements int64 // of arrays, all together
	Bytes    int64 // of memory, beside the frame that bytes fields refer to; an upper estimate
}

// memory that a value takes beside its place in its struct.
const (
	bytesOfTag      = 96 // an entry of a Go map of 4-byte keys and slices
	bytesOfTagMap   = 64
	bytesOfPointer  = 16 // what a nullable string's pointer refers to
	allocationStep  = 16
	longestOfString = 1<<15 - 1
)

// Measure walks a request's body. Bytes behind the last field are ignored, as
// in Kafka.
func (s *Shape) Measure(body []byte) (Size, error) {
	w := walker{left: body, flexible: s.flexible, size: Size{Bytes: s.body.bytes}}
	err := w.structure(&s.body)
	return w.size, err
}

// walker is one pass over a body.
type walker struct {
	left     []byte
	flexible bool
	size     Size
}

func (w *walker) skip(n int64) error {
	if n > int64(len(w.left)) {
		return ErrShort
	}
	w.left = w.left[n:]
	return nil
}

func (w *walker) uvarint() (uint32, error) {
	v, n := binary.Uvarint(w.left[:min(len(w.left), 5)])
	switch {
	case n <= 0:
		return 0, ErrShort
	case v > math.MaxUint32:
		return 0, fmt.Errorf("%w: %#x", ErrInvalid, v)
	}
	w.left = w.left[n:]
	return uint32(v), nil
}

func (w *walker) structure(s *structShape) error {
	for i := range s.fields {
		if err := w.field(&s.fields[i]); err != nil {
			return err
		}
	}
	if w.flexible {
		return w.tags(s)
	}
	return nil
}

func (w *walker) field(f *fieldShape) (err error) {
	if f.array {
		err = w.arrayOf(f)
	} else {
		err = w.value(f)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	return nil
}

// fixed is the wire size of kinds that have one; 0 of the others.
func (f *fieldShape) fixed() int64 {
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

func (w *walker) value(f *fieldShape) error {
	switch f.kind {
	case kindString, kindBytes:
		return w.text(f)
	case kindStruct:
		if f.nullable { // one byte tells: negative is null
			if len(w.left) == 0 {
				return ErrShort
			}
			null := int8(w.left[0]) < 0
			w.left = w.left[1:]
			if null {
				return nil
			}
		}
		return w.structure(f.inner)
	}
	return w.skip(f.fixed())
}

// text passes over a string or bytes.
func (w *walker) text(f *fieldShape) error {
	n, err := w.length(f.kind == kindString)
	switch {
	case err != nil:
		return err
	case n < 0 && !f.nullable:
		return ErrNull
	case n < 0:
		return nil
	}
	if f.kind == kindString {
		if n > longestOfString {
			return fmt.Errorf("%w: string of %d bytes", ErrInvalid, n)
		}
		w.size.Bytes += (n + allocationStep - 1) / allocationStep * allocationStep
		if f.pointer {
			w.size.Bytes += bytesOfPointer
		}
	}
	return w.skip(n)
}

// length reads the length of a string, of bytes or of an array; negative is
// null.
func (w *walker) length(short bool) (int64, error) {
	switch {
	case w.flexible:
		n, err := w.uvarint()
		return int64(int32(n)) - 1, err
	case short && len(w.left) >= 2:
		n := int16(binary.BigEndian.Uint16(w.left))
		w.left = w.left[2:]
		return int64(n), nil
	case !short && len(w.left) >= 4:
		n := int32(binary.BigEndian.Uint32(w.left))
		w.left = w.left[4:]
		return int64(n), nil
	}
	return 0, ErrShort
}

func (w *walker) arrayOf(f *fieldShape) error {
	n, err := w.length(false)
	switch {
	case err != nil:
		return err
	case n < 0 && !f.nullable:
		return ErrNull
	case n > int64(len(w.left)):
		return ErrShort
	case n > MaxArrayLength:
		return fmt.Errorf("%w: array of %d elements, at most %d", ErrLimit, n, MaxArrayLength)
	case n <= 0:
		return nil
	}
	w.size.Elements += n
	w.size.Bytes += n * f.element()
	if fixed := f.fixed(); fixed > 0 {
		return w.skip(n * fixed)
	}
	one := *f
	one.array, one.nullable, one.pointer = false, false, false
	for range n {
		if err := w.value(&one); err != nil {
			return err
		}
	}
	return nil
}

// tags passes over the tagged fields at the end of a struct.
func (w *walker) tags(s *structShape) error {
	n, err := w.uvarint()
	if err != nil {
		return err
	}
	if n > MaxTaggedFields {
		return fmt.Errorf("%w: %d tagged fields, at most %d", ErrLimit, n, MaxTaggedFields)
	}
	unknown := int64(0)
	for range n {
		tag, err := w.uvarint()
		if err != nil {
			return err
		}
		size, err := w.uvarint()
		if err != nil {
			return err
		}
		if int64(size) > int64(len(w.left)) {
			return ErrShort
		}
		known := false
		for i := range s.tagged {
			if f := &s.tagged[i]; f.tag == tag {
				known = true
				inner := walker{left: w.left[:size], flexible: true, size: w.size}
				if err := inner.field(f); err != nil {
					return err
				}
				w.size = inner.size
			}
		}
		if !known {
			unknown++
		}
		w.left = w.left[size:]
	}
	if unknown > 0 {
		w.size.Bytes += bytesOfTagMap + unknown*bytesOfTag
	}
	return nil
}
