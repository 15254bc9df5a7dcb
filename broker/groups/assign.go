package groups

import (
	"cmp"
	"container/heap"
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
	topics       []int // it subscribes to: indexes of topics, rising
	had          parts // its last target
}

// assign gives every partition of a topic that somebody subscribes to to one
// of those members. Members are in order of id, topics in order of their id.
// The result is one set per member.
func assign(assignor string, topics []assignTopic, members []assignMember) []parts {
	if assignor == assignorRange {
		return assignRange(topics, members)
	}
	return assignUniform(topics, members)
}

// subscribers lists the members of each topic.
func subscribers(topics []assignTopic, members []assignMember) [][]int {
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
func assignRange(topics []assignTopic, members []assignMember) []parts {
	out := make([]parts, len(members))
	for t, who := range subscribers(topics, members) {
		slices.SortStableFunc(who, func(a, b int) int {
			return cmp.Or(-cmp.Compare(b2i(members[a].instance != ""), b2i(members[b].instance != "")),
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

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// uniform is the work of assignUniform.
type uniform struct {
	topics  []assignTopic
	members []assignMember
	who     [][]int                             // subscribers by topic
	owner   map[metadata.TopicPartition]int     // member
	load    []int                               // partitions by member
	held    []map[int][]metadata.TopicPartition // by member and topic; made for rebalancing
}

// assignUniform gives members numbers of partitions that are as equal as their
// subscriptions allow, and moves few: first everybody keeps what it had, as
// far as its share goes; then the rest goes to who has least.
func assignUniform(topics []assignTopic, members []assignMember) []parts {
	u := &uniform{topics: topics, members: members, who: subscribers(topics, members),
		owner: map[metadata.TopicPartition]int{}, load: make([]int, len(members))}
	u.keep()
	if u.alike() {
		u.shareEqually()
	} else {
		u.fill()
		u.level()
	}
	return u.result()
}

// keep lets members keep what they had and still may have.
func (u *uniform) keep() {
	index := make(map[metadata.TopicID]int, len(u.topics))
	for t := range u.topics {
		index[u.topics[t].id] = t
	}
	for m := range u.members {
		for _, tp := range u.members[m].had {
			t, known := index[tp.Topic]
			if !known || int32(tp.Partition) >= u.topics[t].partitions {
				continue
			}
			if _, subscribed := slices.BinarySearch(u.members[m].topics, t); !subscribed {
				continue
			}
			if _, taken := u.owner[tp]; !taken {
				u.owner[tp] = m
				u.load[m]++
			}
		}
	}
}

// alike reports whether all members subscribe to the same topics.
func (u *uniform) alike() bool {
	for m := range u.members {
		if !slices.Equal(u.members[m].topics, u.members[0].topics) {
			return false
		}
	}
	return true
}

// free lists the partitions that nobody has, partition by partition, so that
// what goes round in turn spreads every topic.
func (u *uniform) free() (out []metadata.TopicPartition) {
	for t := range u.topics {
		if len(u.who[t]) == 0 {
			continue
		}
		for p := range u.topics[t].partitions {
			tp := metadata.TopicPartition{Topic: u.topics[t].id, Partition: metadata.Partition(p)}
			if _, taken := u.owner[tp]; !taken {
				out = append(out, tp)
			}
		}
	}
	return out
}

// shareEqually is for members with the same topics: everybody gets the floor,
// some one more, and who has these already keeps them.
func (u *uniform) shareEqually() {
	total := 0
	for t := range u.topics {
		if len(u.who[t]) > 0 {
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
		if u.load[m] > floor && extra > 0 {
			quota[m]++
			extra--
		}
	}
	for m := range u.members {
		if extra > 0 && quota[m] == floor {
			quota[m]++
			extra--
		}
		u.giveUp(m, u.load[m]-quota[m])
	}
	m := 0
	for _, tp := range u.free() {
		for u.load[m] >= quota[m] {
			m = (m + 1) % len(u.members)
		}
		u.owner[tp] = m
		u.load[m]++
		m = (m + 1) % len(u.members)
	}
}

// giveUp takes n of the partitions that a member kept away from it, the last
// ones.
func (u *uniform) giveUp(m, n int) {
	had := u.members[m].had
	for i := len(had) - 1; i >= 0 && n > 0; i-- {
		if owner, kept := u.owner[had[i]]; kept && owner == m {
			delete(u.owner, had[i])
			u.load[m]--
			n--
		}
	}
}

// fill gives every free partition to the subscriber with least, topics with
// few subscribers first: they have no choice.
func (u *uniform) fill() {
	order := make([]int, len(u.topics))
	for t := range order {
		order[t] = t
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(len(u.who[a]), len(u.who[b])) })
	for _, t := range order {
		if len(u.who[t]) == 0 {
			continue
		}
		h := &leastLoaded{u.load, slices.Clone(u.who[t])}
		heap.Init(h)
		for p := range u.topics[t].partitions {
			tp := metadata.TopicPartition{Topic: u.topics[t].id, Partition: metadata.Partition(p)}
			if _, taken := u.owner[tp]; !taken {
				m := h.members[0]
				u.owner[tp] = m
				u.load[m]++
				heap.Fix(h, 0)
			}
		}
	}
}

// leastLoaded is a heap of members.
type leastLoaded struct {
	load    []int
	members []int
}

func (h *leastLoaded) Len() int { return len(h.members) }
func (h *leastLoaded) Less(i, j int) bool {
	a, b := h.members[i], h.members[j]
	return cmp.Or(cmp.Compare(h.load[a], h.load[b]), cmp.Compare(a, b)) < 0
}
func (h *leastLoaded) Swap(i, j int) { h.members[i], h.members[j] = h.members[j], h.members[i] }
func (h *leastLoaded) Push(x any)    { h.members = append(h.members, x.(int)) }
func (h *leastLoaded) Pop() any {
	x := h.members[len(h.members)-1]
	h.members = h.members[:len(h.members)-1]
	return x
}

// levelPasses bounds the work of level; a group that needs more is as level as
// it gets, and goes on at its next change.
const levelPasses = 8

// level moves partitions from members with much to members with little, as
// long as that makes them more equal.
func (u *uniform) level() {
	u.held = make([]map[int][]metadata.TopicPartition, len(u.members))
	for m := range u.held {
		u.held[m] = map[int][]metadata.TopicPartition{}
	}
	for t := range u.topics {
		for p := range u.topics[t].partitions {
			tp := metadata.TopicPartition{Topic: u.topics[t].id, Partition: metadata.Partition(p)}
			if m, taken := u.owner[tp]; taken {
				u.held[m][t] = append(u.held[m][t], tp)
			}
		}
	}
	for range levelPasses {
		moved := false
		for t := range u.topics {
			moved = u.levelTopic(t) || moved
		}
		if !moved {
			return
		}
	}
}

// levelTopic moves a topic's partitions from its subscribers with most, who
// have any of it, to those with least.
func (u *uniform) levelTopic(t int) (moved bool) {
	if len(u.who[t]) < 2 {
		return false
	}
	least := &leastLoaded{u.load, slices.Clone(u.who[t])}
	heap.Init(least)
	givers := slices.Clone(u.who[t])
	slices.SortStableFunc(givers, func(a, b int) int { return -cmp.Compare(u.load[a], u.load[b]) })
	for _, from := range givers {
		gave := false
		for len(u.held[from][t]) > 0 {
			to := least.members[0]
			if u.load[from]-u.load[to] < 2 {
				break
			}
			list := u.held[from][t]
			tp := list[len(list)-1]
			u.held[from][t] = list[:len(list)-1]
			u.held[to][t] = append(u.held[to][t], tp)
			u.owner[tp] = to
			u.load[from]--
			u.load[to]++
			heap.Fix(least, 0)
			gave = true
		}
		if gave {
			heap.Init(least) // the giver's place changed too
			moved = true
		}
	}
	return moved
}

func (u *uniform) result() []parts {
	out := make([]parts, len(u.members))
	for m := range out {
		out[m] = make(parts, 0, u.load[m])
	}
	for t := range u.topics {
		for p := range u.topics[t].partitions {
			tp := metadata.TopicPartition{Topic: u.topics[t].id, Partition: metadata.Partition(p)}
			if m, taken := u.owner[tp]; taken {
				out[m] = append(out[m], tp)
			}
		}
	}
	return out
}
