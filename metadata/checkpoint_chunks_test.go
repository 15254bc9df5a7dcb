package metadata

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// spanLog is a state whose partitions get spans of 16 offsets each.
type spanLog struct {
	*benchLog
	next Sequence // of the producer in every partition of the first group
}

func newSpanLog(t testing.TB, partitions int) *spanLog {
	_, l := bigState(t, partitions, 1)
	return &spanLog{l, 16}
}

// add appends n spans to each partition.
func (l *spanLog) add(t testing.TB, n int) {
	for range n {
		l.commit(t, l.produce(0, l.partitions, 1, l.next))
		l.next += 16
	}
}

// trim drops the spans before that ordinal, the first one's included.
func (l *spanLog) trim(t testing.TB, p Partition, ordinal int) {
	l.commit(t, &Entry{Commands: []Command{TrimPartition{l.topic, p, Offset(ordinal) * 16}, ReleaseQueued{MaxReleaseItems}}})
}

// checkpoint writes the state to a store, commits the checkpoint and reads it
// back.
func (l *spanLog) checkpoint(t testing.TB, c *Checkpointer, store *memStore) (key string, loaded *State) {
	t.Helper()
	key = CheckpointKey(1, l.s.revision, 1)
	if err := store.Put(t.Context(), key, c.Encode(l.s.snapshot(), key)); err != nil {
		t.Fatal(err)
	}
	c.Commit()
	loaded, err := LoadCheckpoint(t.Context(), store, key)
	if err != nil {
		t.Fatal(err)
	}
	return key, loaded
}

// A span more in each of many partitions rewrites their tails, not all of their
// spans.
func TestACheckpointHasTheTailsOfBusyPartitions(t *testing.T) {
	l, store := newSpanLog(t, 40), newMemStore()
	l.add(t, 10*spanChunk+20)
	var c Checkpointer
	first, _ := l.checkpoint(t, &c, store)
	l.add(t, 1)
	second, _ := l.checkpoint(t, &c, store)
	whole, more := len(store.objects[first]), len(store.objects[second])
	if more > whole/15 {
		t.Errorf("%d bytes after %d, of which a tenth is in tails", more, whole)
	}
	ix, err := DecodeCheckpointIndex(store.objects[second])
	if err != nil {
		t.Fatal(err)
	}
	chunks := 0
	ix.Chunks(func(_ TopicPartition, first uint64, count int, _ int64) {
		if first != 0 || count != 10 {
			t.Errorf("%d chunks from %d on", count, first)
		}
		chunks += count
	})
	if used := ix.Referenced()[1]; chunks != 400 || used < int64(whole)*9/10 {
		t.Errorf("%d chunks, %d bytes of the first object", chunks, used)
	}
}

// The index has at most 14 bytes for each chunk, and 10.5 where partitions have
// several, in one object or in many.
func TestTheIndexOfChunksIsSmall(t *testing.T) {
	l, store := newSpanLog(t, 40), newMemStore()
	var c Checkpointer
	for range 12 {
		l.add(t, spanChunk)
		key, _ := l.checkpoint(t, &c, store)
		chunks := 0
		e := checkpointEncoder{next: c.stored}
		x := checkpointIndexWriter{w: &e.w, number: map[*CheckpointObject]int{}, ends: make([]int64, maxCheckpointObjects)}
		e.next.each(func(at *pageLocation) {
			if _, known := x.number[at.object]; !known {
				x.number[at.object] = len(x.number)
			}
		})
		e.writeChunkIndex(&x)
		for _, list := range e.next.chunks {
			for i := range list {
				chunks += len(list[i].pages)
			}
		}
		each := float64(len(e.w.b)) / float64(chunks)
		if most := 10.5; each > most && chunks > 150 || each > 14 {
			t.Errorf("%d chunks take %.1f bytes each, at most %.1f", chunks, each, most)
		}
		t.Logf("%d chunks in %d objects, %d bytes: %.1f bytes each", chunks, len(c.References()), len(store.objects[key]), each)
	}
}

// What is loaded is the live state, span by span, whatever was appended, trimmed,
// deleted and created again between checkpoints; and both go on alike.
func TestCheckpointedSpansAreTheLiveOnes(t *testing.T) {
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 2))
		l, store := newSpanLog(t, 3), newMemStore()
		var c Checkpointer
		var loaded *State
		spans := [3]int{1, 1, 1} // of each partition, trimmed ones included
		sequence := [3]Sequence{16, 16, 16}
		commit := func(e *Entry) {
			entry := l.commit(t, e)
			if loaded != nil {
				if loaded.Apply(&entry); loaded.Hash() != l.s.Hash() {
					t.Fatalf("seed %d: hashes differ at revision %d", seed, l.rev)
				}
			}
		}
		for step := range 60 {
			p := rng.IntN(3)
			for range rng.IntN(2 * spanChunk) {
				commit(l.produce(p, 1, 1, sequence[p]))
				spans[p]++
				sequence[p] += 16
			}
			switch rng.IntN(8) {
			case 0, 1, 2:
				p := rng.IntN(3)
				commit(&Entry{Commands: []Command{TrimPartition{l.topic, Partition(p), Offset(rng.IntN(16*spans[p] + 1))}, ReleaseQueued{1 + rng.IntN(MaxReleaseItems)}}})
			case 3:
				p := rng.IntN(3)
				commit(&Entry{Commands: []Command{TrimPartition{l.topic, Partition(p), Offset(16 * spans[p])}, ReleaseQueued{MaxReleaseItems}}})
			case 4:
				if step%4 == 0 {
					commit(&Entry{Commands: []Command{DeleteTopic{l.topic}}})
					commit(&Entry{Commands: []Command{ReleaseQueued{MaxReleaseItems}, ReleaseQueued{MaxReleaseItems}, ReleaseQueued{MaxReleaseItems}, ReleaseQueued{MaxReleaseItems}}})
					commit(&Entry{Commands: []Command{CreateTopic{l.topic, "a", 3, 3, nil}}})
					spans, sequence = [3]int{}, [3]Sequence{}
				}
			case 5:
				c.Encode(l.s.snapshot(), "never stored")
			case 6:
				if loaded != nil {
					l.s = loaded // a broker goes on from a checkpoint
				}
			}
			if rng.IntN(3) > 0 {
				continue
			}
			_, loaded = l.checkpoint(t, &c, store)
			for p := range 3 {
				tp := TopicPartition{l.topic, Partition(p)}
				want, got := l.s.partitions.get(tp), loaded.partitions.get(tp)
				if !slices.Equal(got.spans, want.spans) || got.firstSpan != want.firstSpan || got.endSpan() != uint64(spans[p]) {
					t.Fatalf("seed %d: partition %d has spans %d to %d, want %d to %d", seed, p, got.firstSpan, got.endSpan(), want.firstSpan, want.endSpan())
				}
				if got.trimmedSpans > len(got.spans) {
					t.Errorf("seed %d: %d trimmed spans are kept before %d", seed, got.trimmedSpans, len(got.spans))
				}
			}
		}
	}
}

// A chunk of which spans were trimmed is still referred to, and they do not come
// back.
func TestTrimmedSpansOfAChunkStayAway(t *testing.T) {
	l, store := newSpanLog(t, 1), newMemStore()
	l.add(t, 20*spanChunk-1)
	var c Checkpointer
	first, _ := l.checkpoint(t, &c, store)
	l.trim(t, 0, spanChunk+100)
	_, loaded := l.checkpoint(t, &c, store)
	if got := c.References(); len(got) != 2 || got[1].Key != first {
		t.Fatalf("%v: the first object is not referred to", got)
	}
	spans := loaded.Spans(nil, TopicPartition{l.topic, 0}, 0, 30*spanChunk)
	if len(spans) != 19*spanChunk-100 || spans[0].First != 16*(spanChunk+100) {
		t.Fatalf("%d spans, the first at offset %d", len(spans), spans[0].First)
	}
	var whole Checkpointer // another broker writes what is left of the chunk
	if _, loaded = l.checkpointAgain(t, &whole, store); loaded.Hash() != l.s.Hash() {
		t.Fatal("hashes differ")
	}
}

// A partition that was deleted and created again under the same topic id has none
// of the former one's chunks.
func TestAPartitionCreatedAgainHasItsOwnChunks(t *testing.T) {
	l, store := newSpanLog(t, 1), newMemStore()
	l.add(t, 2*spanChunk)
	other := TopicID{9} // has most of the first object, which so stays
	l.commit(t, &Entry{Commands: []Command{CreateTopic{other, "other", 20, 3, nil}}})
	for i := range Sequence(4 * spanChunk) {
		e := l.produce(0, 20, 1, 16*i)
		e.Topics[0] = other
		l.commit(t, e)
	}
	var c Checkpointer
	l.checkpoint(t, &c, store)
	l.commit(t, &Entry{Commands: []Command{DeleteTopic{l.topic}}})
	l.commit(t, &Entry{Commands: []Command{CreateTopic{l.topic, "a", 1, 3, nil}}})
	l.next = 0
	l.add(t, 2*spanChunk)
	if _, loaded := l.checkpoint(t, &c, store); loaded.Hash() != l.s.Hash() || len(c.References()) != 2 {
		t.Fatalf("hash %016x, want %016x; objects %v", loaded.Hash(), l.s.Hash(), c.References())
	}
}

// checkpointAgain is checkpoint at the next revision.
func (l *spanLog) checkpointAgain(t testing.TB, c *Checkpointer, store *memStore) (string, *State) {
	l.commit(t, &Entry{Commands: []Command{RecordStateHash{}}})
	return l.checkpoint(t, c, store)
}

// A chunk that is missing, listed too often or damaged is named.
func TestWrongChunksAreNamed(t *testing.T) {
	l := newSpanLog(t, 2)
	l.add(t, 4*spanChunk-1)
	l.trim(t, 0, spanChunk+1)
	tp := TopicPartition{l.topic, 0}
	page := int(pageOfPartition(tp) % tablePages)
	name := func(chunk int) string { return fmt.Sprintf("chunk %d of the spans of partition %s/0", chunk, l.topic) }
	for what, c := range map[string]struct {
		spoil func(*chunkLocations)
		want  string
	}{
		"first missing":  {func(c *chunkLocations) { c.first, c.pages = c.first+1, c.pages[1:] }, name(1) + ": missing"},
		"last missing":   {func(c *chunkLocations) { c.pages = c.pages[:2] }, name(3) + ": missing"},
		"trimmed listed": {func(c *chunkLocations) { c.first, c.pages = 0, append(c.pages[:1:1], c.pages...) }, name(0) + ": trimmed, but listed"},
		"one too many":   {func(c *chunkLocations) { c.pages = append(c.pages[:3:3], c.pages[0]) }, name(4) + ": not full, but listed"},
		"swapped":        {func(c *chunkLocations) { c.pages = []pageLocation{c.pages[0], c.pages[2], c.pages[1]} }, name(3) + ": begins at offset"},
		"first in second's place": {func(c *chunkLocations) { c.pages = []pageLocation{c.pages[0], c.pages[0], c.pages[2]} },
			name(2) + ": corrupt: 1 spans are missing"},
		"another partition": {func(c *chunkLocations) { c.tp.Partition = 5 }, ""},
	} {
		t.Run(what, func(t *testing.T) {
			var ckpt Checkpointer
			ckpt.Encode(l.s.snapshot(), "a")
			ckpt.Commit()
			list := slices.Clone(ckpt.stored.chunks[page])
			c.spoil(&list[0])
			ckpt.stored.chunks[page] = list
			expectCorrupt(t, &ckpt, l.s, c.want)
		})
	}
	t.Run("all missing", func(t *testing.T) {
		var ckpt Checkpointer
		ckpt.Encode(l.s.snapshot(), "a")
		ckpt.Commit()
		ckpt.stored.chunks[page] = nil
		expectCorrupt(t, &ckpt, l.s, name(1)+": missing")
	})
	t.Run("listed twice", func(t *testing.T) {
		var ckpt Checkpointer
		ckpt.Encode(l.s.snapshot(), "a")
		ckpt.Commit()
		ckpt.stored.chunks[page] = append(ckpt.stored.chunks[page][:1:1], ckpt.stored.chunks[page]...)
		expectCorrupt(t, &ckpt, l.s, name(1)+": listed twice")
	})
	t.Run("begins late", func(t *testing.T) {
		store, early := newMemStore(), l.s.snapshot()
		l.trim(t, 0, spanChunk+9)
		var ckpt Checkpointer
		store.objects["a"] = ckpt.Encode(l.s.snapshot(), "a")
		ckpt.Commit()
		store.objects["b"] = ckpt.Encode(early, "b") // refers to what is left of the chunk later
		if _, err := LoadCheckpoint(t.Context(), store, "b"); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), name(1)+": begins with span 265") {
			t.Error(err)
		}
	})
	t.Run("damaged", func(t *testing.T) {
		var ckpt Checkpointer
		body := bytes.Clone(ckpt.Encode(l.s.snapshot(), "a"))
		at := ckpt.encoded.chunks[page][0].pages[1]
		body[at.position+int64(at.length)-1] ^= 1
		_, err := LoadCheckpoint(t.Context(), storeOf("a", body), "a")
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), name(2)+": corrupt: checksum") {
			t.Error(err)
		}
	})
}

// expectCorrupt loads a checkpoint that refers to the first one, as it was taken
// from the checkpointer.
func expectCorrupt(t *testing.T, c *Checkpointer, s *State, want string) {
	t.Helper()
	store := newMemStore()
	var again Checkpointer
	store.objects["a"] = again.Encode(s.snapshot(), "a")
	store.objects["b"] = c.Encode(s.snapshot(), "b")
	_, err := LoadCheckpoint(t.Context(), store, "b")
	if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}

// Objects of the version before are refused by name, not misread; and so is an
// earlier object of another size than it had.
func TestObjectsThatAreNotTheOnesMeantAreRefused(t *testing.T) {
	l, store := newSpanLog(t, 2), newMemStore()
	l.add(t, 2*spanChunk)
	var c Checkpointer
	first, _ := l.checkpoint(t, &c, store)
	l.add(t, 1)
	second, _ := l.checkpoint(t, &c, store)
	for _, o := range c.References() {
		if int64(len(store.objects[o.Key])) != o.Size {
			t.Errorf("%s has %d bytes, not %d", o.Key, len(store.objects[o.Key]), o.Size)
		}
	}
	old := bytes.Clone(store.objects[first])
	old[5] = 1
	if _, err := LoadCheckpoint(t.Context(), storeOf("k", old), "k"); !errors.Is(err, ErrVersion) || !strings.Contains(err.Error(), "unknown version 1, this build reads version 2") {
		t.Errorf("version 1: %v", err)
	}
	store.objects[first] = append(store.objects[first], 0)
	if _, err := LoadCheckpoint(t.Context(), store, second); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), first) {
		t.Errorf("longer: %v", err)
	}
}

// Spans come back from a chunk's page as they went, and no damage to it makes the
// decoder panic or read beyond it.
func FuzzDecodeChunk(f *testing.F) {
	l := newSpanLog(f, 1)
	l.add(f, spanChunk)
	l.trim(f, 0, 3)
	p := l.s.partitions.get(TopicPartition{l.topic, 0})
	var w writer
	w.writeChunk(p.chunkSpans(0))
	f.Add(w.b)
	f.Fuzz(func(t *testing.T, b []byte) {
		spans := make([]Span, spanChunk)
		r := newReader(b, 0)
		trimmed := r.readChunk(spans)
		if r.ExpectEnd() != nil {
			return
		}
		var w writer
		w.writeChunk(spans[trimmed:], trimmed)
		again := make([]Span, spanChunk)
		r = newReader(w.b, 0)
		if r.readChunk(again); r.ExpectEnd() != nil || !slices.Equal(again, spans) {
			t.Fatalf("not stable: %v", r.Err())
		}
	})
}
