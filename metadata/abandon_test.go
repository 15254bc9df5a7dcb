package metadata

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What a holder has written for an entry that lost its role in between is dead at
// once: the session lives on, and nobody else looks for it.
func TestWhatARoleHolderWroteInVainIsDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, store := NewMemLog(), newMemStore()
		a := startBroker(t, log, store, "a", 1)
		defer a.stop()
		var written []string
		a.sub.beforeSubmit(func(cmd Command) {
			var role string
			switch c := cmd.(type) {
			case AcceptArchive:
				role, written = RoleArchive, append(written, c.Object)
			case RecordCheckpoint:
				role, written = RoleCheckpoint, append(written, c.Objects[0].Key)
			default:
				return
			}
			if n := len(written); n > 4 {
				return
			}
			held, _, err := log.TryRole(t.Context(), a.session.ID(), role)
			if err == nil {
				err = log.ReleaseRole(t.Context(), held)
			}
			if err != nil {
				t.Error(err)
			}
		})
		time.Sleep(5 * time.Minute)
		dead := map[string]bool{}
		a.r.View(func(s *State) {
			for _, g := range s.Garbage(nil, 0, s.revision, s.time, 1<<20) {
				dead[g.Key] = true
			}
		})
		kinds := map[bool]int{}
		for _, key := range written[:4] {
			if kinds[strings.Contains(key, "archive")]++; !dead[key] {
				t.Errorf("%s is not dead", key)
			}
		}
		if len(kinds) < 2 {
			t.Errorf("lost were only %v", written[:4])
		}
	})
}

// unreadableArchives is a store whose archives cannot be read.
type unreadableArchives struct {
	*memStore
	on bool
}

func (u *unreadableArchives) Get(ctx context.Context, key string, off, length int64) ([]byte, error) {
	if u.on && strings.Contains(key, "/archive/") {
		return nil, context.DeadlineExceeded
	}
	return u.memStore.Get(ctx, key, off, length)
}

// So is an archive that could not be read back.
func TestAnArchiveThatCannotBeReadBackIsDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &unreadableArchives{newMemStore(), true}
		a := startBroker(t, NewMemLog(), store, "a", 1)
		defer a.stop()
		time.Sleep(30 * time.Second)
		written := map[string]bool{}
		for key := range store.objects {
			written[key] = strings.Contains(key, "/archive/")
		}
		n := 0
		a.r.View(func(s *State) {
			for _, g := range s.Garbage(nil, 0, s.revision, s.time, 1<<20) {
				if g.Class == ObjectArchive && written[g.Key] {
					n++
				}
			}
		})
		if n < 2 {
			t.Errorf("%d archives are dead, of %v", n, written)
		}
	})
}

// failingRecords is a Submitter whose records of checkpoints fail.
type failingRecords struct{ Submitter }

func (f failingRecords) Submit(ctx context.Context, cmds []Command, guard *Guard) (Outcome, error) {
	if _, ok := cmds[0].(RecordCheckpoint); ok {
		return Outcome{}, context.DeadlineExceeded
	}
	return f.Submitter.Submit(ctx, cmds, guard)
}

// So is a checkpoint whose record fails.
func TestACheckpointWhoseRecordFailsIsDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, store := NewMemLog(), newMemStore()
		a := startBroker(t, log, store, "a", 1)
		defer a.stop()
		c := NewMaintenance(MaintenanceConfig{Log: log, Admin: log, Store: store, Replica: a.r, Submitter: failingRecords{a.sub}, Session: a.session,
			Logger: slog.New(slog.DiscardHandler), Times: DefaultMaintenanceTimes()})
		role, held, err := log.TryRole(t.Context(), a.session.ID(), RoleCheckpoint)
		if err != nil || !held {
			t.Fatalf("held %v, %v", held, err)
		}
		if err := c.writeCheckpoint(t.Context(), role); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%v", err)
		}
		var dead []GarbageObject
		a.r.View(func(s *State) { dead = s.Garbage(nil, 0, s.revision, s.time, 10) })
		if len(dead) != 1 || dead[0].Class != ObjectCheckpoint || store.objects[dead[0].Key] == nil {
			t.Errorf("dead are %+v", dead)
		}
	})
}

// An object of an entry that has no records is dead, too: all of them were answered
// otherwise while it was uploaded.
func TestAnObjectOfAnEntryWithoutRecordsIsDead(t *testing.T) {
	l := newSpanLog(t, 1)
	name := ObjectName{Session: 1, Lane: LaneStandard, Number: 900}
	l.commit(t, &Entry{Objects: []ObjectRef{{Name: name, Size: 10, Puts: 1}}})
	var keys []string
	for _, g := range l.s.Garbage(nil, 0, l.s.revision, l.s.time, 10) {
		keys = append(keys, g.Key)
	}
	if len(keys) != 1 || keys[0] != name.Key() {
		t.Errorf("dead are %v, want %s", keys, name.Key())
	}
}
