package metadata

import (
	"maps"
	"slices"
)

// GroupLag is how many records a group's committed offsets are behind the high
// watermarks of a topic, over the partitions of which it has committed any.
type GroupLag struct {
	Group, Topic string
	Records      int64
}

// GroupLags returns a group's lags, in the order of the topics' names.
func (s *State) GroupLags(group string) (out []GroupLag) {
	g, _ := s.Group(group)
	lags := map[string]int64{}
	for tp, o := range g.Offsets.All() {
		p, ok := s.Partition(tp)
		if !ok || o.Offset < 0 {
			continue
		}
		if t, known := s.Topic(tp.Topic); known {
			lags[t.Name] += int64(max(0, p.Next-max(s.SkipRecoveryGap(tp, o.Offset), p.LogStart)))
		}
	}
	for _, topic := range slices.Sorted(maps.Keys(lags)) {
		out = append(out, GroupLag{group, topic, lags[topic]})
	}
	return out
}
