package s3stream

import (
	"bytes"
	"testing"
	"testing/synctest"
)

// Promise 7: caches are disposable. A store whose caches hold everything, and one
// that has just been opened, serve the same bytes, from every offset.
func TestEmptyCachesServeTheSameBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 11)
		warm := w.store(w.mem)
		w.fill(warm, 60, 4, 1<<14)
		for tp, want := range w.want {
			for range 2 {
				r, err := warm.Read(t.Context(), ReadRequest{Partition: tp, MaxBytes: 1 << 30, Until: w.end(tp)})
				if err != nil || !bytes.Equal(join(r), want) {
					t.Fatalf("%v, warm: %d bytes of %d, %v", tp, len(join(r)), len(want), err)
				}
			}
			cold := w.store(w.mem)
			if u := cold.Usage(); u.TailBytes != 0 || u.BlockBytes != 0 {
				t.Fatalf("a new store has %+v", u)
			}
			r, err := cold.Read(t.Context(), ReadRequest{Partition: tp, MaxBytes: 1 << 30, Until: w.end(tp)})
			if err != nil || !bytes.Equal(join(r), want) {
				t.Fatalf("%v, cold: %d bytes of %d, %v", tp, len(join(r)), len(want), err)
			}
			cold.Close()
		}
		warm.Close()
	})
}
