package groups

import (
	"cmp"
	"slices"

	"github.com/zonewise/zonewise/metadata"
)

// The assignors that a coordinator of the consumer protocol knows (KIP-848).
const (
	assignorUniform = "uniform" // equal numbers, few moves; the default
	assignorRange   = "range"   // per topic, neighbours together: topics of equal size go alike
)

// assignTopic is a topic as an assignor sees it.
type assignTopic struct {
	id         metadata.TopicID
	partitions int32
}

// assignMember is a member as an assignor sees it.
type assignMember struct {
	id, instance string
	topics       []int        // it subscribes to: indexes of topics, rising
	previous     partitionSet // its last target
}

// assignPartitions gives every partition of a topic that somebody subscribes to to one
// of those members. Members are in order of id, topics in order of their id.
// The result is one set per member.
func assignPartitions(assignor string, topics []assignTopic, members []assignMember) []partitionSet {
	if assignor == assignorRange {
		return assignRange(topics, members)
	}
	return assignUniform(topics, members)
}

// listSubscribers lists the members of each topic.
func listSubscribers(topics []assignTopic, members []assignMember) [][]int {
	out := make([][]int, len(topics))
	for m := range members {
		for _, t := range members[m].topics {
			out[t] = append(out[t], m)
		}
	}
	return out
}

// assignRange gives each topic's partitions in runs, in the order of the
// members' names: static ones keep their place when they come back.
func assignRange(topics []assignTopic, members []assignMember) []partitionSet {
	out := make([]partitionSet, len(members))
	for t, who := range listSubscribers(topics, members) {
		slices.SortStableFunc(who, func(a, b int) int {
			return cmp.Or(-cmp.Compare(boolToInt(members[a].instance != ""), boolToInt(members[b].instance != "")),
				cmp.Compare(members[a].instance, members[b].instance), cmp.Compare(members[a].id, members[b].id))
		})
		next := int32(0)
		for i, m := range who {
			n := topics[t].partitions / int32(len(who))
			if int32(i) < topics[t].partitions%int32(len(who)) {
				n++
			}
			for range n {
				out[m] = append(out[m], metadata.TopicPartition{Topic: topics[t].id, Partition: metadata.Partition(next)})
				next++
			}
		}
	}
	return out // topics are in order of id, so each set is sorted
}

func boolToInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
