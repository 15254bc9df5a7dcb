package broker

import (
	"bytes"
	"context"
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/internal/membudget"
	"github.com/zonewise/zonewise/metadata"
)

func TestSlowLargeFramesHoldLittleAndAreCut(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		var slow []*raw
		for range 5 {
			r := dial()
			r.c.Write(append(binary.BigEndian.AppendUint32(nil, MaxFrameBytes), 0, 0, 0, 9, 0, 0, 0, 1, 0xff, 0xff))
			slow = append(slow, r)
		}
		synctest.Wait()
		if used := n.server.frames.used(); used > 5*initialFrameBytes {
			t.Errorf("five frames of which ten bytes came hold %d bytes", used)
		}
		other := dial()
		begun := time.Now()
		other.makeTopic("t", 1, "max.message.bytes", "8000000")
		if took := time.Since(begun); took > time.Second {
			t.Errorf("another client waited for %v", took)
		}
		for _, r := range slow {
			r.c.SetReadDeadline(begun.Add(time.Minute))
			if _, err := r.answer(); err == nil || time.Since(begun) >= time.Minute {
				t.Errorf("not cut within a minute: %v", err)
			}
		}
		synctest.Wait()
		if used := n.server.frames.used(); used != 0 {
			t.Errorf("%d bytes still held", used)
		}
	})
}

func TestFramesThatGrowWhileTheyComeArriveWhole(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		r.makeTopic("t", 1, "max.message.bytes", "20000000")
		value := bytes.Repeat([]byte("0123456789abcdef"), 6<<20/16)
		got := r.roundTrip(produceOf(9, "t", metadata.TopicID{}, -1, batchOf(nowMs(), string(value)))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		if got.ErrorCode != 0 {
			t.Fatalf("a batch of 6 MiB: %d", got.ErrorCode)
		}
		synctest.Wait()
		if used := n.server.frames.used(); used != 0 {
			t.Errorf("%d bytes still held", used)
		}
	})
}

func TestHalfCameFramesDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{frames: &memoryPool{small: membudget.New(1, nil), large: membudget.New(10, nil)}, spareFrame: make(chan struct{}, 1)}
		half := func() (*conn, *pendingRequest) {
			c := &conn{s: s, ctx: context.Background(), frameBudget: membudget.New(1, nil)}
			held, err := acquireGrant(context.Background(), s.frames.large, c, 5)
			if err != nil {
				t.Fatal(err)
			}
			return c, &pendingRequest{frame: held}
		}
		c1, p1 := half()
		c2, p2 := half()
		if err := c1.growFrameMemory(5, p1); err != nil || !p1.holdsSpare {
			t.Fatalf("the first takes the spare room: %v", err)
		}
		done := make(chan error)
		go func() { done <- c2.growFrameMemory(5, p2) }()
		synctest.Wait()
		select {
		case <-done:
			t.Fatal("two frames in the room for one")
		default:
		}
		c1.freeRequest(p1)
		if err := <-done; err != nil || !p2.holdsSpare {
			t.Fatalf("the second goes on when the first is answered: %v", err)
		}
		c2.freeRequest(p2)
		if s.frames.used() != 0 || len(s.spareFrame) != 0 {
			t.Errorf("%d bytes and %d rooms still held", s.frames.used(), len(s.spareFrame))
		}
	})
}
