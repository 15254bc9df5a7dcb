package metadata

import (
	"cmp"
	"slices"
)

// maxCheckpointObjects is how many objects one checkpoint refers to at most,
// itself included.
const maxCheckpointObjects = 24

// objectUse is how much of an earlier object a new checkpoint would refer to.
type objectUse struct{ size, referenced int64 }

// planRewrite decides which earlier objects a checkpoint replaces: the pages that
// it needs of them are written again, into the new object, which has fresh bytes
// of its own. It returns the indexes of those objects, in the order of objects.
//
//  1. Objects of which less than half is still needed.
//  2. From the one of the fewest needed bytes on, each that needs no more bytes
//     than are written before it; and as many as it takes to stay within
//     maxCheckpointObjects.
//
// So what a checkpoint refers to is at least half of the objects that it keeps.
// What rule 1 writes is less than what it frees, so at most as much as everything
// else. What rule 2 writes lands in an object of twice its bytes, so a page is
// written by it once for each doubling of the state over what a checkpoint
// changes: all in all, 2 + 2*log2(state / change) bytes are written for each
// changed byte at most, and objects are as many as doublings unless changes shrink
// each time. TestRewritingCostsALogarithm, a thousand checkpoints of a state that
// grows to 200 times a change: 2.8 to 3.9 bytes for each changed one, 6 objects.
func planRewrite(objects []objectUse, fresh int64) []int {
	order := make([]int, len(objects))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Or(cmp.Compare(objects[a].referenced, objects[b].referenced), a-b) })
	var rewrite []int
	written, kept := fresh, order[:0]
	for _, i := range order {
		if o := objects[i]; 2*o.referenced < o.size {
			rewrite, written = append(rewrite, i), written+o.referenced
		} else {
			kept = append(kept, i)
		}
	}
	for len(kept) > 0 && (objects[kept[0]].referenced <= written || len(kept) >= maxCheckpointObjects) {
		rewrite, written = append(rewrite, kept[0]), written+objects[kept[0]].referenced
		kept = kept[1:]
	}
	slices.Sort(rewrite)
	return rewrite
}
