package metadata

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// entryOfLevel is an encoded entry whose level this program may not understand.
func entryOfLevel(t *testing.T, e *Entry, level FeatureLevel) []byte {
	t.Helper()
	e.Level = MaxFeatureLevel
	b, err := AppendEntry(nil, e)
	if err != nil {
		t.Fatal(err)
	}
	binary.BigEndian.PutUint16(b[6:], uint16(level))
	binary.BigEndian.PutUint32(b[len(b)-4:], crc32.Checksum(b[:len(b)-4], castagnoli))
	return b
}

// A program that knows a level and one that does not come to the same state from
// an entry above the state's level: to both it is an entry that cannot be decoded.
func TestAnEntryAboveTheStatesLevelOpensNoSession(t *testing.T) {
	open := &Entry{Session: 5, Seq: 1, Commands: []Command{OpenSession{Want: NoBroker, Zone: "a", MinLevel: 1, MaxLevel: 9}}}
	known, unknown := NewState(), NewState()
	known.level = 0 // so that the highest level that can be encoded here is above it
	for s, level := range map[*State]FeatureLevel{known: MaxFeatureLevel, unknown: MaxFeatureLevel + 1} {
		out, _ := s.Apply(&CommittedEntry{Revision: 9, Extent: 1, Session: 5, Seq: 1, Bytes: entryOfLevel(t, open, level)})
		if out.Code != CodeUnknownSession || len(s.sessions) != 0 {
			t.Errorf("entry of level %d in a state of level %d: %v, %d sessions", level, s.level, out, len(s.sessions))
		}
	}
	var e Entry
	if err := DecodeEntry(entryOfLevel(t, open, MaxFeatureLevel+1), &e); !errors.Is(err, ErrLevel) || errors.Is(err, ErrCorrupt) {
		t.Errorf("decode: %v", err)
	}
}

func TestLevelIsRaisedOnlyWhereEveryBrokerUnderstandsIt(t *testing.T) {
	w := newWorld(1)
	w.openSession(t, "a")
	id := SessionID(w.rev + 1)
	w.rev++
	w.lanes[id] = new([LaneCount]LaneSeq)
	w.commit(t, &Entry{Session: id, Commands: []Command{OpenSession{Want: NoBroker, Zone: "a", Version: "0.9", MinLevel: 1, MaxLevel: 2}}})
	raise := func(to FeatureLevel) CommandOutcome {
		_, out := w.commit(t, &Entry{Session: id, Commands: []Command{RaiseLevel{to}}})
		return out.Commands[0]
	}
	if out := raise(2); out.Code != CodeLevel || !strings.Contains(out.Text, "broker 0 (version ) understands levels up to 1, not 2") {
		t.Errorf("with a broker of the old version: %+v", out)
	}
	w.commit(t, &Entry{Session: id, Commands: []Command{CloseSession{w.sessions[0]}}})
	if out := raise(3); out.Code != CodeLevel {
		t.Errorf("two levels at once: %+v", out)
	}
	if out := raise(2); out.Code != CodeOK || w.state.Level() != 2 {
		t.Errorf("%+v, level %d", out, w.state.Level())
	}
	old := SessionID(w.rev + 1)
	w.rev++
	w.lanes[old] = new([LaneCount]LaneSeq)
	_, out := w.commit(t, &Entry{Session: old, Commands: []Command{OpenSession{Want: NoBroker, Zone: "a", Version: "0.8", MinLevel: 1, MaxLevel: 1}}})
	if got := out.Commands[0]; got.Code != CodeLevel || !strings.HasPrefix(got.Text,
		"the cluster is at feature level 2 (broker 1 is of version 0.9), this broker of version 0.8 understands levels 1 to 1: start the cluster's version") {
		t.Errorf("a session of the old version: %+v", got)
	}
}

// A page that was written at a lower level may lack what the level stores.
func TestTheFirstCheckpointAfterARaiseIsFull(t *testing.T) {
	w := newWorld(3)
	for range 300 {
		w.step(t)
	}
	var ckpt Checkpointer
	write := func(key string) *CheckpointIndex {
		t.Helper()
		ix, err := DecodeCheckpointIndex(ckpt.Encode(w.state.snapshot(), key))
		if err != nil {
			t.Fatal(err)
		}
		ckpt.Commit()
		return ix
	}
	write("a")
	if ix := write("b"); len(ix.Objects) != 2 {
		t.Errorf("a second checkpoint refers to %v", ix.Objects)
	}
	w.state.level++
	pages := func(ix *CheckpointIndex) int { n, _ := ix.Pages(); return n }
	if ix := write("c"); len(ix.Objects) != 1 || ix.Level != w.state.level || pages(ix) == 0 {
		t.Errorf("the first one after a raise, of level %d, refers to %v", ix.Level, ix.Objects)
	}
	if ix := write("d"); len(ix.Objects) != 2 || ix.Objects[1].Key != "c" {
		t.Errorf("the second one after a raise refers to %v", ix.Objects)
	}
}

func TestACheckpointAboveThisProgramsLevelIsRefused(t *testing.T) {
	w, store := newWorld(4), newMemStore()
	w.step(t)
	w.state.level = MaxFeatureLevel + 1
	if err := store.Put(t.Context(), "k", new(Checkpointer).Encode(w.state.snapshot(), "k")); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadCheckpoint(t.Context(), store, "k"); !errors.Is(err, ErrLevel) || errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "start a later version") {
		t.Errorf("%v", err)
	}
}

// A broker that has no session cannot hold a raise up. It stops where it meets it:
// what follows may mean something else.
func TestAReplicaStopsAtALevelThatItDoesNotUnderstand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := NewMemLog()
		r := NewReplica(ReplicaConfig{Log: log, Store: newMemStore(), Logger: slog.New(slog.DiscardHandler)})
		s, err := log.OpenSession(t.Context(), SessionInfo{})
		if err != nil {
			t.Fatal(err)
		}
		stopped := make(chan error, 1)
		go func() { stopped <- r.Run(t.Context()) }()
		sub := &directSubmitter{log: log, r: r, s: s.ID()}
		next := MaxFeatureLevel + 1
		if out, err := sub.Submit(t.Context(), []Command{OpenSession{Want: NoBroker, Zone: "a", MinLevel: 1, MaxLevel: next}}, nil); err != nil || out.Commands[0].Code != CodeOK {
			t.Fatalf("%+v %v", out, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, _ = sub.Submit(ctx, []Command{RaiseLevel{next}}, nil) // nobody answers
		select {
		case err := <-stopped:
			if !errors.Is(err, ErrLevel) {
				t.Errorf("%v", err)
			}
		default:
			t.Error("it follows on")
		}
	})
}

// oldLog began at a level that this program does not understand any more.
type oldLog struct{ *MemLog }

func (l oldLog) Start(ctx context.Context) (StartPoint, error) {
	p, err := l.MemLog.Start(ctx)
	p.Level = MinFeatureLevel - 1
	return p, err
}

func TestALogThatBeganAtAnOldLevelIsReadFromACheckpointOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, log, store := newWorld(5), NewMemLog(), newMemStore()
		follow := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			return NewReplica(ReplicaConfig{Log: oldLog{log}, Store: store, Logger: slog.New(slog.DiscardHandler)}).Run(ctx)
		}
		if err := follow(); !errors.Is(err, ErrLevel) {
			t.Errorf("without a checkpoint: %v", err)
		}
		w.step(t)
		if err := store.Put(t.Context(), "k", new(Checkpointer).Encode(w.state.snapshot(), "k")); err != nil {
			t.Fatal(err)
		}
		log.checkpoint = &CheckpointPointer{Revision: w.state.revision, Extent: w.state.extent, Object: "k", Hash: w.state.Hash()}
		if err := follow(); err != nil {
			t.Errorf("with one: %v", err)
		}
	})
}
