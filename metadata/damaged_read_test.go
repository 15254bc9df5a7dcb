package metadata

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// damagedReads is a store whose first reads of some objects have a flipped bit.
type damagedReads struct {
	Store
	part string // of the objects' names

	mu   sync.Mutex
	left int
}

func (d *damagedReads) Get(ctx context.Context, key string, off, length int64) ([]byte, error) {
	b, err := d.Store.Get(ctx, key, off, length)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil && d.left > 0 && strings.Contains(key, d.part) {
		d.left--
		b = bytes.Clone(b)
		b[len(b)/2] ^= 1
	}
	return b, err
}

// An object that is damaged in transfer to a broker that starts is read again;
// one that is damaged in the store stops the broker.
func TestWhatIsReadDamagedIsReadAgain(t *testing.T) {
	for _, c := range []struct {
		part  string
		times int
		stops bool
	}{{"/checkpoint/", 1, false}, {"/checkpoint/", maxDamagedReads - 1, false}, {"/checkpoint/", 1000, true}, {"/archive/", 1, false}, {"/archive/", 1000, true}} {
		t.Run(fmt.Sprint(c.part, c.times), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, store := NewMemLog(), newMemStore()
				log.Latency = 2 * time.Millisecond
				a := startBroker(t, log, store, "a", 1)
				defer a.stop()
				topics := 0
				for start := (StartPoint{}); start.Checkpoint == nil || start.ArchivedUpTo < start.Checkpoint.Extent+2; topics++ {
					if out, err := a.sub.Submit(t.Context(), []Command{CreateTopic{TopicID{1, byte(topics)}, fmt.Sprint(topics), 1, 3, nil}}, nil); err != nil || out.Commands[0].Code != CodeOK {
						t.Fatalf("%+v %v", out, err)
					}
					time.Sleep(700 * time.Millisecond)
					start, _ = log.Start(t.Context())
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				r := NewReplica(ReplicaConfig{Log: log, Store: &damagedReads{Store: store, part: c.part, left: c.times}, Logger: slog.New(slog.DiscardHandler)})
				ended := make(chan error, 1)
				go func() { ended <- r.Run(ctx) }()
				select {
				case err := <-ended:
					if !c.stops || !errors.Is(err, ErrCorrupt) {
						t.Errorf("the replica ended: %v; want that: %v", err, c.stops)
					}
					return
				case <-time.After(10 * time.Second):
				}
				if c.stops {
					t.Fatal("the replica goes on with what is stored damaged")
				}
				if err := r.Barrier(ctx); err != nil {
					t.Fatal(err)
				}
				r.View(func(s *State) {
					if got := len(s.Topics()); got != topics {
						t.Errorf("%d topics, want %d", got, topics)
					}
				})
				cancel()
				<-ended
			})
		})
	}
}

// The end of an archive in its trailer is checked: an archive taken for shorter
// than it is would be left out at a start.
func TestADamagedTrailerIsNotBelieved(t *testing.T) {
	w := NewArchiveWriter(1, [32]byte{}, "")
	for i := range 3 {
		if err := w.Add(CommittedEntry{Revision: Revision(10 + i), Extent: 1, Session: 7, Lane: LaneLow, Seq: LaneSeq(1 + i), Bytes: []byte("entry")}); err != nil {
			t.Fatal(err)
		}
	}
	body := w.Finish()
	if chain, err := ArchiveChain(t.Context(), storeOf("a", body), "a", LogPosition{Revision: 11}); err != nil || len(chain) != 1 {
		t.Fatalf("chain %v, %v", chain, err)
	}
	for i := len(body) - archiveTrailerSize; i < len(body); i++ {
		damaged := bytes.Clone(body)
		damaged[i] ^= 1
		if chain, err := ArchiveChain(t.Context(), storeOf("a", damaged), "a", LogPosition{Revision: 11}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("byte %d of the trailer: chain %v, error %v", i-len(body)+archiveTrailerSize, chain, err)
		}
	}
}

func storeOf(key string, body []byte) Store {
	s := newMemStore()
	s.objects[key] = body
	return s
}
