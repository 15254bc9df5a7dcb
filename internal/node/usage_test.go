package node

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonewise/zonewise/internal/costkeys"
	"github.com/zonewise/zonewise/metadata"
)

// tardyLog reports the end of a session only after its appends have found out.
type tardyLog struct {
	*metadata.MemLog
	wg sync.WaitGroup
}

type tardySession struct {
	metadata.Session
	done chan struct{}
}

func (s *tardySession) Done() <-chan struct{} { return s.done }

func (l *tardyLog) OpenSession(ctx context.Context, info metadata.SessionInfo) (metadata.Session, error) {
	s, err := l.MemLog.OpenSession(ctx, info)
	if err != nil {
		return nil, err
	}
	t := &tardySession{s, make(chan struct{})}
	l.wg.Go(func() {
		<-s.Done()
		time.Sleep(time.Second)
		close(t.done)
	})
	return t, nil
}

// counted is what the ledger has of the cells that measure made, and whether time
// is missing in it.
func counted(n *Node) (sum uint64, gapsMs int64) {
	n.replica.View(func(s *metadata.State) {
		l := s.Ledger(0, s.Time()+1)
		for _, c := range l.Cells {
			if c.Key.Component == costkeys.ComponentFetchReply {
				sum += c.Quantity.Lo
			}
		}
		gapsMs = l.GapsMs
	})
	return sum, gapsMs
}

// measured is how many cells measure makes: they take so many reports that an
// interruption always comes before their end.
const measured = 19*maxUsageCells + maxUsageCells/2

func measure(n *Node) {
	for i := range measured {
		n.server.Meter().Add(metadata.CellKey{Topic: metadata.TopicID{1}, Component: costkeys.ComponentFetchReply, Src: "a", Dst: "b", Principal: fmt.Sprint(i)}, costkeys.Units(7))
	}
}

// underReport counts, waits until the first of its reports is in the ledger and
// the second one under way, and then does something.
func underReport(t *testing.T, tardy bool, do func(c *bubbleCluster, n *Node)) (other *Node, end func()) {
	t.Helper()
	c := newBubbleCluster(t, 100*time.Millisecond)
	c.log.Latency = 300 * time.Millisecond
	other = c.start("other", "b")
	late := &tardyLog{MemLog: c.log}
	c.config = func(cfg *Config) {
		cfg.GroupsFrom = make(chan struct{}) // its claims would precede the reports
		if tardy {
			cfg.Log = late
		}
	}
	n := c.start("counting", "a")
	measure(n)
	for sum := uint64(0); sum == 0; sum, _ = counted(other) {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(c.log.Latency / 2)
	do(c, n)
	return other, func() { c.close(); late.wg.Wait() }
}

// A drain interrupts a report whose outcome is then unknown, and what follows
// it was never sent. All of it is in the ledger in the end, once.
func TestAReportThatADrainInterruptsLandsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other, end := underReport(t, false, func(c *bubbleCluster, n *Node) {
			// A batch that takes its time: the drain ends in the middle of a commit.
			c.send(n, metadata.TopicPartition{Topic: c.topic(n, 1)}, nil)
			if err := n.Drain(t.Context()); err != nil {
				t.Error(err)
			}
			n.Close()
		})
		defer end()
		time.Sleep(time.Minute)
		if sum, gaps := counted(other); sum != 7*measured || gaps != 0 {
			t.Errorf("%d in the ledger, %d were counted; %d ms are missing", sum, 7*measured, gaps)
		}
	})
}

// A session is lost under a report, which has certainly not landed: the next
// session reports it, and what was never sent.
func TestWhatALostSessionCountedIsReportedByTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var counting *Node
		other, end := underReport(t, true, func(c *bubbleCluster, n *Node) {
			counting = n
			c.log.ExpireSession(n.currentSession.Load().log.ID())
		})
		defer end()
		time.Sleep(time.Minute)
		if sum, _ := counted(other); sum != 7*measured {
			t.Errorf("%d in the ledger, %d were counted", sum, 7*measured)
		}
		if sum := counting.traffic.clientBytes.Load(); sum != 7*measured { // what was sent twice crossed once
			t.Errorf("%d bytes between zones in the metrics, %d were counted", sum, 7*measured)
		}
	})
}

// Where it is unknown whether a lost session's last report was committed, it is
// given up and its time is a gap of the ledger; what was never sent is
// reported.
func TestOnlyAReportOfUnknownFateIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other, end := underReport(t, false, func(c *bubbleCluster, n *Node) { c.log.ExpireSession(n.currentSession.Load().log.ID()) })
		defer end()
		time.Sleep(time.Minute)
		if sum, gaps := counted(other); sum != 7*(measured-maxUsageCells) || gaps == 0 {
			t.Errorf("%d in the ledger, %d were counted, %d of them in a report of unknown fate; %d ms are missing", sum, 7*measured, 7*maxUsageCells, gaps)
		}
	})
}
