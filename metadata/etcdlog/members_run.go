package etcdlog

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// dialRetryPause is the pause after a member could not be dialled.
const dialRetryPause = time.Second

// Run asks the member that is used whether it answers, changes to another one
// when it does not, and back to one of the own zone. It returns when ctx ends.
func (m *Members) Run(ctx context.Context) {
	var wg, first sync.WaitGroup
	defer wg.Wait()
	for _, one := range m.members {
		first.Add(1)
		wg.Go(func() { one.dialUntilConnected(ctx, first.Done) })
	}
	first.Wait() // or who is first to be dialled would be used, and not the near one
	g := &monitor{m: m, healthySince: make([]time.Time, len(m.members))}
	for ctx.Err() == nil {
		g.probeRound(ctx)
		g.waitForRound(ctx)
	}
}

// dialUntilConnected dials until it is done. tried is called after the first time.
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

// monitor is what Run knows.
type monitor struct {
	m              *Members
	healthySince   []time.Time // since when a near member that is not used has answered; zero: it does not
	ownZone        ownZoneReturn
	lastProbe      time.Time // the present member, last
	nextSlowSearch time.Time // no look for slow calls alone before
	callFailed     bool      // a call was told that the member cannot serve
	foundNoBetter  bool      // a look has just found nothing better
}

// probeRound probes the present member and, where that one is in another zone, those
// of the own; and does what follows.
func (g *monitor) probeRound(ctx context.Context) {
	m, now := g.m, time.Now()
	current := m.Using()
	away := !m.members[current].sameZone.Load()
	every := probeEvery
	if away {
		every = otherZoneProbeEvery
	}
	var wg sync.WaitGroup
	var lost error
	if now.Sub(g.lastProbe) >= every {
		g.lastProbe = now
		wg.Go(func() { lost = m.probeWithTimeout(ctx, current, MemberClient.Alive) })
	}
	if away {
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
	case away:
		g.returnToOwnZone(current)
	}
}

// waitForRound waits a moment, or until a call is told that the member cannot serve.
func (g *monitor) waitForRound(ctx context.Context) {
	kick := g.m.kick
	if g.foundNoBetter {
		kick = nil // where nobody serves there is no hurry
	}
	g.callFailed, g.foundNoBetter = false, false
	select {
	case <-kick:
		g.callFailed = true
	case <-time.After(probeEvery / 3):
	case <-ctx.Done():
	}
}

// probeMember asks one member. An answer that refuses us is one, too.
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

// probeWithTimeout is probe within silenceLimit.
func (m *Members) probeWithTimeout(ctx context.Context, i int, how func(MemberClient, context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, silenceLimit)
	defer cancel()
	return m.probeMember(ctx, i, how)
}

// readLinearizable asks a member for a read that it cannot answer without the others, nor
// with a disk that does not take its raft log.
func readLinearizable(c MemberClient, ctx context.Context) error {
	_, err := c.Range(ctx, &rangeReq{Key: []byte(Root), KeysOnly: true})
	return err
}

// probeOwnZone notes since when a member of the own zone is well.
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

// replaceMember finds out whether another member serves while the present one does not.
// lost says that the present one was silent already; otherwise it is asked alone
// first, since slow writes are no fault of its.
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

// searchMember asks the members and returns which one to use.
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

// describeFailures says of each member why it does not serve, "" where one does.
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

// memberSearch is one look.
type memberSearch struct {
	m        *Members
	wg       sync.WaitGroup
	answers  chan probeAnswer
	probes   []probeState
	failures []string // it failed
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
