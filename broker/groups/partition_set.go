package groups

import (
	"slices"

	"github.com/zonewise/zonewise/metadata"
)

// partitionSet is a sorted set of partitions. A set is never modified in place,
// so it can be shared.
type partitionSet []metadata.TopicPartition

func comparePartitions(a, b metadata.TopicPartition) int { return a.Compare(b) }

// newPartitionSet makes a set of a list in any order.
func newPartitionSet(list []metadata.TopicPartition) partitionSet {
	list = slices.Clone(list)
	slices.SortFunc(list, comparePartitions)
	return slices.Compact(list)
}

// split returns the partitions of p that are in q, and those that are not.
func (p partitionSet) split(q partitionSet) (both, alone partitionSet) {
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

// subtract returns the partitions of p that are not in q.
func (p partitionSet) subtract(q partitionSet) partitionSet {
	if len(q) == 0 {
		return p
	}
	_, alone := p.split(q)
	return alone
}

// intersects reports whether p and q have a partition in common.
func (p partitionSet) intersects(q partitionSet) bool {
	both, _ := p.split(q)
	return len(both) > 0
}

// isSubsetOf reports whether all of p is in q.
func (p partitionSet) isSubsetOf(q partitionSet) bool { return len(p.subtract(q)) == 0 }

// union returns the partitions in p or q.
func (p partitionSet) union(q partitionSet) partitionSet {
	if len(q) == 0 {
		return p
	}
	return newPartitionSet(append(slices.Clone(p), q...))
}

func (p partitionSet) equal(q partitionSet) bool { return slices.Equal(p, q) }

// filter returns the partitions of p for which ok is true.
func (p partitionSet) filter(ok func(metadata.TopicPartition) bool) (out partitionSet) {
	for _, tp := range p {
		if ok(tp) {
			out = append(out, tp)
		}
	}
	return out
}
