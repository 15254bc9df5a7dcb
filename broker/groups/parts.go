package groups

import (
	"slices"

	"github.com/zonewise/zonewise/metadata"
)

// parts is a set of partitions, sorted and without repeats. Sets are replaced,
// never changed in place, so that they can be shared.
type parts []metadata.TopicPartition

func comparePlaces(a, b metadata.TopicPartition) int { return a.Compare(b) }

// newParts makes a set of what came in any order.
func newParts(list []metadata.TopicPartition) parts {
	list = slices.Clone(list)
	slices.SortFunc(list, comparePlaces)
	return slices.Compact(list)
}

// split returns what p has in common with q, and what it has alone.
func (p parts) split(q parts) (both, alone parts) {
	for _, tp := range p {
		for len(q) > 0 && q[0].Compare(tp) < 0 {
			q = q[1:]
		}
		if len(q) > 0 && q[0] == tp {
			both = append(both, tp)
		} else {
			alone = append(alone, tp)
		}
	}
	return both, alone
}

// minus returns what of p is not in q.
func (p parts) minus(q parts) parts {
	if len(q) == 0 {
		return p
	}
	_, alone := p.split(q)
	return alone
}

// meets reports whether p and q have a partition in common.
func (p parts) meets(q parts) bool {
	both, _ := p.split(q)
	return len(both) > 0
}

// within reports whether all of p is in q.
func (p parts) within(q parts) bool { return len(p.minus(q)) == 0 }

// plus returns what is in p or q.
func (p parts) plus(q parts) parts {
	if len(q) == 0 {
		return p
	}
	return newParts(append(slices.Clone(p), q...))
}

func (p parts) equal(q parts) bool { return slices.Equal(p, q) }

// keep returns the partitions of p that ok lets through.
func (p parts) keep(ok func(metadata.TopicPartition) bool) (out parts) {
	for _, tp := range p {
		if ok(tp) {
			out = append(out, tp)
		}
	}
	return out
}
