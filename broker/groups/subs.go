package groups

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// topicSource is what a roster reads of the cluster's topics.
type topicSource interface {
	// changed is the revision where topics changed last, or a later one.
	changed() metadata.Revision
	// find returns those of the named topics that exist.
	find(names []string) map[string]assignTopic
	// all returns the names of all topics, sorted, and how many bytes they
	// have. They are shared.
	all() (names []string, bytes int)
}

// Limits of what one group shares out, so that a member's assignment always
// fits an entry: 16,000 topics are 19 bytes each, twice (what it has, what it
// gives up), and 100,000 partitions, were they all apart, 3 bytes each. Topics
// beyond are not assigned, in order of name.
const (
	maxGroupTopics     = 16_000
	maxGroupPartitions = 100_000
	resolveEvery       = 10 * time.Second // patterns are matched again at most that often
)

// subscriptions knows what a roster's members subscribe to, and what exists of
// it.
type subscriptions struct {
	named    map[string]int // topics by name -> members
	patterns map[string]*pattern
	stale    bool              // members' names or patterns changed since the last look
	seen     metadata.Revision // of the last look at names
	matched  metadata.Revision // of the last look at patterns
	at       time.Time         // of that
	again    time.Time         // when patterns shall be matched again; zero: nothing changed
	known    map[string]assignTopic
	skipped  int // topics beyond the limits
}

// add counts a member's subscription in, remove out.
func (s *subscriptions) add(m *metadata.ConsumerMember, p *pattern) {
	if s.named == nil {
		s.named, s.patterns = map[string]int{}, map[string]*pattern{}
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
		p.users++
	}
}

func (s *subscriptions) remove(m *metadata.ConsumerMember) {
	s.stale = true
	for _, t := range m.Topics {
		if s.named[t]--; s.named[t] == 0 {
			delete(s.named, t)
		}
	}
	if p := s.patterns[m.Regex]; p != nil {
		if p.users--; p.users == 0 {
			delete(s.patterns, m.Regex)
		}
	}
}

// admit compiles the expression of a member that had old, or says why it
// cannot be used.
func (s *subscriptions) admit(expr string, topics topicSource) (*pattern, error) {
	if expr == "" || s.patterns[expr] != nil {
		return nil, nil
	}
	if len(s.patterns) >= maxPatterns {
		return nil, fmt.Errorf("the group has %d expressions already", maxPatterns)
	}
	p, err := compilePattern(expr)
	if err != nil {
		return nil, err
	}
	_, bytes := topics.all()
	cost := p.cost(bytes)
	for _, q := range s.patterns {
		cost += q.cost(bytes)
	}
	if cost > maxPatternCost {
		return nil, fmt.Errorf("matching the group's expressions against all topics costs too much")
	}
	return p, nil
}

// refresh looks at the topics where something may have changed, and asks for
// another target where it did.
func (r *roster) refresh(now time.Time) {
	if r.look(now) {
		r.bump()
	}
}

// look brings what the members subscribe to up to date, and reports whether
// that is something else than before.
func (r *roster) look(now time.Time) bool {
	s := &r.subs
	rev := r.topics.changed()
	if !s.stale && rev == s.seen && (s.again.IsZero() || now.Before(s.again)) {
		return false
	}
	s.match(r.topics, rev, now)
	names := maps.Clone(s.named)
	for _, p := range s.patterns {
		for _, t := range p.matched {
			if names == nil {
				names = map[string]int{}
			}
			names[t]++
		}
	}
	known := s.limit(r.topics.find(slices.Collect(maps.Keys(names))))
	s.stale, s.seen = false, rev
	if maps.Equal(known, s.known) {
		return false
	}
	s.known = known
	return true
}

// match resolves new patterns now, and known ones where topics changed, at
// most every resolveEvery.
func (s *subscriptions) match(topics topicSource, rev metadata.Revision, now time.Time) {
	if len(s.patterns) == 0 {
		s.again = time.Time{}
		return
	}
	changed := rev != s.matched
	due := changed && (s.at.IsZero() || now.Sub(s.at) >= resolveEvery)
	fresh := false
	for _, p := range s.patterns {
		fresh = fresh || p.fresh
	}
	switch {
	case due || fresh:
		names, bytes := topics.all()
		cost := 0
		for _, expr := range slices.Sorted(maps.Keys(s.patterns)) {
			p := s.patterns[expr]
			// More topics than when it was admitted may make it too dear:
			// then it keeps what it matched.
			if cost += p.cost(bytes); (due || p.fresh) && cost <= maxPatternCost {
				p.match(names)
			}
		}
		if due {
			s.matched, s.at, s.again = rev, now, time.Time{}
		} else if changed {
			s.again = s.at.Add(resolveEvery)
		}
	case changed:
		s.again = s.at.Add(resolveEvery)
	}
}

// limit leaves out what is more than a group may share out.
func (s *subscriptions) limit(found map[string]assignTopic) map[string]assignTopic {
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

// of calls f for the topics that a member subscribes to and that exist, in any
// order, some perhaps twice.
func (s *subscriptions) of(m *metadata.ConsumerMember, f func(assignTopic)) {
	for _, name := range m.Topics {
		if t, ok := s.known[name]; ok {
			f(t)
		}
	}
	if p := s.patterns[m.Regex]; p != nil && m.Regex != "" {
		for _, name := range p.matched {
			if t, ok := s.known[name]; ok {
				f(t)
			}
		}
	}
}

// input is what an assignor is told.
func (s *subscriptions) input(ids []string, members map[string]*participant) ([]assignTopic, []assignMember) {
	topics := slices.SortedFunc(maps.Values(s.known), func(a, b assignTopic) int {
		return strings.Compare(string(a.id[:]), string(b.id[:]))
	})
	index := make(map[metadata.TopicID]int, len(topics))
	for i := range topics {
		index[topics[i].id] = i
	}
	same := map[string][]int{} // by subscription: most members have the same
	out := make([]assignMember, len(ids))
	for i, id := range ids {
		p := members[id]
		key := p.info.Regex + "\x00" + strings.Join(p.info.Topics, "\x00")
		list, known := same[key]
		if !known {
			s.of(&p.info, func(t assignTopic) { list = append(list, index[t.id]) })
			slices.Sort(list)
			list = slices.Compact(list)
			same[key] = list
		}
		out[i] = assignMember{id: id, instance: p.info.InstanceID, topics: list, had: p.target}
	}
	return topics, out
}
