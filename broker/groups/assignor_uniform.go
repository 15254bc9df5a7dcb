package groups

import (
	"cmp"
	"container/heap"
	"slices"

	"github.com/zonewise/zonewise/metadata"
)

// uniformAssignment is the working state of assignUniform.
type uniformAssignment struct {
	topics      []assignTopic
	members     []assignMember
	subscribers [][]int                             // by topic
	owners      map[metadata.TopicPartition]int     // partition -> member
	counts      []int                               // partitions by member
	partitions  []map[int][]metadata.TopicPartition // by member and topic; made by balanceCounts
}

// assignUniform assigns numbers of partitions that are as equal as the
// subscriptions allow, with few moves: first every member keeps what it had, up
// to its share; then the rest goes to the members with the fewest.
func assignUniform(topics []assignTopic, members []assignMember) []partitionSet {
	u := &uniformAssignment{topics: topics, members: members, subscribers: listSubscribers(topics, members),
		owners: map[metadata.TopicPartition]int{}, counts: make([]int, len(members))}
	u.keepPrevious()
	if u.haveSameTopics() {
		u.shareEqually()
	} else {
		u.assignRemaining()
		u.balanceCounts()
	}
	return u.listByMember()
}

// keepPrevious lets members keep the partitions that they had and still
// subscribe to.
func (u *uniformAssignment) keepPrevious() {
	index := make(map[metadata.TopicID]int, len(u.topics))
	for t := range u.topics {
		index[u.topics[t].id] = t
	}
	for m := range u.members {
		for _, tp := range u.members[m].previous {
			t, known := index[tp.Topic]
			if !known || int32(tp.Partition) >= u.topics[t].partitions {
				continue
			}
			if _, subscribed := slices.BinarySearch(u.members[m].topics, t); !subscribed {
				continue
			}
			if _, taken := u.owners[tp]; !taken {
				u.owners[tp] = m
				u.counts[m]++
			}
		}
	}
}

// haveSameTopics reports whether all members subscribe to the same topics.
func (u *uniformAssignment) haveSameTopics() bool {
	for m := range u.members {
		if !slices.Equal(u.members[m].topics, u.members[0].topics) {
			return false
		}
	}
	return true
}

// listUnassigned lists the partitions without an owner, topic by topic, so that
// assigning them round robin spreads every topic.
func (u *uniformAssignment) listUnassigned() (out []metadata.TopicPartition) {
	for t := range u.topics {
		if len(u.subscribers[t]) == 0 {
			continue
		}
		for p := range u.topics[t].partitions {
			tp := metadata.TopicPartition{Topic: u.topics[t].id, Partition: metadata.Partition(p)}
			if _, taken := u.owners[tp]; !taken {
				out = append(out, tp)
			}
		}
	}
	return out
}

// shareEqually assigns when all members have the same topics: everybody gets
// the floor, some one more, preferably those that have one more already.
func (u *uniformAssignment) shareEqually() {
	total := 0
	for t := range u.topics {
		if len(u.subscribers[t]) > 0 {
			total += int(u.topics[t].partitions)
		}
	}
	if len(u.members) == 0 {
		return
	}
	floor, extra := total/len(u.members), total%len(u.members)
	quota := make([]int, len(u.members))
	for m := range u.members {
		quota[m] = floor
		if u.counts[m] > floor && extra > 0 {
			quota[m]++
			extra--
		}
	}
	for m := range u.members {
		if extra > 0 && quota[m] == floor {
			quota[m]++
			extra--
		}
		u.unassignLast(m, u.counts[m]-quota[m])
	}
	m := 0
	for _, tp := range u.listUnassigned() {
		for u.counts[m] >= quota[m] {
			m = (m + 1) % len(u.members)
		}
		u.owners[tp] = m
		u.counts[m]++
		m = (m + 1) % len(u.members)
	}
}

// unassignLast takes the last n of a member's kept partitions away from it.
func (u *uniformAssignment) unassignLast(m, n int) {
	had := u.members[m].previous
	for i := len(had) - 1; i >= 0 && n > 0; i-- {
		if owner, kept := u.owners[had[i]]; kept && owner == m {
			delete(u.owners, had[i])
			u.counts[m]--
			n--
		}
	}
}

// assignRemaining assigns every free partition to the subscriber with the
// fewest; topics with few subscribers come first, as they have the least
// choice.
func (u *uniformAssignment) assignRemaining() {
	order := make([]int, len(u.topics))
	for t := range order {
		order[t] = t
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(len(u.subscribers[a]), len(u.subscribers[b])) })
	for _, t := range order {
		if len(u.subscribers[t]) == 0 {
			continue
		}
		h := &leastLoadedHeap{u.counts, slices.Clone(u.subscribers[t])}
		heap.Init(h)
		for p := range u.topics[t].partitions {
			tp := metadata.TopicPartition{Topic: u.topics[t].id, Partition: metadata.Partition(p)}
			if _, taken := u.owners[tp]; !taken {
				m := h.members[0]
				u.owners[tp] = m
				u.counts[m]++
				heap.Fix(h, 0)
			}
		}
	}
}

// leastLoadedHeap is a heap of members, by their number of partitions.
type leastLoadedHeap struct {
	counts  []int
	members []int
}

func (h *leastLoadedHeap) Len() int { return len(h.members) }

func (h *leastLoadedHeap) Less(i, j int) bool {
	a, b := h.members[i], h.members[j]
	return cmp.Or(cmp.Compare(h.counts[a], h.counts[b]), cmp.Compare(a, b)) < 0
}

func (h *leastLoadedHeap) Swap(i, j int) { h.members[i], h.members[j] = h.members[j], h.members[i] }

func (h *leastLoadedHeap) Push(x any) { h.members = append(h.members, x.(int)) }

func (h *leastLoadedHeap) Pop() any {
	x := h.members[len(h.members)-1]
	h.members = h.members[:len(h.members)-1]
	return x
}

// maxBalancePasses bounds the work of balanceCounts; a group that needs more is
// balanced further at its next change.
const maxBalancePasses = 8

// balanceCounts moves partitions from members with many to members with few, as
// long as that makes them more equal.
func (u *uniformAssignment) balanceCounts() {
	u.partitions = make([]map[int][]metadata.TopicPartition, len(u.members))
	for m := range u.partitions {
		u.partitions[m] = map[int][]metadata.TopicPartition{}
	}
	for t := range u.topics {
		for p := range u.topics[t].partitions {
			tp := metadata.TopicPartition{Topic: u.topics[t].id, Partition: metadata.Partition(p)}
			if m, taken := u.owners[tp]; taken {
				u.partitions[m][t] = append(u.partitions[m][t], tp)
			}
		}
	}
	for range maxBalancePasses {
		moved := false
		for t := range u.topics {
			moved = u.balanceTopic(t) || moved
		}
		if !moved {
			return
		}
	}
}

// balanceTopic moves a topic's partitions from the subscribers with the most
// partitions to those with the fewest.
func (u *uniformAssignment) balanceTopic(t int) (moved bool) {
	if len(u.subscribers[t]) < 2 {
		return false
	}
	least := &leastLoadedHeap{u.counts, slices.Clone(u.subscribers[t])}
	heap.Init(least)
	givers := slices.Clone(u.subscribers[t])
	slices.SortStableFunc(givers, func(a, b int) int { return -cmp.Compare(u.counts[a], u.counts[b]) })
	for _, from := range givers {
		gave := false
		for len(u.partitions[from][t]) > 0 {
			to := least.members[0]
			if u.counts[from]-u.counts[to] < 2 {
				break
			}
			list := u.partitions[from][t]
			tp := list[len(list)-1]
			u.partitions[from][t] = list[:len(list)-1]
			u.partitions[to][t] = append(u.partitions[to][t], tp)
			u.owners[tp] = to
			u.counts[from]--
			u.counts[to]++
			heap.Fix(least, 0)
			gave = true
		}
		if gave {
			heap.Init(least) // the giver's count changed too
			moved = true
		}
	}
	return moved
}

func (u *uniformAssignment) listByMember() []partitionSet {
	out := make([]partitionSet, len(u.members))
	for m := range out {
		out[m] = make(partitionSet, 0, u.counts[m])
	}
	for t := range u.topics {
		for p := range u.topics[t].partitions {
			tp := metadata.TopicPartition{Topic: u.topics[t].id, Partition: metadata.Partition(p)}
			if m, taken := u.owners[tp]; taken {
				out[m] = append(out[m], tp)
			}
		}
	}
	return out
}
