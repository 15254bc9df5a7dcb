package s3stream

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

func join(r ReadResult) []byte { return bytes.Join(r.Records, nil) }

// slow gives every request a delay that depends on what it is.
func slow(b bucket.Bucket) bucket.Bucket {
	return bucket.Delay(b, func(op bucket.Op, name string, attempt int, size int64) time.Duration {
		d := 10*time.Millisecond + time.Duration(size)*10 + time.Duration(attempt)
		for _, c := range name {
			d += time.Duration(c) * 37 * time.Nanosecond
		}
		return d
	})
}

// fill makes a partition of objects (own and others') and inline entries,
// some of them archived.
func (w *world) fill(store *Store, entries, most, value int) {
	for i := range entries {
		switch w.rng.IntN(5) {
		case 0, 1:
			parts := w.randomParts(2, min(value, 1<<12))
			w.commitInline(parts)
		case 2:
			w.commitObject(store, w.randomParts(most, value))
		default:
			w.commitObject(nil, w.randomParts(most, value))
		}
		if i == entries/2 {
			w.archive()
		}
	}
}

func TestEverythingIsReadBackFromEveryOffsetWhateverTheLimits(t *testing.T) {
	for seed := range uint64(6) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, seed)
			fault := bucket.NewFaultyBucket(slow(w.mem), bucket.FaultPlan{Seed: seed, Before: 0.05, Lost: 0.05}.Decide)
			defer fault.Close()
			retry := bucket.DefaultRetry()
			retry.Attempts = 10
			s := w.store(bucket.Retry(fault, retry), func(c *Config) {
				if seed%2 == 0 {
					c.Replica = placing{w}
				}
			})
			defer s.Close()
			value := []int{100, 20_000, 400_000}[seed%3]
			w.fill(s, 30, 6, value)
			for n := range 3 {
				tp := part(n)
				for range 12 {
					from := metadata.Offset(w.rng.Int64N(int64(w.end(tp)) + 1))
					want := w.wantFrom(tp, from)
					var got []byte
					for from < w.end(tp) {
						limit := w.rng.IntN(3 * value)
						r, err := s.Read(t.Context(), ReadRequest{Partition: tp, From: from, MaxBytes: limit, MinOne: true, Until: w.end(tp)})
						if err != nil {
							t.Fatal(err)
						}
						b := join(r)
						h, err := metadata.ParseBatchHeader(b)
						if err != nil || r.Next <= from || len(b) != r.Bytes || r.Bytes > limit && h.Size != r.Bytes {
							t.Fatalf("read from %d up to %d bytes: %d bytes, next %d, %v", from, limit, len(b), r.Next, err)
						}
						got = append(got, b...)
						from = r.Next
					}
					if !bytes.Equal(got, want) {
						t.Fatalf("seed %d: partition %d: %d bytes read, want %d", seed, n, len(got), len(want))
					}
				}
			}
		})
	}
}

func TestReadKeepsBelowUntilAndMaxBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		s := w.store(w.mem)
		defer s.Close()
		b := func() []byte { return makeBatch(batchSpec{producer: -1, records: 2, size: 100}) }
		w.commitObject(s, []ObjectPart{{Partition: part(0), Batches: [][]byte{b(), b(), b()}}})
		size := len(b())
		for _, c := range []struct {
			from, until metadata.Offset
			max         int
			one         bool
			bytes       int
			next        metadata.Offset
		}{
			{0, 6, 1 << 20, false, 3 * size, 6},
			{0, 4, 1 << 20, false, 2 * size, 4},
			{3, 6, 1 << 20, false, 2 * size, 6}, // begins before the offset asked for
			{0, 6, size, false, size, 2},
			{0, 6, size - 1, false, 0, 0},
			{0, 6, size - 1, true, size, 2},
			{0, 6, 0, true, size, 2},
			{0, 0, 1 << 20, true, 0, 0},
			{6, 6, 1 << 20, true, 0, 6},
		} {
			r, err := s.Read(t.Context(), ReadRequest{Partition: part(0), From: c.from, MaxBytes: c.max, MinOne: c.one, Until: c.until})
			if err != nil || r.Bytes != c.bytes || r.Next != c.next {
				t.Errorf("%+v: %d bytes, next %d, %v", c, r.Bytes, r.Next, err)
			}
		}
	})
}

// counted counts GETs.
func counted(ctx context.Context, n *atomic.Int64) context.Context {
	return bucket.WithObserver(ctx, func(a bucket.Attempt) {
		if a.Op == bucket.OpGet {
			n.Add(1)
		}
	})
}

func TestConcurrentReadersShareGETsAndEachGETIsPaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		s := w.store(slow(w.mem))
		defer s.Close()
		p := ObjectPart{Partition: part(0)}
		for range 30 {
			p.Batches = append(p.Batches, makeBatch(batchSpec{producer: -1, records: 3, size: 100_000}))
		}
		w.commitObject(nil, []ObjectPart{p})
		var gets atomic.Int64
		stats := make([]ReadStats, 20)
		var wg sync.WaitGroup
		for i := range stats {
			wg.Go(func() {
				r, err := s.Read(counted(t.Context(), &gets), ReadRequest{Partition: part(0), MaxBytes: 16 << 20, Until: w.end(part(0)), Stats: &stats[i]})
				if err != nil || !bytes.Equal(join(r), w.want[part(0)]) {
					t.Errorf("reader %d: %d bytes, %v", i, r.Bytes, err)
				}
			})
		}
		wg.Wait()
		if n := gets.Load(); n != 3 { // 9 MB in GETs of 4 MiB
			t.Errorf("%d GETs", n)
		}
		var paid uint32
		for _, st := range stats {
			paid += st.GETs
		}
		if paid != 3 {
			t.Errorf("%d GETs paid", paid)
		}
	})
}

func TestAReaderThatLeavesDoesNotFailTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		s := w.store(slow(w.mem))
		defer s.Close()
		w.commitObject(nil, []ObjectPart{{Partition: part(0), Batches: [][]byte{makeBatch(batchSpec{producer: -1, records: 1, size: 50_000})}}})
		req := ReadRequest{Partition: part(0), MaxBytes: 1 << 20, Until: 1}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := s.Read(ctx, req); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("impatient: %v", err)
			}
		})
		wg.Go(func() {
			time.Sleep(time.Millisecond)
			if r, err := s.Read(t.Context(), req); err != nil || r.Next != 1 {
				t.Errorf("patient: %v", err)
			}
		})
		wg.Wait()
	})
}

func TestAReplayDoesNotEvictTheTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		s := w.store(slow(w.mem), func(c *Config) { c.BlockBytes = MinBlockBytes })
		defer s.Close()
		big := func() []byte { return makeBatch(batchSpec{producer: -1, records: 1, size: 1 << 20}) }
		for range 100 { // of another broker: 100 MiB through a cache of 32 MiB
			w.commitObject(nil, []ObjectPart{{Partition: part(0), Batches: [][]byte{big()}}})
		}
		// Blocks that were asked for again after they had left stay, too.
		hot := func() ReadStats {
			var st ReadStats
			if _, err := s.Read(t.Context(), ReadRequest{Partition: part(1), MaxBytes: 1 << 20, Until: 1, Stats: &st}); err != nil {
				t.Fatal(err)
			}
			return st
		}
		w.commitObject(nil, []ObjectPart{{Partition: part(1), Batches: [][]byte{makeBatch(batchSpec{producer: -1, records: 1, size: 1000})}}})
		w.commitObject(s, []ObjectPart{{Partition: part(2), Batches: [][]byte{makeBatch(batchSpec{producer: -1, records: 1, size: 1000})}}})
		replay := func(from, until metadata.Offset) {
			for from < until {
				r, err := s.Read(t.Context(), ReadRequest{Partition: part(0), From: from, MaxBytes: 2 << 20, MinOne: true, Until: until})
				if err != nil {
					t.Fatal(err)
				}
				from = r.Next
			}
		}
		hot()
		replay(0, 40)
		if hot().GETs != 1 {
			t.Error("a block used once stayed through a replay: the test has no teeth")
		}
		replay(40, 100)
		if st := hot(); st.GETs != 0 || st.Block == 0 {
			t.Errorf("a block used twice was evicted by a replay: %+v", st)
		}
		var tail ReadStats
		if _, err := s.Read(t.Context(), ReadRequest{Partition: part(2), MaxBytes: 1 << 20, Until: 1, Stats: &tail}); err != nil || tail.Tail == 0 || tail.GETs != 0 {
			t.Errorf("tail: %+v, %v", tail, err)
		}
		if u := s.Usage(); u.BlockBytes > MinBlockBytes {
			t.Errorf("%d bytes of blocks", u.BlockBytes)
		}
	})
}

func TestSequentialReadsAreReadAheadAndNeedFewGETs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4)
		s := w.store(slow(w.mem))
		p := ObjectPart{Partition: part(0)}
		for range 320 {
			p.Batches = append(p.Batches, makeBatch(batchSpec{producer: -1, records: 1, size: 100_000}))
		}
		w.commitObject(nil, []ObjectPart{p}) // 32 MB
		var gets atomic.Int64
		var stats ReadStats
		begun := time.Now()
		for from := metadata.Offset(0); from < 320; {
			r, err := s.Read(counted(t.Context(), &gets), ReadRequest{Partition: part(0), From: from, MaxBytes: 1 << 20, MinOne: true, Until: 320, Stats: &stats})
			if err != nil {
				t.Fatal(err)
			}
			from = r.Next
			time.Sleep(25 * time.Millisecond) // what a consumer does with 1 MB
		}
		took := time.Since(begun)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if n := gets.Load(); n > 18 || // 32 MB in GETs of up to 4 MiB, smaller ones while the window grows
			uint64(stats.GETs)+s.Usage().UnclaimedGETs != uint64(n) {
			t.Errorf("%d GETs, of which %d paid and %d unclaimed", n, stats.GETs, s.Usage().UnclaimedGETs)
		}
		if took > 1500*time.Millisecond { // virtual; without read-ahead 32 x 45 ms and more
			t.Errorf("took %v", took)
		}
	})
}

func TestArchivedInlineSpansAreReadInFewGETs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 9)
		s := w.store(slow(w.mem), func(c *Config) { c.Replica = placing{w} })
		defer s.Close()
		for i := range 600 {
			w.commitInline([]ObjectPart{{Partition: part(0), Batches: [][]byte{makeBatch(batchSpec{producer: -1, records: 1, size: 4000})}}})
			if i%200 == 199 {
				w.archive()
			}
		}
		var stats ReadStats
		var got []byte
		for from := metadata.Offset(0); from < 600; {
			r, err := s.Read(t.Context(), ReadRequest{Partition: part(0), From: from, MaxBytes: 100_000, MinOne: true, Until: 600, Stats: &stats})
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, join(r)...)
			from = r.Next
		}
		if !bytes.Equal(got, w.want[part(0)]) || stats.GETs > 12 {
			t.Errorf("%d bytes, %+v", len(got), stats)
		}
	})
}

func TestCorruptBytesAreAnErrorThatNamesObjectAndCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 5)
		name := w.commitObject(nil, []ObjectPart{{Partition: part(0), Batches: [][]byte{
			makeBatch(batchSpec{producer: -1, records: 1, size: 5000}), makeBatch(batchSpec{producer: -1, records: 1, size: 5000})}}})
		body, _ := w.mem.Get(t.Context(), name.Key(), 0, -1)
		body[walHeaderSize+6000] ^= 4
		_, _ = w.mem.Delete(t.Context(), name.Key())
		_ = w.mem.Put(t.Context(), name.Key(), body)
		s := w.store(slow(w.mem))
		defer s.Close()
		r, err := s.Read(t.Context(), ReadRequest{Partition: part(0), MaxBytes: 1 << 20, Until: 2})
		if err != nil || r.Next != 1 {
			t.Fatalf("what is whole before the damage must be served: next %d, %v", r.Next, err)
		}
		_, err = s.Read(t.Context(), ReadRequest{Partition: part(0), From: 1, MaxBytes: 1 << 20, Until: 2})
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) || corrupt.Object != name.Key() || !strings.Contains(err.Error(), "zonewise dump object "+name.Key()) {
			t.Error(err)
		}
		// Mended in the bucket, it is served: nothing of it was cached.
		body[walHeaderSize+6000] ^= 4
		_, _ = w.mem.Delete(t.Context(), name.Key())
		_ = w.mem.Put(t.Context(), name.Key(), body)
		if r, err := s.Read(t.Context(), ReadRequest{Partition: part(0), From: 1, MaxBytes: 1 << 20, Until: 2}); err != nil || r.Next != 2 {
			t.Error(err)
		}
	})
}

func TestAnAbsentObjectIsLookedUpAgainBehindABarrier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 6)
		name := w.commitObject(nil, []ObjectPart{{Partition: part(0), Batches: [][]byte{makeBatch(batchSpec{producer: -1, records: 1, size: 10})}}})
		body, _ := w.mem.Get(t.Context(), name.Key(), 0, -1)
		_, _ = w.mem.Delete(t.Context(), name.Key())
		s := w.store(slow(w.mem))
		defer s.Close()
		req := ReadRequest{Partition: part(0), MaxBytes: 1 << 20, Until: 1}
		if _, err := s.Read(t.Context(), req); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), name.Key()) || w.barriers == 0 {
			t.Errorf("%v after %d barriers", err, w.barriers)
		}
		if n := s.Usage().UnclaimedGETs; n != maxReadTries {
			t.Errorf("%d GETs answered 404 are accounted for, want %d", n, maxReadTries)
		}
		w.onBarrer = func() { _ = w.mem.Put(context.Background(), name.Key(), body) } // the state moved on
		if r, err := s.Read(t.Context(), req); err != nil || r.Next != 1 {
			t.Error(err)
		}
	})
}

func TestABusyBucketIsRetriable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 7)
		w.commitObject(nil, []ObjectPart{{Partition: part(0), Batches: [][]byte{makeBatch(batchSpec{producer: -1, records: 1, size: 10})}}})
		fault := bucket.NewFaultyBucket(w.mem, func(bucket.Op, string, int) bucket.InjectedFault { return bucket.InjectedFault{} })
		s := w.store(fault)
		defer s.Close()
		fault.SetDown(true)
		req := ReadRequest{Partition: part(0), MaxBytes: 1 << 20, Until: 1}
		if _, err := s.Read(t.Context(), req); !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrCorrupt) {
			t.Error(err)
		}
		fault.SetDown(false)
		if _, err := s.Read(t.Context(), req); err != nil {
			t.Error(err)
		}
	})
}

func TestUploadCountsBillablePutsAndFillsTheTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 8)
		fates := map[int]bucket.FaultKind{1: bucket.FaultRefused, 2: bucket.FaultAnswerLost}
		fault := bucket.NewFaultyBucket(w.mem, func(op bucket.Op, _ string, attempt int) bucket.InjectedFault {
			if op != bucket.OpPut {
				return bucket.InjectedFault{}
			}
			return bucket.InjectedFault{Kind: fates[attempt]}
		})
		s := w.store(bucket.Retry(fault, bucket.DefaultRetry()))
		defer s.Close()
		name := w.nextName()
		body, _, _ := EncodeWAL(name, w.randomParts(2, 100))
		puts, err := s.Upload(t.Context(), name, body)
		if err != nil || puts != 1 { // 503 is free, the lost one was not seen, 412 is billed
			t.Errorf("%d puts, %v", puts, err)
		}
		if got, ok := s.tail.get(name); !ok || !bytes.Equal(got, body) {
			t.Error("not in the tail cache")
		}
		other := w.nextName()
		if _, err := s.Upload(t.Context(), other, body); err == nil {
			t.Error("a body went out under another's name")
		}
		fault.SetDown(true)
		body, _, _ = EncodeWAL(other, w.randomParts(2, 100))
		if _, err := s.Upload(t.Context(), other, body); !errors.Is(err, bucket.ErrBusy) {
			t.Error(err)
		}
		if _, ok := s.tail.get(other); ok {
			t.Error("what did not land is in the tail cache")
		}
	})
}
