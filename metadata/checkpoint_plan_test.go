package metadata

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// What is kept is at least half needed, larger than what is written, and within
// the limit; nothing else is written again.
func TestPlanRewrite(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 20_000 {
		objects := make([]objectUse, rng.IntN(2*maxCheckpointObjects))
		for i := range objects {
			size := int64(math.Exp(rng.Float64() * 18))
			objects[i] = objectUse{size, int64(math.Pow(rng.Float64(), 0.3) * float64(size))}
		}
		fresh := int64(math.Exp(rng.Float64() * 18))
		rewrite := planRewrite(objects, fresh)
		if !slices.IsSorted(rewrite) || len(slices.Compact(slices.Clone(rewrite))) != len(rewrite) {
			t.Fatalf("%v", rewrite)
		}
		written := fresh
		for _, i := range rewrite {
			written += objects[i].referenced
		}
		kept := len(objects) - len(rewrite)
		for i, o := range objects {
			switch {
			case slices.Contains(rewrite, i):
				if 2*o.referenced >= o.size && o.referenced > written-o.referenced && kept < maxCheckpointObjects-1 {
					t.Fatalf("%d of %d bytes are written again beside %d, %d objects are kept: %v", o.referenced, o.size, written, kept, objects)
				}
			case 2*o.referenced < o.size || o.referenced <= written || kept >= maxCheckpointObjects:
				t.Fatalf("%d of %d bytes are kept beside %d, with %d objects: %v", o.referenced, o.size, written, kept, objects)
			}
		}
	}
}

// A thousand checkpoints of a state that grows and is trimmed: the bytes written,
// the number of objects and what they hold in vain are bounded as planRewrite
// says.
func TestRewritingCostsALogarithm(t *testing.T) {
	for _, c := range []struct {
		name string
		keep int // spans of a partition; 0: all
		grow func(rng *rand.Rand) int
	}{
		{"growing evenly", 0, func(*rand.Rand) int { return 8 }},
		{"growing in large steps", 0, func(rng *rand.Rand) int { return int(math.Exp(rng.Float64() * 4)) }},
		{"trimmed evenly", 1500, func(*rand.Rand) int { return 20 }},
		{"trimmed in large steps", 1500, func(rng *rand.Rand) int { return int(math.Exp(rng.Float64() * 5)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(3, 3))
			l, store := newSpanLog(t, 12), newMemStore()
			var ckpt Checkpointer
			m := rewriteMeter{store: store}
			at := make([]Offset, l.partitions)
			for i := range 1000 {
				for range c.grow(rng) {
					p := rng.IntN(1 + rng.IntN(l.partitions))
					l.commit(t, l.produce(p, 1, 1, 16+Sequence(at[p])))
					at[p] += 16
					if low := at[p] - 16*Offset(c.keep); c.keep > 0 && low > 0 && rng.IntN(64) == 0 {
						l.commit(t, &Entry{Commands: []Command{TrimPartition{l.topic, Partition(p), low}, ReleaseQueued{MaxReleaseItems}}})
					}
				}
				key := CheckpointKey(1, l.s.revision, 1)
				body := ckpt.Encode(l.s.snapshot(), key)
				if err := store.Put(t.Context(), key, body); err != nil {
					t.Fatal(err)
				}
				m.count(t, &ckpt, int64(len(body)))
				ckpt.Commit()
				if i%100 == 99 {
					if _, err := LoadCheckpoint(t.Context(), store, key); err != nil {
						t.Fatal(err)
					}
				}
			}
			each := float64(m.written) / float64(m.changed)
			bound := 2 + 2*math.Log2(float64(m.largest)*1000/float64(m.changed))
			t.Logf("%.2f bytes for each changed one, at most %.1f; up to %d objects, %d bytes", each, bound, m.objects, m.largest)
			if each > bound {
				t.Errorf("%.2f bytes are written for each changed one, more than %.2f", each, bound)
			}
		})
	}
}

// rewriteMeter adds up what checkpoints write and refer to.
type rewriteMeter struct {
	store            *memStore
	known            map[string]bool // pages of the checkpoint before, with their versions
	changed, written int64           // bytes
	largest          int64           // bytes that one refers to
	objects          int             // that one refers to, at most
}

func (m *rewriteMeter) count(t *testing.T, c *Checkpointer, written int64) {
	t.Helper()
	now, own := map[string]bool{}, c.References()[0].Key
	var older, changed int64 // bytes of pages
	page := func(name string, at *pageLocation) {
		now[name] = true
		if at.object.Key != own {
			older += int64(at.length)
		}
		if !m.known[name] {
			changed += int64(at.length)
		}
	}
	for table, list := range c.encoded.tables {
		for i := range list {
			if list[i].object != nil {
				page(fmt.Sprint(table, i, list[i].version), &list[i].pageLocation)
			}
		}
	}
	for _, list := range c.encoded.chunks {
		for _, of := range list {
			for i := range of.pages {
				page(fmt.Sprint(of.tp, of.created, of.first+uint64(i)), &of.pages[i])
			}
		}
	}
	m.known, m.changed, m.written = now, m.changed+changed, m.written+written
	objects := c.References()
	var all int64
	for _, o := range objects {
		if stored := int64(len(m.store.objects[o.Key])); stored != o.Size {
			t.Fatalf("%s has %d bytes, not %d", o.Key, stored, o.Size)
		}
		all += o.Size
	}
	m.largest, m.objects = max(m.largest, all), max(m.objects, len(objects))
	if len(objects) > maxCheckpointObjects || 2*(older+written) < all {
		t.Fatalf("%d objects of %d bytes: this one of %d, and %d of pages", len(objects), all, written, older)
	}
}

// Equal changes keep a handful of objects, and shrinking ones the limit.
func TestObjectsAreFew(t *testing.T) {
	for _, c := range []struct {
		name  string
		fresh func(i int) int64
		most  int
	}{
		{"equal", func(int) int64 { return 1000 }, 11},
		{"shrinking", func(i int) int64 { return 10_000 - int64(i) }, maxCheckpointObjects},
	} {
		var objects []objectUse
		written, changed, most := int64(0), int64(0), 0
		for i := range 1000 {
			size := c.fresh(i)
			changed += size
			rewrite := planRewrite(objects, size)
			for _, r := range slices.Backward(rewrite) {
				size += objects[r].referenced
				objects = slices.Delete(objects, r, r+1)
			}
			objects = append(objects, objectUse{size, size})
			written, most = written+size, max(most, len(objects))
		}
		each := float64(written) / float64(changed)
		t.Logf("%s: %d objects, %.2f bytes for each changed one", c.name, most, each)
		if most > c.most || each > 2+2*math.Log2(1000) {
			t.Errorf("%s: %d objects, want up to %d; %.2f bytes for each changed one", c.name, most, c.most, each)
		}
	}
}
