package metadata

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Records inside entries outlive their archives: after an hour they are moved, and the
// archives die but for those that a start or a recovery needs. What the state remembers
// of the bucket does not grow while hours pass.
func TestInlineBytesAreMovedOutOfOldArchives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, store := NewMemLog(), newMemStore()
		log.Latency = 2 * time.Millisecond
		a := startBroker(t, log, store, "a", 1)
		b := startBroker(t, log, store, "b", 2)
		topic := TopicID{1}
		if out, err := a.sub.Submit(t.Context(), []Command{CreateTopic{topic, "t", 1, 3, map[string]string{"retention.ms": "-1"}}}, nil); err != nil || out.Commands[0].Code != CodeOK {
			t.Fatalf("%+v %v", out, err)
		}
		want := map[Offset]string{}
		for i := range 200 {
			payload := fmt.Sprintf("%0100d", i)
			want[a.produceInline(TopicPartition{topic, 0}, []byte(payload), 0)] = payload
			time.Sleep(time.Second)
		}
		for hour := range 4 {
			time.Sleep(time.Hour)
			a.r.View(func(s *State) {
				if n := len(s.Archives()); hour > 0 && n > 100 {
					t.Errorf("%d archives after %d hours", n, hour+1)
				}
				if n := len(s.Checkpoints()); n > 10 {
					t.Errorf("%d checkpoints after %d hours", n, hour+1)
				}
				if hour > 0 && (len(s.InlineObjects()) == 0 || s.Archives()[0].LiveInline > 0) {
					t.Errorf("after %d hours %d inline objects; the oldest archive has %d live bytes", hour+1, len(s.InlineObjects()), s.Archives()[0].LiveInline)
				}
				if len(s.commitTimes) > maxCommitTimes {
					t.Errorf("%d commit times", len(s.commitTimes))
				}
			})
		}
		readBack(t, a.r, TopicPartition{topic, 0}, want)
		c := startBroker(t, log, store, "c", 3)
		if err := c.r.Barrier(t.Context()); err != nil {
			t.Fatal(err)
		}
		readBack(t, c.r, TopicPartition{topic, 0}, want)
		if out, err := a.sub.Submit(t.Context(), []Command{TrimPartition{topic, 0, -1}, ReleaseQueued{MaxReleaseItems}}, nil); err != nil || out.Commands[0].Code != CodeOK {
			t.Fatalf("%+v %v", out, err)
		}
		a.r.View(func(s *State) {
			if n := len(s.InlineObjects()); n != 0 {
				t.Errorf("%d inline objects without live bytes", n)
			}
		})
		c.stop()
		b.stop()
		a.stop()
	})
}

// damagedArchives damages the reads of some whole archives on their way.
type damagedArchives struct {
	Store
	after time.Time
	left  atomic.Int64
}

// Get implements Store.
func (d *damagedArchives) Get(ctx context.Context, key string, off, length int64) ([]byte, error) {
	b, err := d.Store.Get(ctx, key, off, length)
	if err == nil && off == 0 && length < 0 && strings.Contains(key, "/archive/0000000000000001/") && time.Now().After(d.after) && d.left.Add(-1) >= 0 {
		b = bytes.Clone(b)
		b[len(b)/2] ^= 1
	}
	return b, err
}

// An archive that is read damaged to be moved from is read again, and ends no broker.
func TestADamagedReadOfAnOldArchiveEndsNoBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, store := NewMemLog(), &damagedArchives{Store: newMemStore(), after: time.Now().Add(30 * time.Minute)}
		store.left.Store(2)
		a := startBroker(t, log, store, "a", 1)
		topic := TopicID{1}
		if out, err := a.sub.Submit(t.Context(), []Command{CreateTopic{topic, "t", 1, 3, map[string]string{"retention.ms": "-1"}}}, nil); err != nil || out.Commands[0].Code != CodeOK {
			t.Fatalf("%+v %v", out, err)
		}
		a.produceInline(TopicPartition{topic, 0}, make([]byte, 100), 0)
		time.Sleep(2 * time.Hour)
		if store.left.Load() >= 0 {
			t.Error("no read was damaged")
		}
		a.r.View(func(s *State) {
			if len(s.InlineObjects()) != 1 {
				t.Errorf("%d inline objects", len(s.InlineObjects()))
			}
		})
		a.stop()
	})
}
