package s3stream

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"github.com/zonewise/zonewise/metadata"
)

func TestWhatABlockCallsCheckedWasChecked(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var b block
		var checked [64]bool
		for range 40 {
			from := rng.Int64N(60)
			to := from + 1 + rng.Int64N(64-from)
			if rng.IntN(2) == 0 {
				b.setChecked(from, to)
				for i := from; i < to; i++ {
					checked[i] = true
				}
				continue
			}
			if b.isChecked(from, to) && bytes.Contains(boolBytes(checked[from:to]), []byte{0}) {
				t.Fatalf("%d to %d: not all of it was checked", from, to)
			}
		}
	}
	var b block
	for at := int64(0); at < 100; at += 10 {
		b.setChecked(at, at+10)
	}
	if !b.isChecked(0, 100) || b.isChecked(0, 101) {
		t.Error("neighbours do not join")
	}
}

func boolBytes(in []bool) []byte {
	out := make([]byte, len(in))
	for i, v := range in {
		if v {
			out[i] = 1
		}
	}
	return out
}

func TestEvictedBlocksReportTheGETsThatNobodyUsed(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 2))
	var lost uint32
	c := newBlockCache(100, func(n uint32) { lost += n })
	c.ghostLimit = 5
	var made, paid uint32
	for i := range 3000 {
		key := blockKey{at: int64(rng.IntN(60))}
		g := &blockFetch{}
		b, mine := c.startFetch(key, g)
		if mine {
			second, also := c.startFetch(blockKey{at: 1000 + int64(i)}, g) // of the same GET
			if !also {
				t.Fatal("not ours")
			}
			g.countAttempt()
			made++
			c.finishFetch(b, make([]byte, 5), nil)
			c.finishFetch(second, make([]byte, 5), nil)
		}
		if rng.IntN(3) == 0 {
			paid += b.fetch.takeUnclaimed()
		}
		if n, size := c.size(); size > 100 || size != int64(5*n) || c.bytes[0] != int64(5*c.first.Len()) || len(c.ghostElements) > 5 {
			t.Fatalf("%d blocks of %d bytes, %d ghosts", n, size, len(c.ghostElements))
		}
	}
	lost += c.takeAllUnclaimed()
	if made != paid+lost || lost == 0 || c.main.Len() == 0 {
		t.Errorf("%d GETs, %d paid and %d lost", made, paid, lost)
	}
}

func TestReadersNeverChangeWhatCachesHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 11)
		s := w.store(w.mem, func(c *Config) { c.TailBytes = 8 << 20 })
		defer s.Close()
		w.commitObject(nil, []ObjectPart{{Partition: part(0), Batches: [][]byte{makeBatch(batchSpec{producer: -1, records: 9, size: 1})}}})
		p := ObjectPart{Partition: part(0)}
		for _, size := range []int{10, 9000, 3, 700_000} {
			p.Batches = append(p.Batches, makeBatch(batchSpec{producer: -1, records: 2, size: size}))
		}
		names := []metadata.ObjectName{w.commitObject(s, []ObjectPart{p}), w.commitObject(nil, []ObjectPart{p})}
		r, err := s.Read(t.Context(), ReadRequest{Partition: part(0), MaxBytes: 16 << 20, Until: w.end(part(0))})
		if err != nil || !bytes.Equal(join(r), w.want[part(0)]) {
			t.Fatal(err)
		}
		for i, name := range names {
			stored, _ := w.mem.Get(t.Context(), name.Key(), 0, -1)
			cached, inTail := s.tail.get(name)
			for at := int64(0); !inTail && at < int64(len(stored)); at += blockBytes {
				if b, ok := s.blocks.lookup(blockKey{name: name, at: at}); ok {
					cached = append(cached, b.data...)
				}
			}
			if inTail != (i == 0) || len(cached) == 0 || !bytes.HasPrefix(stored, cached) {
				t.Errorf("object %d: the cache holds other bytes than the bucket", i)
			}
		}
	})
}

// archiver archives everything between the look at the state and the look
// for the inline bytes.
type archiver struct {
	*world
	armed bool
}

func (a *archiver) InlineBytes(rev metadata.Revision) ([]byte, bool) {
	if a.armed {
		a.armed = false
		a.archive()
	}
	return a.world.InlineBytes(rev)
}

func TestInlineBytesArchivedUnderAReaderAreFoundInTheArchive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 12)
		a := &archiver{world: w, armed: true}
		s := w.store(w.mem, func(c *Config) { c.Replica = a })
		defer s.Close()
		w.commitInline([]ObjectPart{{Partition: part(0), Batches: [][]byte{makeBatch(batchSpec{producer: -1, records: 1, size: 10})}}})
		r, err := s.Read(t.Context(), ReadRequest{Partition: part(0), MaxBytes: 1 << 20, Until: 1})
		if err != nil || !bytes.Equal(join(r), w.want[part(0)]) || a.armed {
			t.Error(err)
		}
	})
}
