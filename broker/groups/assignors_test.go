package groups

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/zonewise/zonewise/metadata"
)

// shared is a random assignment problem.
func shared(rnd *rand.Rand, alike bool) ([]assignTopic, []assignMember) {
	topics := make([]assignTopic, 1+rnd.IntN(5))
	for i := range topics {
		topics[i] = assignTopic{metadata.TopicID{byte(i + 1)}, int32(1 + rnd.IntN(20))}
	}
	members := make([]assignMember, 1+rnd.IntN(12))
	for i := range members {
		members[i].id = fmt.Sprintf("m%02d", i)
		for t := range topics {
			if alike || rnd.IntN(3) > 0 {
				members[i].topics = append(members[i].topics, t)
			}
		}
	}
	return topics, members
}

// checkAssignment: every partition that somebody subscribes to has exactly one
// owner, who subscribes to it.
func checkAssignment(t *testing.T, topics []assignTopic, members []assignMember, got []partitionSet) {
	t.Helper()
	owners := map[metadata.TopicPartition]int{}
	index := map[metadata.TopicID]int{}
	for i := range topics {
		index[topics[i].id] = i
	}
	for m := range got {
		if !got[m].equal(newPartitionSet(got[m])) {
			t.Fatalf("member %d: not a sorted set: %v", m, got[m])
		}
		for _, tp := range got[m] {
			if _, twice := owners[tp]; twice {
				t.Fatalf("%v has two owners", tp)
			}
			owners[tp] = m
			subscribed := false
			for _, s := range members[m].topics {
				subscribed = subscribed || s == index[tp.Topic]
			}
			if !subscribed {
				t.Fatalf("member %d has %v and did not subscribe", m, tp)
			}
		}
	}
	want := 0
	for i, who := range listSubscribers(topics, members) {
		if len(who) > 0 {
			want += int(topics[i].partitions)
		}
	}
	if len(owners) != want {
		t.Fatalf("%d partitions have owners, want %d", len(owners), want)
	}
}

func TestEveryPartitionHasOneOwnerWhoSubscribes(t *testing.T) {
	for seed := range uint64(500) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		topics, members := shared(rnd, seed%2 == 0)
		for _, assignor := range []string{assignorUniform, assignorRange} {
			checkAssignment(t, topics, members, assignPartitions(assignor, topics, members))
		}
	}
}

// loads returns the least and the greatest number of partitions.
func loads(got []partitionSet) (least, most int) {
	least = 1 << 30
	for _, p := range got {
		least, most = min(least, len(p)), max(most, len(p))
	}
	return least, most
}

// Members alike differ by one at most; when one comes or goes no more moves
// than must; when nothing changed nothing moves.
func TestUniformIsEqualAndSticky(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		topics, members := shared(rnd, true)
		got := assignPartitions(assignorUniform, topics, members)
		total := 0
		for m := range members {
			members[m].previous = got[m]
			total += len(got[m])
		}
		if least, most := loads(got); most-least > 1 {
			t.Fatalf("seed %d: between %d and %d partitions", seed, least, most)
		}
		for m, p := range assignPartitions(assignorUniform, topics, members) {
			if !p.equal(got[m]) {
				t.Fatalf("seed %d: member %d had %v, has %v, and nothing changed", seed, m, got[m], p)
			}
		}
		more := append(members, assignMember{id: "new", topics: members[0].topics})
		moved := 0
		after := assignPartitions(assignorUniform, topics, more)
		for m := range members {
			_, lost := got[m].split(after[m])
			moved += len(lost)
		}
		checkAssignment(t, topics, more, after)
		if moved > len(after[len(members)]) {
			t.Fatalf("seed %d: %d partitions moved for a newcomer that got %d", seed, moved, len(after[len(members)]))
		}
		if len(members) > 1 {
			left := members[1:]
			after := assignPartitions(assignorUniform, topics, left)
			for m := range left {
				if !left[m].previous.isSubsetOf(after[m]) {
					t.Fatalf("seed %d: a member that stays lost partitions because another left", seed)
				}
			}
		}
	}
}

// Members that are not alike: nothing moves when nothing changed, and no
// single move would make two members more equal.
func TestUniformLevelsUnequalSubscriptions(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		topics, members := shared(rnd, false)
		got := assignPartitions(assignorUniform, topics, members)
		for m := range members {
			members[m].previous = got[m]
		}
		for m, p := range assignPartitions(assignorUniform, topics, members) {
			if !p.equal(got[m]) {
				t.Fatalf("seed %d: member %d had %v, has %v, and nothing changed", seed, m, got[m], p)
			}
		}
		for i, who := range listSubscribers(topics, members) {
			for _, from := range who {
				has := 0
				for _, tp := range got[from] {
					if tp.Topic == topics[i].id {
						has++
					}
				}
				for _, to := range who {
					if has > 0 && len(got[from])-len(got[to]) > 1 {
						t.Fatalf("seed %d: topic %d: member %d has %d in all, member %d only %d", seed, i, from, len(got[from]), to, len(got[to]))
					}
				}
			}
		}
	}
}

func TestRangeGoesByInstanceAndKeepsTopicsTogether(t *testing.T) {
	topics := []assignTopic{{metadata.TopicID{1}, 5}, {metadata.TopicID{2}, 5}}
	members := []assignMember{{id: "a", instance: "z", topics: []int{0, 1}}, {id: "b", instance: "y", topics: []int{0, 1}}, {id: "c", topics: []int{0, 1}}}
	got := assignPartitions(assignorRange, topics, members)
	for m, want := range []string{"2 3", "0 1", "4"} {
		for i := range topics {
			s := ""
			for _, tp := range got[m] {
				if tp.Topic == topics[i].id {
					s += fmt.Sprint(" ", tp.Partition)
				}
			}
			if s != " "+want {
				t.Errorf("member %d has%s of topic %d, want %s", m, s, i, want)
			}
		}
	}
}

// Ten thousand members, each with a subscription of its own, and ten thousand
// partitions: an assignment ends.
func TestHostileSubscriptionsAreAssigned(t *testing.T) {
	topics := make([]assignTopic, 1000)
	for i := range topics {
		topics[i] = assignTopic{metadata.TopicID{byte(i >> 8), byte(i)}, 10}
	}
	rnd := rand.New(rand.NewPCG(1, 1))
	members := make([]assignMember, DefaultConfig().MaxConsumers)
	for m := range members {
		members[m].id = fmt.Sprintf("m%05d", m)
		for i := rnd.IntN(100); i < len(topics); i += 1 + rnd.IntN(200) {
			members[m].topics = append(members[m].topics, i)
		}
	}
	checkAssignment(t, topics, members, assignPartitions(assignorUniform, topics, members))
}
