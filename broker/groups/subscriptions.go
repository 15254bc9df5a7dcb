package groups

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// topicSource reads the cluster's topics.
type topicSource interface {
	// readRevision returns the revision of the last change of topics, or a
	// later one.
	readRevision() metadata.Revision
	// findTopics returns the named topics that exist.
	findTopics(names []string) map[string]assignTopic
	// listTopicNames returns the names of all topics, sorted, and their total
	// size in bytes. The result is shared and read-only.
	listTopicNames() (names []string, bytes int)
}

// Limits of the topics and partitions that one group assigns, so that a member's
// assignment always fits an entry: 16,000 topics of 19 bytes, twice (owned, and
// being revoked), and 100,000 partitions of 3 bytes if none are adjacent. Topics
// beyond the limits, in order of name, are not assigned.
const (
	maxGroupTopics     = 16_000
	maxGroupPartitions = 100_000
	patternInterval    = 10 * time.Second // minimum time between two matches of all patterns
)

// subscriptions are the topics and patterns that a group's members subscribe
// to, and those of the topics that exist.
type subscriptions struct {
	named           map[string]int // topics by name -> members
	patterns        map[string]*topicPattern
	stale           bool              // members' names or patterns changed since the last check
	seenRevision    metadata.Revision // of the last check of names
	matchedRevision metadata.Revision // of the last match of patterns
	matchedAt       time.Time         // time of the last match
	matchAgainAt    time.Time         // when patterns are matched again; zero: nothing changed
	topics          map[string]assignTopic
	skipped         int // topics beyond the limits
}

// addMember adds a member's subscription, removeMember removes it.
func (s *subscriptions) addMember(m *metadata.ConsumerMember, p *topicPattern) {
	if s.named == nil {
		s.named, s.patterns = map[string]int{}, map[string]*topicPattern{}
	}
	s.stale = true
	for _, t := range m.Topics {
		s.named[t]++
	}
	if m.Regex == "" {
		return
	}
	if s.patterns[m.Regex] == nil {
		s.patterns[m.Regex] = p
	}
	if p := s.patterns[m.Regex]; p != nil {
		p.members++
	}
}

func (s *subscriptions) removeMember(m *metadata.ConsumerMember) {
	s.stale = true
	for _, t := range m.Topics {
		if s.named[t]--; s.named[t] == 0 {
			delete(s.named, t)
		}
	}
	if p := s.patterns[m.Regex]; p != nil {
		if p.members--; p.members == 0 {
			delete(s.patterns, m.Regex)
		}
	}
}

// compileNewPattern compiles a member's expression unless the group has it
// already; the error says why it cannot be used.
func (s *subscriptions) compileNewPattern(expr string, topics topicSource) (*topicPattern, error) {
	if expr == "" || s.patterns[expr] != nil {
		return nil, nil
	}
	if len(s.patterns) >= maxPatterns {
		return nil, fmt.Errorf("the group already has the maximum of %d regular expressions", maxPatterns)
	}
	p, err := compilePattern(expr)
	if err != nil {
		return nil, err
	}
	_, bytes := topics.listTopicNames()
	cost := p.matchCost(bytes)
	for _, q := range s.patterns {
		cost += q.matchCost(bytes)
	}
	if cost > maxPatternCost {
		return nil, fmt.Errorf("matching the group's expressions against all topics costs too much")
	}
	return p, nil
}

// refreshTopics checks the topics if something may have changed, and bumps the
// epoch if the assignable topics did.
func (r *consumerGroup) refreshTopics(now time.Time) {
	if r.updateKnownTopics(now) {
		r.bumpEpoch()
	}
}

// updateKnownTopics updates the existing topics that members subscribe to, and
// reports whether they changed.
func (r *consumerGroup) updateKnownTopics(now time.Time) bool {
	s := &r.subscriptions
	rev := r.topics.readRevision()
	if !s.stale && rev == s.seenRevision && (s.matchAgainAt.IsZero() || now.Before(s.matchAgainAt)) {
		return false
	}
	s.matchPatterns(r.topics, rev, now)
	names := maps.Clone(s.named)
	for _, p := range s.patterns {
		for _, t := range p.matched {
			if names == nil {
				names = map[string]int{}
			}
			names[t]++
		}
	}
	known := s.limitTopics(r.topics.findTopics(slices.Collect(maps.Keys(names))))
	s.stale, s.seenRevision = false, rev
	if maps.Equal(known, s.topics) {
		return false
	}
	s.topics = known
	return true
}

// matchPatterns matches new patterns now, and known ones after topics changed,
// at most once per patternInterval.
func (s *subscriptions) matchPatterns(topics topicSource, rev metadata.Revision, now time.Time) {
	if len(s.patterns) == 0 {
		s.matchAgainAt = time.Time{}
		return
	}
	changed := rev != s.matchedRevision
	due := changed && (s.matchedAt.IsZero() || now.Sub(s.matchedAt) >= patternInterval)
	fresh := false
	for _, p := range s.patterns {
		fresh = fresh || p.unresolved
	}
	switch {
	case due || fresh:
		names, bytes := topics.listTopicNames()
		cost := 0
		for _, expr := range slices.Sorted(maps.Keys(s.patterns)) {
			p := s.patterns[expr]
			// With more topics than at its admission a pattern may be too
			// expensive: then it keeps its last matches.
			if cost += p.matchCost(bytes); (due || p.unresolved) && cost <= maxPatternCost {
				p.matchTopics(names)
			}
		}
		if due {
			s.matchedRevision, s.matchedAt, s.matchAgainAt = rev, now, time.Time{}
		} else if changed {
			s.matchAgainAt = s.matchedAt.Add(patternInterval)
		}
	case changed:
		s.matchAgainAt = s.matchedAt.Add(patternInterval)
	}
}

// limitTopics removes topics beyond the limits of one group.
func (s *subscriptions) limitTopics(found map[string]assignTopic) map[string]assignTopic {
	s.skipped = 0
	total := 0
	for _, t := range found {
		total += int(t.partitions)
	}
	if len(found) <= maxGroupTopics && total <= maxGroupPartitions {
		return found
	}
	out, total := map[string]assignTopic{}, 0
	for _, name := range slices.Sorted(maps.Keys(found)) {
		t := found[name]
		if len(out) >= maxGroupTopics || total+int(t.partitions) > maxGroupPartitions {
			s.skipped++
			continue
		}
		total += int(t.partitions)
		out[name] = t
	}
	return out
}

// eachTopic calls f for the existing topics that a member subscribes to, in any
// order, possibly twice.
func (s *subscriptions) eachTopic(m *metadata.ConsumerMember, f func(assignTopic)) {
	for _, name := range m.Topics {
		if t, ok := s.topics[name]; ok {
			f(t)
		}
	}
	if p := s.patterns[m.Regex]; p != nil && m.Regex != "" {
		for _, name := range p.matched {
			if t, ok := s.topics[name]; ok {
				f(t)
			}
		}
	}
}

// newAssignorInput returns the assignor's input.
func (s *subscriptions) newAssignorInput(ids []string, members map[string]*consumerGroupMember) ([]assignTopic, []assignMember) {
	topics := slices.SortedFunc(maps.Values(s.topics), func(a, b assignTopic) int {
		return strings.Compare(string(a.id[:]), string(b.id[:]))
	})
	index := make(map[metadata.TopicID]int, len(topics))
	for i := range topics {
		index[topics[i].id] = i
	}
	same := map[string][]int{} // by subscription: most members share one
	out := make([]assignMember, len(ids))
	for i, id := range ids {
		p := members[id]
		key := p.info.Regex + "\x00" + strings.Join(p.info.Topics, "\x00")
		list, known := same[key]
		if !known {
			s.eachTopic(&p.info, func(t assignTopic) { list = append(list, index[t.id]) })
			slices.Sort(list)
			list = slices.Compact(list)
			same[key] = list
		}
		out[i] = assignMember{id: id, instance: p.info.InstanceID, topics: list, previous: p.target}
	}
	return topics, out
}
