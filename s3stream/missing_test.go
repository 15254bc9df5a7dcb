package s3stream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/zonewise/zonewise/metadata"
)

// trim raises a partition's log start.
func (w *world) trim(tp metadata.TopicPartition, to metadata.Offset) {
	out := w.apply(metadata.LaneControl, &metadata.Entry{Commands: []metadata.Command{metadata.TrimPartition{Topic: tp.Topic, Partition: tp.Partition, LogStart: to}}})
	if out.Code != metadata.CodeOK || out.Commands[0].Code != metadata.CodeOK {
		w.t.Fatalf("trim: %+v", out)
	}
}

func (w *world) deleteTopic() {
	out := w.apply(metadata.LaneControl, &metadata.Entry{Commands: []metadata.Command{metadata.DeleteTopic{ID: topic}}})
	if out.Code != metadata.CodeOK || out.Commands[0].Code != metadata.CodeOK {
		w.t.Fatalf("delete: %+v", out)
	}
}

// An object that is missing has been deleted since the state was read, is
// missing although it should be there, or nobody can tell which: in that order
// the offset was deleted, something is damaged, or the reader tries again.
func TestWhatIsMissingIsJudgedByANewerState(t *testing.T) {
	one := func() []ObjectPart {
		return []ObjectPart{{Partition: part(0), Batches: [][]byte{makeBatch(batchSpec{producer: -1, records: 1, size: 10})}}}
	}
	commits := map[string]func(*world) (object string){
		"object": func(w *world) string { return w.commitObject(nil, one()).Key() },
		"archive": func(w *world) string {
			w.commitInline(one())
			w.archive()
			var ref metadata.ArchiveRef
			w.View(func(st *metadata.State) { ref = st.Archives()[0] })
			return ref.Object
		},
	}
	timedOut := fmt.Errorf("read barrier: %w", context.DeadlineExceeded)
	cases := map[string]struct {
		during  func(*world) // the barrier
		barrier error
		want    error
	}{
		"trimmed meanwhile":            {func(w *world) { w.trim(part(0), 1) }, nil, ErrTrimmed},
		"its topic deleted meanwhile":  {(*world).deleteTopic, nil, ErrTrimmed},
		"still named":                  {func(*world) {}, nil, ErrCorrupt},
		"no barrier":                   {func(*world) {}, timedOut, ErrUnavailable},
		"trimmed, and no barrier told": {func(w *world) { w.trim(part(0), 1) }, timedOut, ErrUnavailable},
	}
	for what, commit := range commits {
		for name, c := range cases {
			for _, located := range []bool{false, true} {
				t.Run(fmt.Sprint(what, "/", name, "/", located), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						w := newWorld(t, 6)
						key := commit(w)
						w.commitObject(nil, one()) // what follows must not be returned in its place
						if _, err := w.mem.Delete(t.Context(), key); err != nil {
							t.Fatal(err)
						}
						s := w.store(slow(w.mem), func(c *Config) {
							if located {
								c.Replica = placing{w}
							}
						})
						defer s.Close()
						first := true
						w.onBarrer = func() {
							if first {
								c.during(w)
							}
							first = false
						}
						w.barrierErr = c.barrier
						r, err := s.Read(t.Context(), ReadRequest{Partition: part(0), MaxBytes: 1 << 20, Until: 2})
						for _, e := range []error{ErrTrimmed, ErrCorrupt, ErrUnavailable} {
							if errors.Is(err, e) != (e == c.want) {
								t.Errorf("error %v, want %v", err, c.want)
							}
						}
						if r.Bytes > 0 || r.Next != 0 || w.barriers == 0 {
							t.Errorf("%d bytes, next %d, after %d barriers", r.Bytes, r.Next, w.barriers)
						}
						if c.want == ErrCorrupt && !strings.Contains(err.Error(), key) {
							t.Errorf("the error does not name %s: %v", key, err)
						}
					})
				})
			}
		}
	}
}

// The same for a search by time, which goes on behind the log start.
func TestASearchIsJudgedByANewerState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 6)
		batch := func(ts metadata.UnixMilli) []ObjectPart {
			return []ObjectPart{{Partition: part(0), Batches: [][]byte{makeBatch(batchSpec{producer: -1, records: 1, size: 10, ts: ts})}}}
		}
		name := w.commitObject(nil, batch(100))
		w.commitObject(nil, batch(200))
		if _, err := w.mem.Delete(t.Context(), name.Key()); err != nil {
			t.Fatal(err)
		}
		s := w.store(w.mem)
		defer s.Close()
		if _, _, _, err := s.OffsetForTime(t.Context(), part(0), 50); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), name.Key()) {
			t.Errorf("still named: %v", err)
		}
		w.barrierErr = fmt.Errorf("read barrier: %w", context.DeadlineExceeded)
		if _, _, _, err := s.OffsetForTime(t.Context(), part(0), 50); !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrCorrupt) {
			t.Errorf("no barrier: %v", err)
		}
		w.barrierErr, w.onBarrer = nil, func() { w.trim(part(0), 1) }
		if at, ts, found, err := s.OffsetForTime(t.Context(), part(0), 50); err != nil || !found || at != 1 || ts != 200 {
			t.Errorf("trimmed meanwhile: %d at %d, %v, %v", at, ts, found, err)
		}
	})
}

// A read from below the log start returns nothing from behind it, also where
// nothing is missing.
func TestAReadBelowTheLogStartReturnsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 6)
		b := func() []byte { return makeBatch(batchSpec{producer: -1, records: 2, size: 10}) }
		w.commitObject(nil, []ObjectPart{{Partition: part(0), Batches: [][]byte{b(), b()}}})
		s := w.store(w.mem)
		defer s.Close()
		w.trim(part(0), 3)
		for from, want := range []error{ErrTrimmed, ErrTrimmed, ErrTrimmed, nil} {
			r, err := s.Read(t.Context(), ReadRequest{Partition: part(0), From: metadata.Offset(from), MaxBytes: 1 << 20, Until: 4})
			if !errors.Is(err, want) || (r.Bytes > 0) != (want == nil) {
				t.Errorf("from %d: %d bytes, %v, want %v", from, r.Bytes, err, want)
			}
		}
		if w.barriers != 0 {
			t.Errorf("%d barriers", w.barriers)
		}
	})
}

// A reader that leaves during the barrier gets its own error.
func TestAReaderThatLeavesDuringTheBarrierGetsItsOwnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 6)
		name := w.commitObject(nil, []ObjectPart{{Partition: part(0), Batches: [][]byte{makeBatch(batchSpec{producer: -1, records: 1, size: 10})}}})
		if _, err := w.mem.Delete(t.Context(), name.Key()); err != nil {
			t.Fatal(err)
		}
		s := w.store(w.mem)
		defer s.Close()
		ctx, leave := context.WithCancel(t.Context())
		w.onBarrer = leave
		if _, err := s.Read(ctx, ReadRequest{Partition: part(0), MaxBytes: 1 << 20, Until: 1}); !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnavailable) {
			t.Error(err)
		}
	})
}
