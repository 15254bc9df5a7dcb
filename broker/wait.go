package broker

import (
	"slices"
	"sync"

	"github.com/zonewise/zonewise/metadata"
)

// registry wakes long polls when something of their partitions was applied.
// The apply goroutine calls applied; it never blocks.
type registry struct {
	mu      sync.Mutex                          // guards waiting; held for map operations only
	waiting map[metadata.TopicPartition][]*poll // in order of arrival, so that a seed replays
	all     []*poll
	touched []*poll // by entries whose batch is not applied to its end
}

// poll is one request that waits.
type poll struct {
	wake chan struct{} // capacity 1
	on   []metadata.TopicPartition
}

func newRegistry() *registry {
	return &registry{waiting: map[metadata.TopicPartition][]*poll{}}
}

// begin registers a poll on partitions; end must follow.
func (g *registry) begin(on []metadata.TopicPartition) *poll {
	p := &poll{wake: make(chan struct{}, 1), on: on}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all = append(g.all, p)
	for _, tp := range on {
		g.waiting[tp] = append(g.waiting[tp], p)
	}
	return p
}

func (g *registry) end(p *poll) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all = without(g.all, p)
	for _, tp := range p.on {
		if left := without(g.waiting[tp], p); len(left) > 0 {
			g.waiting[tp] = left
		} else {
			delete(g.waiting, tp)
		}
	}
}

func without(list []*poll, p *poll) []*poll {
	if i := slices.Index(list, p); i >= 0 {
		return slices.Delete(list, i, i+1)
	}
	return list
}

func (p *poll) nudge() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// wakeAll wakes every poll: topics changed, or the broker drains.
func (g *registry) wakeAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.all {
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
			g.touched = append(g.touched[:0], g.all...)
			return
		}
	}
	for i := range a.Outcome.Commands {
		for _, tp := range a.Outcome.Commands[i].Touched {
			g.touched = append(g.touched, g.waiting[tp]...)
		}
	}
	for i := range a.Entry.Parts {
		part := &a.Entry.Parts[i]
		tp := metadata.TopicPartition{Topic: a.Entry.Topics[part.Topic], Partition: part.Partition}
		g.touched = append(g.touched, g.waiting[tp]...)
	}
}

// flush wakes those whom the entries that came together touched, once each: a
// poll that was woken by the first of them would race with the others, and be
// answered with a part of them.
func (g *registry) flush() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.touched {
		p.nudge()
	}
	clear(g.touched)
	g.touched = g.touched[:0]
}
