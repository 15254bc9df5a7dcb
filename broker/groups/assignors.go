package groups

import (
	"cmp"
	"slices"

	"github.com/zonewise/zonewise/metadata"
)

// The server-side assignors of the consumer protocol (KIP-848).
const (
	assignorUniform = "uniform" // equal numbers of partitions, few moves; the default
	assignorRange   = "range"   // ranges per topic: topics of equal size are assigned alike
)

// assignTopic is a topic in the assignors' input.
type assignTopic struct {
	id         metadata.TopicID
	partitions int32
}

// assignMember is a member in the assignors' input.
type assignMember struct {
	id, instance string
	topics       []int        // its subscription: indexes of topics, ascending
	previous     partitionSet // its last target
}

// assignPartitions assigns every partition of a topic with subscribers to one
// of them. Members are sorted by id, topics by their id. The result has one set
// per member.
func assignPartitions(assignor string, topics []assignTopic, members []assignMember) []partitionSet {
	if assignor == assignorRange {
		return assignRange(topics, members)
	}
	return assignUniform(topics, members)
}

// listSubscribers lists each topic's members.
func listSubscribers(topics []assignTopic, members []assignMember) [][]int {
	out := make([][]int, len(topics))
	for m := range members {
		for _, t := range members[m].topics {
			out[t] = append(out[t], m)
		}
	}
	return out
}

// assignRange assigns each topic's partitions in ranges, in the order of the
// members' names: static members keep their place when they return.
func assignRange(topics []assignTopic, members []assignMember) []partitionSet {
	out := make([]partitionSet, len(members))
	for t, subscribers := range listSubscribers(topics, members) {
		slices.SortStableFunc(subscribers, func(a, b int) int {
			return cmp.Or(-cmp.Compare(boolToInt(members[a].instance != ""), boolToInt(members[b].instance != "")),
				cmp.Compare(members[a].instance, members[b].instance), cmp.Compare(members[a].id, members[b].id))
		})
		next := int32(0)
		for i, m := range subscribers {
			n := topics[t].partitions / int32(len(subscribers))
			if int32(i) < topics[t].partitions%int32(len(subscribers)) {
				n++
			}
			for range n {
				out[m] = append(out[m], metadata.TopicPartition{Topic: topics[t].id, Partition: metadata.Partition(next)})
				next++
			}
		}
	}
	return out // topics are sorted by id, so each set is sorted
}

func boolToInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
