package node

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// When a limit of the cluster is told of, in per cent of it; it is forgotten
// a little lower, so that one that hovers is told of once.
const (
	limitWarns  = 80
	limitAlarms = 95
	limitBelow  = 2
)

// limitEvery is how often the use of limits is looked at; an alarm that goes on
// is told again after limitRepeat.
const (
	limitEvery  = time.Second
	limitRepeat = 10 * time.Minute
)

// slowest is the part of the rates that a cluster keeps whose state is full.
const slowest = 0.1

// limitStep is how near a limit is.
type limitStep int

const (
	limitFine limitStep = iota
	limitNear           // from limitWarns on
	limitFull           // from limitAlarms on
)

// limits watches how much of each limit is used. The goroutine of watchLimits
// owns what is not under mu.
type limits struct {
	at   map[string]limitStep
	told time.Time // when alarms were last told

	mu     sync.Mutex // guards what follows
	alarms []string   // that stand
	raised uint64     // ever
}

// watchLimits looks at the limits until the node ends.
func (n *Node) watchLimits() {
	l := &n.limits
	l.at = map[string]limitStep{}
	for {
		n.look(l, n.limitUses())
		select {
		case <-time.After(limitEvery):
		case <-n.ctx.Done():
			return
		}
	}
}

// limitUses lists the limits of the cluster's state and of this broker.
func (n *Node) limitUses() (uses []metadata.Use) {
	n.replica.View(func(s *metadata.State) { uses = s.Uses() })
	return append(uses, n.server.Uses()...)
}

// look compares the uses with what they were, tells of those that rose, and
// slows the lanes where the state grows full.
func (n *Node) look(l *limits, uses []metadata.Use) {
	var alarms []string
	rose, fullest := 0, 0
	for _, u := range uses {
		was, is := l.at[u.Name], stepOf(u, l.at[u.Name])
		l.at[u.Name] = is
		if slices.Contains(limitsThatSlow, u.Name) {
			fullest = max(fullest, u.Percent())
		}
		if is == limitFull {
			alarms = append(alarms, fmt.Sprintf("limit %s: %d of %d used", u.Name, u.Used, u.Limit))
		}
		switch {
		case is == limitFull && was < limitFull:
			rose++
		case is == limitNear && was == limitFine:
			n.cfg.Logger.Warn("a limit is nearly reached: make room as docs/operations.md says under \"A limit is reached\"",
				"limit", u.Name, "used", u.Used, "of", u.Limit)
		}
	}
	n.governor.Slow(slowedRates(fullest))
	if rose > 0 || len(alarms) > 0 && time.Since(l.told) >= limitRepeat {
		l.told = time.Now()
		n.cfg.Logger.Error("ALARM: a limit is all but reached; what would grow beyond it is refused: make room as docs/operations.md says under \"A limit is reached\"",
			"limits", strings.Join(alarms, "; "))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.alarms = alarms
	l.raised += uint64(rose)
}

// limitsThatSlow are those that commits and runs use up: larger ones, at longer
// intervals, use less.
var limitsThatSlow = []string{"spans", "objects"}

// stepOf is how near a limit is, given how near it was.
func stepOf(u metadata.Use, was limitStep) limitStep {
	p := u.Percent()
	switch {
	case p >= limitAlarms, was == limitFull && p >= limitAlarms-limitBelow:
		return limitFull
	case p >= limitWarns, was >= limitNear && p >= limitWarns-limitBelow:
		return limitNear
	}
	return limitFine
}

// slowedRates is the part of the rates that is left: all below limitWarns, from
// there on less and less, down to slowest.
func slowedRates(percent int) float64 {
	if percent < limitWarns {
		return 1
	}
	left := float64(100-min(percent, 100)) / (100 - limitWarns)
	return slowest + (1-slowest)*left
}

// standing returns the alarms that stand, and how many were ever raised.
func (l *limits) standing() ([]string, uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.alarms, l.raised
}

// limitMetrics shows what is used of each limit.
func (n *Node) limitMetrics(r registrar) {
	for _, u := range n.limitUses() {
		name := u.Name
		find := func() metadata.Use {
			uses := n.limitUses()
			return uses[slices.IndexFunc(uses, func(u metadata.Use) bool { return u.Name == name })]
		}
		r.gauge("limit_used", "What is used of a limit of the cluster's state or of this broker.", func() float64 { return float64(find().Used) }, "limit", name)
		r.gauge("limit_max", "The most of it.", func() float64 { return float64(find().Limit) }, "limit", name)
	}
}
