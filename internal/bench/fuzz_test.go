package bench

import (
	"bytes"
	"testing"
)

func FuzzRecordsAreReadBackOrRefused(f *testing.F) {
	f.Add(value(1, 2))
	f.Add([]byte(recordMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s recordStamp
		if s.decode(b, castagnoli()) != nil {
			return
		}
		again := bytes.Clone(b)
		s.encode(again, castagnoli())
		if !bytes.Equal(again, b) {
			t.Errorf("%x came back as %x", b, again)
		}
	})
}
