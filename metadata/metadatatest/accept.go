package metadatatest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// Cluster opens the log of one broker of a cluster. Brokers of one Cluster share
// the log.
type Cluster func(t *testing.T, broker string) (metadata.Log, metadata.LogAdmin)

// Case is one guarantee to check.
type Case struct {
	Name string
	Run  func(t *testing.T, open Cluster)
}

// Accept runs every case on a new cluster.
func Accept(t *testing.T, newCluster func(t *testing.T) Cluster) {
	for _, c := range Cases() {
		t.Run(c.Name, func(t *testing.T) { c.Run(t, newCluster(t)) })
	}
}

// Cases returns all cases, so that a caller can run each in a bubble of its own.
func Cases() []Case {
	return []Case{
		{"followers see every entry at its append's revision", checkFollowersSeeAll},
		{"a follower that starts late sees everything once", checkLateFollower},
		{"the same append again is the same entry", checkRepeatedAppend},
		{"a failed role guard leaves an empty entry", checkRoleGuard},
		{"a session is closed only when its key is gone", checkSessionGoneGuard},
		{"a guard on the live sessions wants exactly these", checkLiveSessionsGuard},
		{"a lost session appends nothing and has no roles", checkLostSession},
		{"a session that is ended has no roles", checkEndedSession},
		{"a role has one holder and rising epochs", checkRoles},
		{"a closed extent is read back as it was followed", checkExtents},
		{"truncated extents are not followed", checkTruncation},
		{"the checkpoint pointer only grows", checkCheckpoints},
		{"sessions publish without changing their id", checkPublish},
		{"compaction loses nothing", checkCompaction},
	}
}

// broker is one broker's log with a session.
type broker struct {
	metadata.Log
	metadata.LogAdmin
	t       *testing.T
	session metadata.Session
	seq     [metadata.LaneCount]metadata.LaneSeq
}

func openBroker(t *testing.T, open Cluster, name string) *broker {
	t.Helper()
	b := &broker{t: t}
	b.Log, b.LogAdmin = open(t, name)
	s, err := b.OpenSession(t.Context(), metadata.SessionInfo{Nonce: name, Zone: "dev-a", Peer: name + ":1"})
	if err != nil {
		t.Fatal(err)
	}
	b.session = s
	return b
}

func (b *broker) nextRequest(lane metadata.Lane, g *metadata.Guard) metadata.AppendRequest {
	b.seq[lane]++
	key := metadata.EntryKey{Session: b.session.ID(), Lane: lane, Seq: b.seq[lane]}
	return metadata.AppendRequest{Key: key, Bytes: fmt.Appendf(nil, "%v", key), Guard: g}
}

func (b *broker) appendEntry(lane metadata.Lane, g *metadata.Guard) metadata.AppendResult {
	b.t.Helper()
	res, err := b.Append(b.t.Context(), b.nextRequest(lane, g))
	if err != nil {
		b.t.Fatal(err)
	}
	return res
}

func (b *broker) takeRole(name string) metadata.Role {
	b.t.Helper()
	d, ok, err := b.TryRole(b.t.Context(), b.session.ID(), name)
	if err != nil || !ok {
		b.t.Fatalf("take role %s: %v, %v", name, ok, err)
	}
	return d
}

// follower collects what Follow delivers.
type follower struct {
	t  *testing.T
	wg sync.WaitGroup

	mu        sync.Mutex
	all       []metadata.CommittedEntry
	upTo      metadata.Revision
	caught    bool
	violation error
	err       error
	changed   chan struct{}
}

// startFollower starts a follower at the log's start; it ends with the test.
func (b *broker) startFollower() *follower {
	b.t.Helper()
	from, err := b.Start(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	f := &follower{t: b.t, changed: make(chan struct{})}
	ctx, cancel := context.WithCancel(b.t.Context())
	f.wg.Go(func() {
		err := b.Follow(ctx, from, f.collectBatch)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.err = err
		f.notifyChanged()
	})
	b.t.Cleanup(func() {
		cancel()
		f.wg.Wait()
		if !errors.Is(f.err, context.Canceled) {
			b.t.Errorf("a follower whose context ended returns %v", f.err)
		}
	})
	return f
}

func (f *follower) notifyChanged() {
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *follower) collectBatch(batch []metadata.CommittedEntry, upTo metadata.Revision, caught bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.notifyChanged()
	last := metadata.Revision(0)
	if n := len(f.all); n > 0 {
		last = f.all[n-1].Revision
	}
	for _, c := range batch {
		if c.Revision <= last || c.Revision > upTo || c.Revision <= f.upTo {
			f.violation = fmt.Errorf("revision %d after %d, up to %d, then %d", c.Revision, last, f.upTo, upTo)
		}
		last = c.Revision
	}
	if f.caught && !caught {
		f.violation = errors.New("caught up, and then not")
	}
	f.all = append(f.all, batch...)
	f.upTo, f.caught = upTo, caught
	return nil
}

// waitUntil waits until everything up to rev was delivered and returns it all.
func (f *follower) waitUntil(rev metadata.Revision) []metadata.CommittedEntry {
	f.t.Helper()
	limit := time.After(10 * time.Second)
	for {
		f.mu.Lock()
		moved, done := f.changed, f.upTo >= rev && f.caught
		all, err := append([]metadata.CommittedEntry(nil), f.all...), errors.Join(f.violation, f.err)
		f.mu.Unlock()
		if err != nil {
			f.t.Fatal(err)
		}
		if done {
			return all
		}
		select {
		case <-moved:
		case <-limit:
			f.t.Fatalf("revision %d was not delivered", rev)
		}
	}
}
