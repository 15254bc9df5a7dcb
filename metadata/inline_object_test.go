package metadata

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

func sampleInlineObject(t testing.TB) []byte {
	w := NewInlineWriter()
	for i := range 3 {
		if err := w.AddInline(Revision(10+i), bytes.Repeat([]byte{byte(i)}, 5*i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.AddInline(12, nil); err == nil {
		t.Error("a revision was added twice")
	}
	return w.Finish()
}

func TestInlineObjectComesBackAsItWent(t *testing.T) {
	b := sampleInlineObject(t)
	got, err := DecodeInlineObject(b)
	if err != nil || len(got) != 3 || got[2].Revision != 12 || !bytes.Equal(got[2].Bytes, bytes.Repeat([]byte{2}, 10)) {
		t.Fatalf("%+v, %v", got, err)
	}
	golden(t, "inline_object.v1", b)
	for i := range b {
		damaged := bytes.Clone(b)
		damaged[i] ^= 0x40
		if _, err := DecodeInlineObject(damaged); err == nil || !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
	for n := range b {
		if _, err := DecodeInlineObject(b[:n]); err == nil {
			t.Fatalf("%d of %d bytes were accepted", n, len(b))
		}
	}
}

func FuzzDecodeInlineObject(f *testing.F) {
	f.Add(sampleInlineObject(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := DecodeInlineObject(b)
		if err != nil {
			return
		}
		w := NewInlineWriter()
		for _, e := range list {
			if err := w.AddInline(e.Revision, e.Bytes); err != nil {
				return // revisions below 1
			}
		}
		if again, err := DecodeInlineObject(w.Finish()); err != nil || fmt.Sprint(again) != fmt.Sprint(list) {
			t.Fatalf("%v, %v", again, err)
		}
	})
}

// Every key that the program writes says again what is in it, and no class is
// forgotten: a class that NamedObjects does not know would be taken for garbage.
func TestKeysSayWhatTheyName(t *testing.T) {
	name := ObjectName{0x1234, LaneLow, 77, 3}
	for key, want := range map[string]ObjectKey{
		name.Key():                {Class: ObjectWAL, Incarnation: 1, Session: 0x1234, Name: name},
		ArchiveKey(2, 9, 0x55, 4): {Class: ObjectArchive, Incarnation: 2, Session: 0x55, Extent: 9},
		InlineKey(2, 9, 0x55, 4):  {Class: ObjectInline, Incarnation: 2, Session: 0x55, Extent: 9},
		CheckpointKey(2, 9, 0x55): {Class: ObjectCheckpoint, Incarnation: 2, Session: 0x55},
		IncarnationKey(3):         {Class: ObjectIncarnation, Incarnation: 3},
	} {
		if got, err := ParseObjectKey(key); err != nil || got != want {
			t.Errorf("%s: %+v, %v", key, got, err)
		}
		if _, err := ParseObjectKey(key + "x"); err == nil {
			t.Errorf("%sx was read", key)
		}
	}
	for c := ObjectClass(1); c < objectClassEnd; c++ {
		if c.String() == "unknown" {
			t.Errorf("class %d has no name", c)
		}
	}
	for _, key := range []string{"", "1", "0/wal/1/low-1-1", "1/other/3", "incarnation/1", "../x"} {
		if _, err := ParseObjectKey(key); err == nil {
			t.Errorf("%q was read", key)
		}
	}
}
