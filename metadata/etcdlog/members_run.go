package etcdlog

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// dialAgain is the pause after a member could not be dialled.
const dialAgain = time.Second

// Run asks the member that is used whether it answers, changes to another one
// when it does not, and back to one of the own zone. It returns when ctx ends.
func (m *Members) Run(ctx context.Context) {
	var wg, first sync.WaitGroup
	defer wg.Wait()
	for _, one := range m.all {
		first.Add(1)
		wg.Go(func() { one.connect(ctx, first.Done) })
	}
	first.Wait() // or who is first to be dialled would be used, and not the near one
	g := &monitor{m: m, well: make([]time.Time, len(m.all))}
	for ctx.Err() == nil {
		g.round(ctx)
		g.rest(ctx)
	}
}

// connect dials until it is done. tried is called after the first time.
func (o *member) connect(ctx context.Context, tried func()) {
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
		case <-time.After(dialAgain):
		case <-ctx.Done():
			return
		}
	}
}

// monitor is what Run knows.
type monitor struct {
	m      *Members
	well   []time.Time // since when a near member that is not used has answered; zero: it does not
	home   homing
	probed time.Time // the present member, last
	softly time.Time // no look for slow calls alone before
	kicked bool      // a call was told that the member cannot serve
	stayed bool      // a look has just found nothing better
}

// round probes the present member and, where that one is in another zone, those
// of the own; and does what follows.
func (g *monitor) round(ctx context.Context) {
	m, now := g.m, time.Now()
	current := m.Using()
	away := !m.all[current].near.Load()
	every := probeEvery
	if away {
		every = farProbeEvery
	}
	var wg sync.WaitGroup
	var lost error
	if now.Sub(g.probed) >= every {
		g.probed = now
		wg.Go(func() { lost = m.soon(ctx, current, MemberClient.Alive) })
	}
	if away {
		for i, o := range m.all {
			if o.near.Load() {
				wg.Go(func() { g.watchHome(ctx, i) })
			}
		}
	}
	wg.Wait()
	begun, any := m.oldest(current)
	slow := any && time.Since(begun) >= memberSilence && time.Now().After(g.softly)
	switch {
	case ctx.Err() != nil:
	case lost != nil:
		g.look(ctx, current, true)
	case g.kicked || slow:
		g.look(ctx, current, false)
	case away:
		g.goHome(current)
	}
}

// rest waits a moment, or until a call is told that the member cannot serve.
func (g *monitor) rest(ctx context.Context) {
	kick := g.m.kick
	if g.stayed {
		kick = nil // where nobody serves there is no hurry
	}
	g.kicked, g.stayed = false, false
	select {
	case <-kick:
		g.kicked = true
	case <-time.After(probeEvery / 3):
	case <-ctx.Done():
	}
}

// probe asks one member. An answer that refuses us is one, too.
func (m *Members) probe(ctx context.Context, i int, how func(MemberClient, context.Context) error) error {
	o := m.all[i]
	select {
	case <-o.connected:
	default:
		return errNotConnected
	}
	if err := how(o.client, ctx); err != nil && !refused(err) {
		return err
	}
	return nil
}

// soon is probe within memberSilence.
func (m *Members) soon(ctx context.Context, i int, how func(MemberClient, context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, memberSilence)
	defer cancel()
	return m.probe(ctx, i, how)
}

// linear asks a member for a read that it cannot answer without the others, nor
// with a disk that does not take its raft log.
func linear(c MemberClient, ctx context.Context) error {
	_, err := c.Range(ctx, &rangeReq{Key: []byte(Root), KeysOnly: true})
	return err
}

// watchHome notes since when a member of the own zone is well.
func (g *monitor) watchHome(ctx context.Context, i int) {
	if g.m.soon(ctx, i, linear) != nil {
		g.well[i] = time.Time{}
	} else if g.well[i].IsZero() {
		g.well[i] = time.Now()
	}
}

// goHome uses a member of the own zone again.
func (g *monitor) goHome(current int) {
	m, now := g.m, time.Now()
	for i, o := range m.all {
		if !o.near.Load() || !g.home.mayReturn(g.well[i], now) {
			continue
		}
		m.use(i, false)
		g.home.back, g.well[i] = now, time.Time{}
		m.log.Info("using the etcd member of this zone", "member", o.name, "instead_of", m.all[current].name)
		return
	}
}

// look finds out whether another member serves while the present one does not.
// lost says that the present one was silent already; otherwise it is asked alone
// first, since slow writes are no fault of its.
func (g *monitor) look(ctx context.Context, current int, lost bool) {
	m := g.m
	defer m.endLook()
	next := m.lookAround(ctx, current, lost)
	now := time.Now()
	if next == current {
		g.stayed, g.softly = true, now.Add(lookAgain)
		return
	}
	m.use(next, true)
	g.well[current] = time.Time{}
	if m.all[current].near.Load() || g.home.needs == 0 {
		g.home.left(now)
	}
	if m.all[next].near.Load() {
		g.home.back = now
	}
	m.log.Warn("an etcd member does not answer: using another one", "member", m.all[current].name, "using", m.all[next].name,
		"across_zones", !m.all[next].near.Load(), "next", fmt.Sprintf("a member of this zone is used again when it has answered for %v", g.home.needs))
}

// lookAround asks the members and returns which one to use.
func (m *Members) lookAround(ctx context.Context, current int, lost bool) int {
	begun, wait := time.Now(), lookPatience
	l := &lookout{m: m, answers: make(chan memberAnswer, len(m.all)), seen: make([]sight, len(m.all)), why: make([]string, len(m.all))}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer l.wg.Wait()
	defer cancel()
	l.ask(ctx, current)
	if lost {
		l.askOthers(ctx)
	} else {
		wait += lookAlone
	}
	for order := 1; ; {
		select {
		case a := <-l.answers:
			if l.seen[a.member].failed = a.err != nil; a.err == nil {
				l.seen[a.member].order = order
				order++
			} else {
				l.why[a.member] = reasonOf(a.err)
			}
		case <-time.After(lookAlone / 3):
		}
		since := time.Since(begun)
		if l.seen[current].failed || since >= lookAlone {
			l.askOthers(ctx)
		}
		if next, done := choose(current, l.seen, since, wait); done || ctx.Err() != nil {
			m.setTrouble(l.trouble())
			return next
		}
	}
}

// trouble says of each member why it does not serve, "" where one does.
func (l *lookout) trouble() string {
	var all []string
	for i, s := range l.seen {
		why := l.why[i]
		switch {
		case s.order > 0:
			return ""
		case !s.failed:
			why = "no answer"
		}
		all = append(all, l.m.all[i].name+": "+why)
	}
	return strings.Join(all, ", ")
}

// lookout is one look.
type lookout struct {
	m       *Members
	wg      sync.WaitGroup
	answers chan memberAnswer
	seen    []sight
	why     []string // it failed
}

type memberAnswer struct {
	member int
	err    error
}

func (l *lookout) ask(ctx context.Context, i int) {
	l.seen[i].asked, l.seen[i].near = true, l.m.all[i].near.Load()
	l.wg.Go(func() { l.answers <- memberAnswer{i, l.m.probe(ctx, i, linear)} })
}

func (l *lookout) askOthers(ctx context.Context) {
	for i := range l.seen {
		if !l.seen[i].asked {
			l.ask(ctx, i)
		}
	}
}
