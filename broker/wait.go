package broker

import (
	"slices"
	"sync"

	"github.com/zonewise/zonewise/metadata"
)

// registry wakes long polls when something of their partitions was applied.
// The apply goroutine calls applied; it never blocks.
type registry struct {
	mu      sync.Mutex                            // guards all that follows, and the polls; held for memory only
	waiting map[metadata.TopicPartition][]pollRef // in order of arrival, so that a seed replays
	all     []*poll
	woken   []*poll // by entries whose batch is not applied to its end
}

// poll is one request that waits.
type poll struct {
	wake chan struct{} // capacity 1
	on   []pollPart
	// What was touched since the last call of touched: places in the request,
	// or everything.
	parts []int
	every bool
}

// pollPart is a partition that a poll waits for, and its place in the request.
type pollPart struct {
	tp metadata.TopicPartition
	at int
}

// pollRef is who waits for a partition.
type pollRef struct {
	poll *poll
	at   int
}

func newRegistry() *registry {
	return &registry{waiting: map[metadata.TopicPartition][]pollRef{}}
}

// begin registers a poll on partitions; end must follow.
func (g *registry) begin(on []pollPart) *poll {
	p := &poll{wake: make(chan struct{}, 1), on: on}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all = append(g.all, p)
	for _, o := range on {
		g.waiting[o.tp] = append(g.waiting[o.tp], pollRef{p, o.at})
	}
	return p
}

func (g *registry) end(p *poll) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.all, p); i >= 0 {
		g.all = slices.Delete(g.all, i, i+1)
	}
	for _, o := range p.on {
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

// touched returns which of a poll's partitions were touched since the last
// call: their places in the request, or every one.
func (g *registry) touched(p *poll, into []int) (parts []int, every bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	parts, every = append(into[:0], p.parts...), p.every
	p.parts, p.every = p.parts[:0], false
	return parts, every
}

// touch notes that one of a poll's partitions is to be looked at again.
func (p *poll) touch(at int) {
	switch {
	case p.every || len(p.parts) > 0 && p.parts[len(p.parts)-1] == at:
	case len(p.parts) >= len(p.on):
		p.parts, p.every = p.parts[:0], true
	default:
		p.parts = append(p.parts, at)
	}
}

func (p *poll) nudge() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// wakeAll wakes every poll: the broker drains, or has lost its session.
func (g *registry) wakeAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.all {
		p.every = true
		p.nudge()
	}
}

// applied notes those who wait for what an entry touched; flush wakes them.
func (g *registry) applied(a *metadata.AppliedEntry) {
	if a.Entry == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range a.Entry.Commands {
		switch c.(type) {
		case metadata.CreateTopic, metadata.DeleteTopic, metadata.TrimPartition:
			g.woken = append(g.woken[:0], g.all...)
			for _, p := range g.all {
				p.every = true
			}
			return
		}
	}
	for i := range a.Outcome.Commands {
		for _, tp := range a.Outcome.Commands[i].Touched {
			g.note(tp)
		}
	}
	for i := range a.Entry.Parts {
		part := &a.Entry.Parts[i]
		g.note(metadata.TopicPartition{Topic: a.Entry.Topics[part.Topic], Partition: part.Partition})
	}
}

func (g *registry) note(tp metadata.TopicPartition) {
	for _, r := range g.waiting[tp] {
		r.poll.touch(r.at)
		g.woken = append(g.woken, r.poll)
	}
}

// flush wakes those whom the entries that came together touched, once each: a
// poll that was woken by the first of them would race with the others, and be
// answered with a part of them.
func (g *registry) flush() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.woken {
		p.nudge()
	}
	clear(g.woken)
	g.woken = g.woken[:0]
}
