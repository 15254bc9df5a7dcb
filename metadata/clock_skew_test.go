package metadata

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// pausingLog is one broker's access to a log: no request is answered between from
// and to, and its session publishes a clock that is off.
type pausingLog struct {
	*MemLog
	clockOff UnixMilli    // of what is published only
	clockSet atomic.Int64 // by how many ms the broker's clock was set wrong

	mu       sync.Mutex
	from, to time.Time
}

func (p *pausingLog) pause(after, during time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.from = time.Now().Add(after)
	p.to = p.from.Add(during)
}

// wait returns when the pause is over.
func (p *pausingLog) wait() {
	p.mu.Lock()
	from, to := p.from, p.to
	p.mu.Unlock()
	if now := time.Now(); !now.Before(from) && now.Before(to) {
		time.Sleep(to.Sub(now))
	}
}

func (p *pausingLog) Sessions(ctx context.Context) ([]LiveSession, Revision, error) {
	p.wait()
	return p.MemLog.Sessions(ctx)
}

func (p *pausingLog) Start(ctx context.Context) (StartPoint, error) {
	p.wait()
	return p.MemLog.Start(ctx)
}

func (p *pausingLog) Append(ctx context.Context, r AppendRequest) (AppendResult, error) {
	p.wait()
	return p.MemLog.Append(ctx, r)
}

func (p *pausingLog) OpenSession(ctx context.Context, info SessionInfo) (Session, error) {
	s, err := p.MemLog.OpenSession(ctx, info)
	return pausingSession{s, p}, err
}

type pausingSession struct {
	Session
	p *pausingLog
}

func (s pausingSession) Publish(ctx context.Context, st SessionStatus) error {
	s.p.wait()
	st.Clock += s.p.clockOff
	return s.Session.Publish(ctx, st)
}

// clockRig is some brokers on one log, and their log lines.
type clockRig struct {
	log  *MemLog
	logs []*pausingLog
	r    *Replica

	mu   sync.Mutex
	text bytes.Buffer
}

func (c *clockRig) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.Write(b)
}

// accused returns the brokers that logged that their clock is off.
func (c *clockRig) accused() (out string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for line := range strings.Lines(c.text.String()) {
		if _, rest, ok := strings.Cut(line, "clock is off"); ok {
			_, broker, _ := strings.Cut(rest, "broker=")
			out += broker[:1]
		}
	}
	return out
}

func (c *clockRig) time() (at UnixMilli) {
	c.r.View(func(s *State) { at = s.time })
	return at
}

// ticker is the broker that holds the role, nil where none does.
func (c *clockRig) ticker() *pausingLog {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	holder := c.log.sessions[c.log.roles[RoleTick].Session]
	for i, p := range c.logs {
		if holder != nil && holder.live.Info.Nonce == fmt.Sprint(i) {
			return p
		}
	}
	return nil
}

// startClocks starts brokers whose published clocks are off by these amounts.
func startClocks(t *testing.T, off []UnixMilli) *clockRig {
	c := &clockRig{log: NewMemLog(), logs: make([]*pausingLog, len(off))}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); wg.Wait() })
	for i := range c.logs {
		p := &pausingLog{MemLog: c.log, clockOff: off[i]}
		c.logs[i] = p
		logger := slog.New(slog.NewTextHandler(c, nil)).With("broker", i)
		r := NewReplica(ReplicaConfig{Log: p, Store: newMemStore(), Logger: logger})
		c.r = r
		wg.Go(func() {
			if err := r.Run(ctx); err != nil {
				t.Errorf("replica: %v", err)
			}
		})
		s, err := p.OpenSession(ctx, SessionInfo{Nonce: fmt.Sprint(i), Zone: "a"})
		if err != nil {
			t.Fatal(err)
		}
		sub := &directSubmitter{log: p, r: r, s: s.ID()}
		if out, err := sub.Submit(ctx, []Command{OpenSession{Want: NoBroker, Zone: "a", MinLevel: 1, MaxLevel: 1}}, nil); err != nil || out.Commands[0].Code != CodeOK {
			t.Fatalf("open: %+v, %v", out, err)
		}
		times := DefaultMaintenanceTimes()
		times.Checkpoint, times.Archive = time.Hour, time.Hour
		m := NewMaintenance(MaintenanceConfig{Log: p, Admin: p, Store: newMemStore(), Replica: r, Submitter: sub, Session: s,
			Broker: brokerOf(t, r, s.ID()), Logger: logger, Rand: rand.New(rand.NewPCG(uint64(i), 7)), Times: times,
			Clock: func() UnixMilli { return UnixMilli(time.Now().UnixMilli() + p.clockSet.Load()) }})
		wg.Go(func() {
			if err := m.Run(ctx, m.Tasks()); err != nil {
				t.Errorf("maintenance: %v", err)
			}
		})
	}
	return c
}

// brokerOf returns the id of a session's broker.
func brokerOf(t *testing.T, r *Replica, id SessionID) (b BrokerID) {
	t.Helper()
	r.View(func(s *State) {
		v, ok := s.Session(id)
		if !ok {
			t.Fatal("no session")
		}
		b = v.Broker
	})
	return b
}

// However long the log pauses, for the holder alone or for all, and whenever
// during a tick that begins: a correct clock is not reported to be off, and state
// time goes on.
func TestAPauseOfTheLogMakesNoClockWrong(t *testing.T) {
	for _, all := range []bool{false, true} {
		for _, during := range []time.Duration{3 * time.Second, 7800 * time.Millisecond, 30 * time.Second} {
			for phase := range 10 {
				t.Run(fmt.Sprintf("%v/%v/%d", all, during, phase), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						c := startClocks(t, make([]UnixMilli, 3))
						time.Sleep(30 * time.Second)
						holder := c.ticker()
						for _, p := range c.logs {
							if all || p == holder {
								p.pause(time.Duration(phase)*500*time.Millisecond, during)
							}
						}
						time.Sleep(during + 20*time.Second)
						if who := c.accused(); who != "" {
							t.Errorf("the right clocks of %q were said to be off", who)
						}
						if late := UnixMilli(time.Now().UnixMilli()) - c.time(); late > 6_000 || c.ticker() != holder {
							t.Errorf("state time is %d ms late", late)
						}
					})
				})
			}
		}
	}
}

// A wrong clock is found although the age of the published ones is unknown.
func TestAClockThatIsOffMovesNoStateTime(t *testing.T) {
	for _, x := range []struct {
		others UnixMilli // published by the other two clocks
		off    bool
	}{{-8_000, true}, {-1_500, false}, {1_500, false}, {5_000, true}} {
		t.Run(fmt.Sprint(x.others), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := startClocks(t, []UnixMilli{0, x.others, x.others})
				accused := func() bool { return strings.Contains(c.accused(), "0") }
				for range 100 {
					time.Sleep(time.Second)
					// Only the first broker has a clock with which its state time
					// can be compared: the others only publish theirs.
					if holder := c.ticker(); holder != c.logs[0] && !accused() {
						c.log.mu.Lock()
						delete(c.log.roles, RoleTick)
						c.log.mu.Unlock()
					}
				}
				if accused() != x.off {
					t.Errorf("others' clocks are %d ms from the holder's: said to be off: %v", x.others, accused())
				}
			})
		})
	}
}

// Two clocks cannot tell which of them is off, and of three there are only two
// while one broker starts: a clock that is set wrong takes state time nowhere, as
// no other clock confirms it. What it says is believed as soon as one does.
func TestAClockThatNobodyConfirmsMovesNoStateTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startClocks(t, make([]UnixMilli, 2))
		time.Sleep(30 * time.Second)
		check := func(off time.Duration) {
			t.Helper()
			if at := c.time() - UnixMilli(time.Now().Add(off).UnixMilli()); at > 0 || at < -8_000 {
				t.Errorf("state time is %d ms ahead", at)
			}
		}
		c.ticker().clockSet.Store(time.Hour.Milliseconds())
		for range 60 {
			time.Sleep(time.Second)
			check(0)
		}
		for _, p := range c.logs {
			p.clockSet.Store((5 * time.Minute).Milliseconds())
		}
		time.Sleep(time.Minute)
		check(5 * time.Minute)
	})
}
