package metadata

import (
	"maps"
	"math/rand/v2"
	"testing"
)

// A cowMap holds what a plain map does after the same changes, and its former
// copies keep what they had, through growth, emptying and growth again.
func TestCowMapIsAMapWhoseCopiesDoNotChange(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		keys := []int{3, 50, 2000}[seed%3]
		live, want := newCowMap[int, int](), map[int]int{}
		type former struct {
			m    cowMap[int, int]
			want map[int]int
		}
		var kept []former
		for step := range 8000 {
			k := rng.IntN(keys)
			grow := step/2000%2 == 0 // else it shrinks
			switch op := rng.IntN(10); {
			case op == 0 && rng.IntN(20) == 0:
				kept = append(kept, former{live, maps.Clone(want)})
				live = live.copyOnWrite()
			case op < 3 && grow || op < 8 && !grow:
				live.dropKey(k)
				delete(want, k)
			case op < 6:
				if v := live.mutable(k, cloneByValue); v != nil {
					*v += 1
					want[k]++
				}
			default:
				live.put(k, step)
				want[k] = step
			}
			if k := rng.IntN(keys); step%16 == 0 {
				got := live.get(k)
				if v, known := want[k]; known != (got != nil) || known && *got != v {
					t.Fatalf("seed %d, step %d: key %d is %v, want %v, %v", seed, step, k, got, v, known)
				}
			}
		}
		for k := range want { // empties it: buckets are given up, and made again
			live.dropKey(k)
		}
		if len(live.buckets) != 1 || live.len() != 0 {
			t.Fatalf("seed %d: an empty map has %d buckets, %d items", seed, len(live.buckets), live.len())
		}
		kept = append(kept, former{live, nil})
		for i, f := range kept {
			got := map[int]int{}
			for k, v := range f.m.all() {
				got[k] = *v
			}
			if !maps.Equal(got, f.want) || f.m.len() != len(f.want) {
				t.Fatalf("seed %d: copy %d of %d has %d items (%d counted), want %d", seed, i, len(kept), len(got), f.m.len(), len(f.want))
			}
		}
	}
}

// Every bucket of a cowMap is short, however many items there are: this bounds
// what a change after a copy costs, and what a put does.
func TestCowMapBucketsStayShort(t *testing.T) {
	m := newCowMap[int, int]()
	for i := range 100_000 {
		m.put(i, i)
	}
	longest := 0
	for _, b := range m.buckets {
		if b != nil {
			longest = max(longest, len(b.entries))
		}
	}
	if len(m.buckets) < 100_000/bucketItems-1 || longest > 8*bucketItems {
		t.Errorf("%d buckets, the longest of %d items", len(m.buckets), longest)
	}
}

// A look-up, and a change of what is not shared, allocate nothing: the key is not
// copied to the heap to be hashed.
func TestCowMapReadsAllocateNothing(t *testing.T) {
	m := newCowMap[CellKey, Quantity]()
	k := CellKey{Principal: "User:x", Group: "g"}
	m.put(k, Quantity{Lo: 1})
	if n := testing.AllocsPerRun(100, func() {
		if m.get(k) == nil || m.mutable(k, cloneByValue) == nil {
			t.Fatal("gone")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
