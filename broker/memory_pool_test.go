package broker

import (
	"context"
	"encoding/binary"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/internal/membudget"
	"github.com/zonewise/zonewise/metadata"
)

// fill takes all that is left of a budget but n bytes, and returns what gives
// it back.
func fill(t *testing.T, b *membudget.Budget, but int64) func() {
	t.Helper()
	taken := b.Available() - but
	if err := b.Acquire(context.Background(), taken, nil); err != nil {
		t.Fatal(err)
	}
	return func() { b.Release(taken) }
}

func TestSmallRequestsDoNotWaitForLargeOnes(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		id := r.makeTopic("t", 1)
		for _, b := range []*membudget.Budget{n.server.frames.large, n.server.bulkFrames, n.server.requests.large, n.server.responses.large, n.server.polls.large} {
			defer fill(t, b, 0)()
		}
		n.server.heavySlots <- struct{}{}
		begun := time.Now()
		r.roundTrip(kmsg.NewPtrMetadataRequest())
		r.roundTrip(produceOf(9, "t", id, -1, batchOf(nowMs(), "x")))
		q := fetchOf(11, 0, -1, 10, fetchWant{topic: "t"})
		q.MaxBytes = 50 << 20
		if resp := r.fetch(q); describeFetch(resp) != "0:0:true " {
			t.Errorf("said %q", describeFetch(resp))
		}
		if took := time.Since(begun); took > time.Second {
			t.Errorf("small requests waited %v for the memory of large ones", took)
		}
	})
}

func TestAClientThatDoesNotReadIsClosedWhereOthersWait(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r, idle, other := dial(), dial(), dial()
		r.makeTopic("t", 1)
		idle.send(kmsg.NewPtrMetadataRequest()) // its answer is not read
		synctest.Wait()
		defer fill(t, n.server.responses.small, 0)()
		begun := time.Now()
		other.roundTrip(kmsg.NewPtrMetadataRequest())
		if took := time.Since(begun); took < maxStall || took > 2*maxStall {
			t.Errorf("answered after %v, want about %v", took, maxStall)
		}
		if _, err := idle.answer(); err == nil {
			t.Error("the client that does not read still has its connection")
		}
	})
}

func TestASlowClientIsLeftAloneWhereNobodyWaits(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		r.makeTopic("t", 1)
		r.send(kmsg.NewPtrMetadataRequest())
		time.Sleep(20 * time.Second)
		r.receive(kmsg.NewPtrMetadataRequest(), r.next)
	})
}

func TestWaitingRequestsHoldNoMemoryOfOthers(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r, m1, m2 := dial(), dial(), dial()
		r.makeTopic("t", 1)
		f := fetchOf(11, 0, 0, 60_000, fetchWant{topic: "t"})
		r.send(f)
		join := func(c *raw, id string) *kmsg.JoinGroupRequest {
			q := kmsg.NewPtrJoinGroupRequest()
			q.Version, q.Group, q.MemberID, q.SessionTimeoutMillis, q.RebalanceTimeoutMillis, q.ProtocolType = 3, "g", id, 10_000, 60_000, "consumer"
			p := kmsg.NewJoinGroupRequestProtocol()
			p.Name, p.Metadata = "range", []byte(strings.Repeat("m", 100_000))
			q.Protocols = append(q.Protocols, p)
			return q
		}
		m1.roundTrip(join(m1, ""))
		m2.send(join(m2, "")) // waits for the first to join again
		synctest.Wait()
		time.Sleep(time.Second)
		synctest.Wait()
		if f, q := n.server.frames.used(), n.server.requests.used(); f != 0 || q != 0 {
			t.Errorf("while a fetch and a join wait, %d bytes of frames and %d of requests are held", f, q)
		}
		if used := n.server.polls.used(); used < fetchPartBytes+2*sessionPartBytes {
			t.Errorf("%d bytes of polls are held", used)
		}
	})
}

func TestWithoutMemoryFetchesDoNotWaitAndHaveNoSession(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		id := r.makeTopic("t", 1)
		defer fill(t, n.server.polls.small, 0)()
		begun := time.Now()
		resp := r.fetch(fetchOf(11, 0, 0, 5_000, fetchWant{topic: "t"}))
		if took := time.Since(begun); took > time.Second || resp.SessionID != 0 || resp.ThrottleMillis != int32(fetchThrottle/time.Millisecond) {
			t.Errorf("after %v: session %d, throttle time %d", took, resp.SessionID, resp.ThrottleMillis)
		}
		r.roundTrip(produceOf(9, "t", id, -1, batchOf(nowMs(), "x")))
		if resp := r.fetch(fetchOf(11, 0, 0, 5_000, fetchWant{topic: "t"})); describeFetch(resp) != "0:0:true " || resp.ThrottleMillis != 0 {
			t.Errorf("said %q, throttle time %d", describeFetch(resp), resp.ThrottleMillis)
		}
	})
}

// Work that is expensive ends when its client has gone, also where the end of
// its connection lies behind requests that were not read yet.
func TestHeavyWorkEndsWithItsClient(t *testing.T) {
	w := newWorld(t)
	n := w.tcp("a", []metadata.ZoneID{"a"}, nil)
	n.server.heavySlots <- struct{}{} // others' heavy work
	c, err := net.Dial("tcp", n.addr)
	if err != nil {
		t.Fatal(err)
	}
	body := binary.AppendUvarint([]byte{0, 10, 0, 4, 0, 0, 0, 1, 0xff, 0xff, 0, 0}, 500_001)
	for range 500_000 {
		body = append(body, 2, 'k')
	}
	frame := append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+1)), append(body, 0)...)
	for range 9 { // one more than a connection may have unanswered
		if _, err := c.Write(frame); err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		n.server.mu.Lock()
		left := len(n.server.conns)
		n.server.mu.Unlock()
		if left == 0 {
			break
		}
		if time.Since(begun) > 30*time.Second {
			t.Fatal("the connection goes on without its client")
		}
	}
	if used := n.server.requests.used() + n.server.frames.used() + usedBytes(n.server.bulkFrames); used != 0 {
		t.Errorf("%d bytes still held", used)
	}
}
