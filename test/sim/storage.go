package sim

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/zonewise/zonewise/internal/garbage"
	"github.com/zonewise/zonewise/internal/node"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// garbageGrace is how long dead objects stay in the bucket: seconds, as brokers are
// killed so often that no role is held for minutes. It is longer than a late PUT
// takes; in a quarter of the seeds it is longer than it takes to make two recovery
// bases, too.
func (w *world) garbageGrace() time.Duration {
	if w.seed%4 == 0 {
		return 13 * time.Second
	}
	return 5 * time.Second
}

// leftoverGrace is how long after a session's end its leftovers are searched for:
// longer than a late PUT takes.
const leftoverGrace = 5 * time.Second

// releaseItems is how many items one entry releases: a deleted topic takes several.
const releaseItems = 400

// retentionCheck is the retention role's minimum age of records since their commit,
// which is known by the minute; in half of the seeds there is none.
func (w *world) retentionCheck() time.Duration { return time.Duration(w.seed%2) * time.Second }

// storageObservations is what is known of the bucket; the world's lock guards it.
type storageObservations struct {
	nodes          map[string]*node.Node      // by instance, also ended ones
	dead           map[string]bool            // keys that were dead in the state of the broker that deleted them
	inGrace        map[string]bool            // keys that were dead in a sampled state
	archives       map[string]map[string]bool // keys that were put, by incarnation and extent
	bases          map[metadata.Revision]bool
	leftovers      map[string]uint64        // found by instance
	missing        map[string]missingObject // live objects that were not in the bucket
	deletions      map[string]int           // deletions by process: for their fates
	healed         bool                     // deletions have no faults any more
	archivesDenied bool
	suspensions    map[string]time.Time      // processes whose next start waits until then
	releasing      map[metadata.Revision]int // queued releases by revision
}

// missingObject is a live object that was not in the bucket.
type missingObject struct {
	since    time.Time
	revision metadata.Revision // of the state that named it
}

func newStorageObservations() storageObservations {
	return storageObservations{nodes: map[string]*node.Node{}, dead: map[string]bool{}, inGrace: map[string]bool{}, archives: map[string]map[string]bool{},
		bases: map[metadata.Revision]bool{}, leftovers: map[string]uint64{}, missing: map[string]missingObject{}, deletions: map[string]int{},
		suspensions: map[string]time.Time{}, releasing: map[metadata.Revision]int{}}
}

// addNode remembers an instance's node, to judge deletions that it has requested.
func (w *world) addNode(l *brokerInstance) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.storage.nodes[l.id] = l.node
}

// Rates of what happens to deletions, also after the last fault until the end is near:
// one in so many lands late, and during one in so many spans of two seconds all are
// denied.
const (
	lateDeleteOneIn = 8
	deniedOneIn     = 6
	maxDeleteDelay  = 4 * time.Second
)

// Delete checks deletions when they take effect: some do so late, some are denied.
func (d damagingBucket) Delete(ctx context.Context, names ...string) ([]string, error) {
	attempt := d.w.countDeletion(d.process)
	if !d.w.areDeletionsFaulty() || d.w.isDead(d.process) {
		return d.deleteNow(ctx, names)
	}
	if d.w.generateNumber("denied", "", int(time.Now().Unix()/2))%deniedOneIn == 0 {
		d.w.countState(deletionDenied, 1)
		bucket.Report(ctx, bucket.Attempt{Op: bucket.OpDelete, Name: names[0], Status: 200})
		var failures []bucket.DeleteFailure
		for _, name := range names {
			failures = append(failures, bucket.DeleteFailure{Name: name, Code: "AccessDenied", Err: bucket.ErrDenied})
		}
		return bucket.DeleteResult(names, failures)
	}
	if v := d.w.generateNumber("late delete/"+d.process, names[0], attempt); v%lateDeleteOneIn == 0 {
		d.w.countState(deletedLate, 1)
		later := d.w.instants.TakeIn(time.Duration(v>>16)%maxDeleteDelay, "late delete/"+d.process+"/"+names[0])
		names := slices.Clone(names)
		d.w.lateDeletes.Go(func() {
			time.Sleep(later)
			_, _ = d.deleteNow(context.Background(), names) // nobody waits for the result
		})
		return nil, bucket.ErrBusy
	}
	return d.deleteNow(ctx, names)
}

// areDeletionsFaulty reports whether deletions may have faults.
func (w *world) areDeletionsFaulty() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.faultsEnabled && !w.storage.healed
}

// setStorageFaulty sets whether deletions may have faults, and whether archives are
// denied.
func (w *world) setStorageFaulty(deletions, archives bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.storage.healed, w.storage.archivesDenied = !deletions, archives
}

// countDeletion counts a process's deletions.
func (w *world) countDeletion(process string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.storage.deletions[process]++
	return w.storage.deletions[process]
}

func (d damagingBucket) deleteNow(ctx context.Context, names []string) ([]string, error) {
	d.w.checkDeletion(d.process, names)
	return d.Bucket.Delete(ctx, names...)
}

// maxClosedExtents is how many closed extents may wait for their archives while
// something is deleted; one or two more than where deletions begin to be held back.
const maxClosedExtents = 8

// checkDeletion: what is deleted was dead in the state of the broker that deletes it,
// for the grace in state time, and died before the older of two recovery bases.
func (w *world) checkDeletion(process string, names []string) {
	w.mu.Lock()
	n := w.storage.nodes[process]
	var check []string
	for _, name := range names {
		if w.countDeleted(name); !w.storage.dead[name] {
			check = append(check, name)
		}
	}
	w.mu.Unlock()
	if len(check) == 0 || n == nil {
		return
	}
	may := map[string]bool{}
	n.Replica().View(func(s *metadata.State) {
		closed := 0
		for _, e := range s.PendingArchives() {
			if e.Closed {
				closed++
			}
		}
		if closed > maxClosedExtents {
			w.history.reportViolation("%s deletes while %d closed extents have no archive", process, closed)
		}
		for _, g := range s.Garbage(nil, 0, s.DeletableUpTo(), s.Time()-metadata.UnixMilli(w.garbageGrace().Milliseconds()), math.MaxInt32) {
			may[cluster+"/"+g.Key] = true
		}
	})
	for _, name := range check {
		if !may[name] {
			w.history.reportViolation("%s deletes %s, which is not dead for as long as it has to be", process, name)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range check {
		w.storage.dead[name] = true
	}
}

// countDeleted counts a deleted object by what it was. The lock is held.
func (w *world) countDeleted(name string) {
	c := w.observed.coverage
	c[objectDeleted]++
	k, err := metadata.ParseObjectKey(strings.TrimPrefix(name, cluster+"/"))
	switch {
	case err != nil:
	case k.Class == metadata.ObjectCheckpoint:
		c[checkpointCollected]++
	case k.Class == metadata.ObjectArchive:
		c[archiveCollected]++
		if len(w.storage.archives[archiveFolder(name)]) > 1 {
			c[duplicateCollected]++
		}
	}
}

// archiveFolder returns an archive's name without its writer: the same for all
// archives of an extent.
func archiveFolder(name string) string { return name[:strings.LastIndexByte(name, '/')] }

// denyArchive reports whether an object is an archive, and archives are denied.
func (w *world) denyArchive(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.storage.archivesDenied && strings.Contains(name, "/archive/")
}

// observePut records an object that arrives in the bucket.
func (w *world) observePut(name string) {
	if !strings.Contains(name, "/archive/") {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	folder := archiveFolder(name)
	if w.storage.archives[folder] == nil {
		w.storage.archives[folder] = map[string]bool{}
	}
	w.storage.archives[folder][name] = true
}

// observeGet records reads of dead objects.
func (w *world) observeGet(name string) {
	if !strings.Contains(name, "/wal/") {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.storage.inGrace[name] {
		w.observed.coverage[readInGrace]++
	}
}

// observeStorageRequest records what is of interest for the storage in one completed
// request. The lock is not held.
func (w *world) observeStorageRequest(instance string, l bucket.TraceLine, part []string) {
	var partial *bucket.DeleteError
	switch {
	case l.Op == bucket.OpDelete && errors.As(l.Err, &partial) && len(partial.Failures) < partial.Of:
		w.countState(deletedPartly, 1)
	case l.Op == bucket.OpGet && errors.Is(l.Err, fs.ErrNotExist) && instance != "operator" && len(part) > 3 && (part[2] == "archive" || part[2] == "checkpoint"):
		w.countState(startMissed, 1)
	}
}

// observeCollector records what an instance's collectors of garbage have done. The
// lock is held.
func (w *world) observeCollector(instance string, t garbage.Totals) {
	if t.Held != garbage.HeldNot && t.Held != garbage.HeldBase {
		w.observed.coverage[deletionHeld]++
	}
	w.storage.leftovers[instance] = t.Leftovers
}

// observeRecovery records a recovery, before its broker starts.
func (w *world) observeRecovery() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.observed.coverage[objectDeleted] > 0 {
		w.observed.coverage[recoveredCollected]++
	}
}

// sampleStorage records what a state has of storage.
func (r *run) sampleStorage(st *metadata.State) {
	r.sampleLogStarts(st)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range st.Checkpoints() {
		if c.Base {
			r.storage.bases[c.Revision] = true
		}
	}
	if n := st.QueuedReleases(); n > 0 {
		r.storage.releasing[st.Revision()] = n
	}
	for _, g := range st.Garbage(nil, 0, math.MaxInt64, math.MaxInt64, math.MaxInt32) {
		if g.Class == metadata.ObjectWAL {
			r.storage.inGrace[cluster+"/"+g.Key] = true
		}
	}
}

// collectStorageCoverage sums up what the run reached.
func (r *run) collectStorageCoverage(c Coverage) {
	c[baseMade] += len(r.storage.bases)
	c[releasedSlowly] += len(r.storage.releasing)
	for _, n := range r.storage.leftovers {
		c[leftoverFound] += int(n)
	}
	for _, keys := range r.storage.archives {
		sessions := map[string]bool{}
		for name := range keys {
			session, _, _ := strings.Cut(name[strings.LastIndexByte(name, '/')+1:], "-")
			sessions[session] = true
		}
		if len(sessions) > 1 {
			c[secondArchiver]++
		}
	}
	for tp, list := range r.history.LogStarts {
		what := map[string]string{ageTopic: expiredByAge, sizeTopic: expiredBySize}[tp.Topic]
		most := int64(0)
		for _, s := range list {
			if s.Start > most && s.At.Before(r.faultsEnded) {
				most = s.Start
				c[what]++
			}
		}
	}
	for key, list := range r.history.Reads {
		if _, tp, _ := strings.Cut(key, " "); !strings.HasPrefix(tp, ageTopic+"/") && !strings.HasPrefix(tp, sizeTopic+"/") {
			continue
		}
		for _, g := range list {
			if g.Reset {
				c[readerExpired]++
			}
		}
	}
}

// suspendedBucket is the bucket of a process that may be suspended while it starts.
type suspendedBucket struct {
	bucket.Bucket
	w       *world
	process string
}

// Get waits first where the process is suspended.
func (s suspendedBucket) Get(ctx context.Context, name string, off, length int64) ([]byte, error) {
	if strings.Contains(name, "/archive/") || strings.Contains(name, "/checkpoint/") {
		if wait := s.w.takeSuspension(s.process); wait > 0 {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
		}
	}
	return s.Bucket.Get(ctx, name, off, length)
}

// suspendStart suspends the next start of a process as it reads its first checkpoint
// or archive, for a while.
func (w *world) suspendStart(process string, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.storage.suspensions[process] = time.Now().Add(d)
}

// takeSuspension returns how long an instance's process is suspended from now on.
func (w *world) takeSuspension(instance string) time.Duration {
	process, _, _ := strings.Cut(instance, ".")
	w.mu.Lock()
	defer w.mu.Unlock()
	until, ok := w.storage.suspensions[process]
	if !ok {
		return 0
	}
	delete(w.storage.suspensions, process)
	return time.Until(until)
}
