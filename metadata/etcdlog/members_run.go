package etcdlog

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// dialRetryPause is the pause after a failed dial.
const dialRetryPause = time.Second

// Run probes the member in use, changes to another one when it does not answer,
// and back to one of the own zone. It returns when ctx ends.
func (m *Members) Run(ctx context.Context) {
	var wg, first sync.WaitGroup
	defer wg.Wait()
	for _, one := range m.members {
		first.Add(1)
		wg.Go(func() { one.dialUntilConnected(ctx, first.Done) })
	}
	first.Wait() // or the first to connect would be used, and not the member of the own zone
	g := &monitor{m: m, healthySince: make([]time.Time, len(m.members))}
	for ctx.Err() == nil {
		g.probeRound(ctx)
		g.waitForRound(ctx)
	}
}

// dialUntilConnected dials until it succeeds. tried is called after the first
// attempt.
func (o *member) dialUntilConnected(ctx context.Context, tried func()) {
	for {
		c, err := o.dial(ctx)
		if err == nil {
			o.client = c
			close(o.connected)
		}
		if tried != nil {
			tried()
			tried = nil
		}
		if err == nil {
			return
		}
		select {
		case <-time.After(dialRetryPause):
		case <-ctx.Done():
			return
		}
	}
}

// monitor is the state of Run.
type monitor struct {
	m              *Members
	healthySince   []time.Time // since when a member of the own zone that is not in use has answered; zero: it does not
	ownZone        ownZoneReturn
	lastProbe      time.Time // last probe of the current member
	nextSlowSearch time.Time // no search because of slow calls alone before
	callFailed     bool      // a call failed as the member cannot serve
	foundNoBetter  bool      // a search has just found no better one
}

// probeRound probes the current member and, where that one is in another zone,
// those of the own zone, and acts on the results.
func (g *monitor) probeRound(ctx context.Context) {
	m, now := g.m, time.Now()
	current := m.Using()
	otherZone := !m.members[current].sameZone.Load()
	every := probeEvery
	if otherZone {
		every = otherZoneProbeEvery
	}
	var wg sync.WaitGroup
	var lost error
	if now.Sub(g.lastProbe) >= every {
		g.lastProbe = now
		wg.Go(func() { lost = m.probeWithTimeout(ctx, current, MemberClient.Alive) })
	}
	if otherZone {
		for i, o := range m.members {
			if o.sameZone.Load() {
				wg.Go(func() { g.probeOwnZone(ctx, i) })
			}
		}
	}
	wg.Wait()
	begun, any := m.oldestCall(current)
	slow := any && time.Since(begun) >= silenceLimit && time.Now().After(g.nextSlowSearch)
	switch {
	case ctx.Err() != nil:
	case lost != nil:
		g.replaceMember(ctx, current, true)
	case g.callFailed || slow:
		g.replaceMember(ctx, current, false)
	case otherZone:
		g.returnToOwnZone(current)
	}
}

// waitForRound waits for the next round, or until a call fails as the member
// cannot serve.
func (g *monitor) waitForRound(ctx context.Context) {
	kick := g.m.kick
	if g.foundNoBetter {
		kick = nil // if no member serves there is no hurry
	}
	g.callFailed, g.foundNoBetter = false, false
	select {
	case <-kick:
		g.callFailed = true
	case <-time.After(probeEvery / 3):
	case <-ctx.Done():
	}
}

// probeMember probes one member. A refusal is an answer, too.
func (m *Members) probeMember(ctx context.Context, i int, how func(MemberClient, context.Context) error) error {
	o := m.members[i]
	select {
	case <-o.connected:
	default:
		return errNotConnected
	}
	if err := how(o.client, ctx); err != nil && !isRefused(err) {
		return err
	}
	return nil
}

// probeWithTimeout is probeMember within silenceLimit.
func (m *Members) probeWithTimeout(ctx context.Context, i int, how func(MemberClient, context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, silenceLimit)
	defer cancel()
	return m.probeMember(ctx, i, how)
}

// readLinearizable sends a read that a member cannot answer without the others,
// nor with a disk that does not take its raft log.
func readLinearizable(c MemberClient, ctx context.Context) error {
	_, err := c.Range(ctx, &rangeReq{Key: []byte(Root), KeysOnly: true})
	return err
}

// probeOwnZone records since when a member of the own zone has answered.
func (g *monitor) probeOwnZone(ctx context.Context, i int) {
	if g.m.probeWithTimeout(ctx, i, readLinearizable) != nil {
		g.healthySince[i] = time.Time{}
	} else if g.healthySince[i].IsZero() {
		g.healthySince[i] = time.Now()
	}
}

// returnToOwnZone uses a member of the own zone again.
func (g *monitor) returnToOwnZone(current int) {
	m, now := g.m, time.Now()
	for i, o := range m.members {
		if !o.sameZone.Load() || !g.ownZone.mayReturn(g.healthySince[i], now) {
			continue
		}
		m.switchTo(i, false)
		g.ownZone.returnedAt, g.healthySince[i] = now, time.Time{}
		m.log.Info("switching back to the etcd member of this zone", "member", o.name, "instead_of", m.members[current].name)
		return
	}
}

// replaceMember searches for another member that serves while the current one
// does not. lost: the current one did not answer already; otherwise it is probed
// alone first, as slow writes are not its fault.
func (g *monitor) replaceMember(ctx context.Context, current int, lost bool) {
	m := g.m
	defer m.notifySearchDone()
	next := m.searchMember(ctx, current, lost)
	now := time.Now()
	if next == current {
		g.foundNoBetter, g.nextSlowSearch = true, now.Add(searchInterval)
		return
	}
	m.switchTo(next, true)
	g.healthySince[current] = time.Time{}
	if m.members[current].sameZone.Load() || g.ownZone.requiredUptime == 0 {
		g.ownZone.recordGivenUp(now)
	}
	if m.members[next].sameZone.Load() {
		g.ownZone.returnedAt = now
	}
	m.log.Warn("etcd member does not respond: switching to another one", "member", m.members[current].name, "using", m.members[next].name,
		"across_zones", !m.members[next].sameZone.Load(), "next", fmt.Sprintf("a member of this zone is used again when it has answered for %v", g.ownZone.requiredUptime))
}

// searchMember probes the members and returns which one to use.
func (m *Members) searchMember(ctx context.Context, current int, lost bool) int {
	begun, wait := time.Now(), searchGiveUpAfter
	l := &memberSearch{m: m, answers: make(chan probeAnswer, len(m.members)), probes: make([]probeState, len(m.members)), failures: make([]string, len(m.members))}
	ctx, cancel := context.WithTimeout(ctx, searchTimeout)
	defer l.wg.Wait()
	defer cancel()
	l.probeMember(ctx, current)
	if lost {
		l.probeOthers(ctx)
	} else {
		wait += probeAloneTime
	}
	for order := 1; ; {
		select {
		case a := <-l.answers:
			if l.probes[a.member].failed = a.err != nil; a.err == nil {
				l.probes[a.member].order = order
				order++
			} else {
				l.failures[a.member] = failureReason(a.err)
			}
		case <-time.After(probeAloneTime / 3):
		}
		since := time.Since(begun)
		if l.probes[current].failed || since >= probeAloneTime {
			l.probeOthers(ctx)
		}
		if next, done := chooseMember(current, l.probes, since, wait); done || ctx.Err() != nil {
			m.setUnavailableReason(l.describeFailures())
			return next
		}
	}
}

// describeFailures returns for each member why it does not serve, "" where one
// does.
func (l *memberSearch) describeFailures() string {
	var all []string
	for i, s := range l.probes {
		why := l.failures[i]
		switch {
		case s.order > 0:
			return ""
		case !s.failed:
			why = "no answer"
		}
		all = append(all, l.m.members[i].name+": "+why)
	}
	return strings.Join(all, ", ")
}

// memberSearch is one search for a member that serves.
type memberSearch struct {
	m        *Members
	wg       sync.WaitGroup
	answers  chan probeAnswer
	probes   []probeState
	failures []string // why the probe failed
}

type probeAnswer struct {
	member int
	err    error
}

func (l *memberSearch) probeMember(ctx context.Context, i int) {
	l.probes[i].sent, l.probes[i].sameZone = true, l.m.members[i].sameZone.Load()
	l.wg.Go(func() { l.answers <- probeAnswer{i, l.m.probeMember(ctx, i, readLinearizable)} })
}

func (l *memberSearch) probeOthers(ctx context.Context) {
	for i := range l.probes {
		if !l.probes[i].sent {
			l.probeMember(ctx, i)
		}
	}
}
