package broker

import (
	"slices"
	"sync"

	"github.com/zonewise/zonewise/metadata"
)

// pollRegistry wakes long polls when an entry for one of their partitions was
// applied. The apply goroutine calls observeEntry; it never blocks.
type pollRegistry struct {
	mu           sync.Mutex                            // guards all that follows, and the polls; never held while blocking
	waiting      map[metadata.TopicPartition][]pollRef // in order of arrival, so that a seed replays
	polls        []*poll
	touchedPolls []*poll // by entries of the batch that is being applied
}

// poll is one waiting request.
type poll struct {
	wake       chan struct{} // capacity 1
	partitions []pollPart
	// Touched since the last call of takeTouched: indexes in the request, or all.
	touchedParts []int
	allTouched   bool
}

// pollPart is a partition that a poll waits for, and its index in the request.
type pollPart struct {
	tp    metadata.TopicPartition
	index int
}

// pollRef is a poll that waits for a partition.
type pollRef struct {
	poll  *poll
	index int
}

func newPollRegistry() *pollRegistry {
	return &pollRegistry{waiting: map[metadata.TopicPartition][]pollRef{}}
}

// addPoll registers a poll on partitions; removePoll must follow.
func (g *pollRegistry) addPoll(on []pollPart) *poll {
	p := &poll{wake: make(chan struct{}, 1), partitions: on}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.polls = append(g.polls, p)
	for _, o := range on {
		g.waiting[o.tp] = append(g.waiting[o.tp], pollRef{p, o.index})
	}
	return p
}

func (g *pollRegistry) removePoll(p *poll) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.polls, p); i >= 0 {
		g.polls = slices.Delete(g.polls, i, i+1)
	}
	for _, o := range p.partitions {
		list := g.waiting[o.tp]
		if i := slices.IndexFunc(list, func(r pollRef) bool { return r.poll == p }); i >= 0 {
			list = slices.Delete(list, i, i+1)
		}
		if len(list) > 0 {
			g.waiting[o.tp] = list
		} else {
			delete(g.waiting, o.tp)
		}
	}
}

// takeTouched returns which of a poll's partitions were touched since the last
// call: their indexes in the request, or all.
func (g *pollRegistry) takeTouched(p *poll, into []int) (parts []int, every bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	parts, every = append(into[:0], p.touchedParts...), p.allTouched
	p.touchedParts, p.allTouched = p.touchedParts[:0], false
	return parts, every
}

// markTouched marks one of a poll's partitions as touched.
func (p *poll) markTouched(at int) {
	switch {
	case p.allTouched || len(p.touchedParts) > 0 && p.touchedParts[len(p.touchedParts)-1] == at:
	case len(p.touchedParts) >= len(p.partitions):
		p.touchedParts, p.allTouched = p.touchedParts[:0], true
	default:
		p.touchedParts = append(p.touchedParts, at)
	}
}

func (p *poll) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// wakeAll wakes every poll: the broker drains, or has lost its session.
func (g *pollRegistry) wakeAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.polls {
		p.allTouched = true
		p.signal()
	}
}

// observeEntry marks the polls that an entry touches; wakeTouched wakes them.
func (g *pollRegistry) observeEntry(a *metadata.AppliedEntry) {
	if a.Entry == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range a.Entry.Commands {
		switch c.(type) {
		case metadata.CreateTopic, metadata.DeleteTopic, metadata.TrimPartition:
			g.touchedPolls = append(g.touchedPolls[:0], g.polls...)
			for _, p := range g.polls {
				p.allTouched = true
			}
			return
		}
	}
	for i := range a.Outcome.Commands {
		for _, tp := range a.Outcome.Commands[i].Touched {
			g.markPolls(tp)
		}
	}
	for i := range a.Entry.Parts {
		part := &a.Entry.Parts[i]
		g.markPolls(metadata.TopicPartition{Topic: a.Entry.Topics[part.Topic], Partition: part.Partition})
	}
}

func (g *pollRegistry) markPolls(tp metadata.TopicPartition) {
	for _, r := range g.waiting[tp] {
		r.poll.markTouched(r.index)
		g.touchedPolls = append(g.touchedPolls, r.poll)
	}
}

// wakeTouched wakes the touched polls once per batch of entries: a poll that
// the first entry woke would race with the others, and respond with a part of
// them.
func (g *pollRegistry) wakeTouched() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.touchedPolls {
		p.signal()
	}
	clear(g.touchedPolls)
	g.touchedPolls = g.touchedPolls[:0]
}
