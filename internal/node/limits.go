package node

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// Thresholds of warnings and alarms, in per cent of a limit. An alarm ends a
// little lower, so that a value near the threshold is reported once.
const (
	warnPercent  = 80
	alarmPercent = 95
	clearMargin  = 2
)

// limitInterval is how often the use of limits is checked; an active alarm is
// logged again after alarmRepeat.
const (
	limitInterval = time.Second
	alarmRepeat   = 10 * time.Minute
)

// minRatePart is the fraction of the rates that a cluster keeps whose state is
// full.
const minRatePart = 0.1

// limitLevel is how near a limit is.
type limitLevel int

const (
	limitFine limitLevel = iota
	limitNear            // from warnPercent on
	limitFull            // from alarmPercent on
)

// limitMonitor monitors how much of each limit is used. The goroutine of
// watchLimits owns what is not under mu.
type limitMonitor struct {
	levels    map[string]limitLevel
	lastAlarm time.Time // when alarms were last logged

	mu     sync.Mutex // guards what follows
	alarms []string   // active
	raised uint64     // since the start
}

// watchLimits checks the limits until the node ends.
func (n *Node) watchLimits() {
	l := &n.limits
	l.levels = map[string]limitLevel{}
	for {
		n.checkLimits(l, n.limitUses())
		select {
		case <-time.After(limitInterval):
		case <-n.ctx.Done():
			return
		}
	}
}

// limitUses lists the limits of the cluster's state and of this broker.
func (n *Node) limitUses() (uses []metadata.LimitUsage) {
	n.replica.View(func(s *metadata.State) { uses = s.LimitUsages() })
	return append(uses, n.server.LimitUsages()...)
}

// checkLimits compares the uses with the previous ones, logs those that rose,
// and slows the lanes where the state grows full.
func (n *Node) checkLimits(l *limitMonitor, uses []metadata.LimitUsage) {
	var alarms []string
	rose, fullest := 0, 0
	for _, u := range uses {
		was, is := l.levels[u.Name], levelOf(u, l.levels[u.Name])
		l.levels[u.Name] = is
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
			n.cfg.Logger.Warn("usage of a limit is high: free capacity as docs/operations.md says under \"A limit is reached\"",
				"limit", u.Name, "used", u.Used, "of", u.Limit)
		}
	}
	n.governor.SetDataFraction(slowedRates(fullest))
	if rose > 0 || len(alarms) > 0 && time.Since(l.lastAlarm) >= alarmRepeat {
		l.lastAlarm = time.Now()
		n.cfg.Logger.Error("ALARM: a limit is almost reached; requests that would exceed it are refused: free capacity as docs/operations.md says under \"A limit is reached\"",
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

// levelOf is how near a limit is, given how near it was.
func levelOf(u metadata.LimitUsage, was limitLevel) limitLevel {
	p := u.Percent()
	switch {
	case p >= alarmPercent, was == limitFull && p >= alarmPercent-clearMargin:
		return limitFull
	case p >= warnPercent, was >= limitNear && p >= warnPercent-clearMargin:
		return limitNear
	}
	return limitFine
}

// slowedRates is the fraction of the rates that is left: all below warnPercent,
// from there on less and less, down to minRatePart.
func slowedRates(percent int) float64 {
	if percent < warnPercent {
		return 1
	}
	left := float64(100-min(percent, 100)) / (100 - warnPercent)
	return minRatePart + (1-minRatePart)*left
}

// activeAlarms returns the active alarms, and how many were raised since the
// start.
func (l *limitMonitor) activeAlarms() ([]string, uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.alarms, l.raised
}

// limitMetrics registers the use of each limit.
func (n *Node) limitMetrics(r registrar) {
	for _, u := range n.limitUses() {
		name := u.Name
		find := func() metadata.LimitUsage {
			uses := n.limitUses()
			return uses[slices.IndexFunc(uses, func(u metadata.LimitUsage) bool { return u.Name == name })]
		}
		r.addGauge("limit_used", "What is used of a limit of the cluster's state or of this broker.", func() float64 { return float64(find().Used) }, "limit", name)
		r.addGauge("limit_max", "The most of it.", func() float64 { return float64(find().Limit) }, "limit", name)
	}
}
