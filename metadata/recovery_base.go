package metadata

import "slices"

// The state remembers which checkpoints are in the bucket, so that nothing is
// deleted that a start or a recovery needs. A recovery base is a checkpoint that was
// read back from the bucket and had its hash, and from which on every extent up to
// the newest archive is archived. The newest two are kept: a recovery that finds
// the newest archive or checkpoint damaged goes back to the one before. So an
// object that died after the older base is not deleted.

// recoveryBases is how many recovery bases are kept.
const recoveryBases = 2

// maxCheckpointRecords is how many checkpoints are kept at most. Those since the
// newest base are: the log's pointer is at one of them.
const maxCheckpointRecords = 64

// CheckpointRecord is a checkpoint in the bucket on whose hash the brokers agreed.
type CheckpointRecord struct {
	Revision Revision
	Extent   Extent
	Hash     uint64
	Objects  []CheckpointObject // that it refers to; the first is its own. Never changed.
	Base     bool
}

// Key returns the key of the checkpoint's own object.
func (c *CheckpointRecord) Key() string { return c.Objects[0].Key }

// Checkpoints returns the checkpoints in the bucket, oldest first. Do not change
// them.
func (s *State) Checkpoints() []CheckpointRecord { return s.checkpoints }

// bases returns the recovery bases, oldest first.
func (s *State) bases() (out []CheckpointRecord) {
	for _, c := range s.checkpoints {
		if c.Base {
			out = append(out, c)
		}
	}
	return out
}

// DeletableUpTo returns the revision at or before which an object must have died to
// be deleted: that of the older recovery base. 0 while there are not two.
func (s *State) DeletableUpTo() Revision {
	if b := s.bases(); len(b) == recoveryBases {
		return b[0].Revision
	}
	return 0
}

func sumObjects(list []CheckpointRecord) (bytes int64) {
	for _, size := range checkpointObjects(list) {
		bytes += size
	}
	return bytes
}

// checkpointObjects returns the objects of checkpoints, and their sizes.
func checkpointObjects(list []CheckpointRecord) map[string]int64 {
	out := map[string]int64{}
	for i := range list {
		for _, o := range list[i].Objects {
			out[o.Key] = o.Size
		}
	}
	return out
}

// keepCheckpoints replaces the kept checkpoints, and buries the objects to which
// none of them refers any more.
func (s *State) keepCheckpoints(kept []CheckpointRecord) {
	needed := checkpointObjects(kept)
	was := checkpointObjects(s.checkpoints)
	for _, key := range sortedKeys(was) {
		if _, ok := needed[key]; !ok {
			s.bury(garbageState{class: ObjectCheckpoint, key: key, size: was[key]})
		}
	}
	s.checkpoints = kept
	s.checkpointBytes = sumObjects(kept)
}

// reachBackExtents is how many extents before the newest checkpoint's are kept, for
// brokers that are a little behind and continue without the checkpoint.
const reachBackExtents = maxReplayExtents + 1

// neededFrom returns the first extent from which on archives are needed for a start, a
// recovery or the next archive, whatever inline bytes they have.
func (s *State) neededFrom() Extent {
	bases := s.bases()
	if len(bases) < recoveryBases {
		return 0
	}
	newest := s.checkpoints[len(s.checkpoints)-1].Extent
	return min(
		bases[0].Extent-min(bases[0].Extent, 1), // and the one before, from which is read where the chain of predecessors ends
		newest-min(newest, reachBackExtents),
		s.archives.newest().Extent)
}

// buryArchiveIfDead buries an archive without live inline bytes that is not needed.
func (s *State) buryArchiveIfDead(x Extent) {
	if a := s.archives.rows.get(x); a.LiveInline == 0 && x < s.neededFrom() {
		s.buryArchives([]Extent{x})
	}
}

func (s *State) buryArchives(list []Extent) {
	for _, x := range list {
		a := s.archives.rows.get(x)
		s.archiveBytes -= a.Size
		s.bury(garbageState{class: ObjectArchive, key: a.Object, size: a.Size})
	}
	s.archives.drop(list)
}

// maxBuriedArchives is how many archives one entry buries at most.
const maxBuriedArchives = 1_000

// buryDeadArchives buries the archives that a new base makes unneeded, the oldest
// first.
func (s *State) buryDeadArchives() {
	var dead []Extent
	needed := s.neededFrom()
	for _, o := range s.archives.order {
		if o.extent >= needed || len(dead) >= maxBuriedArchives {
			break
		}
		if s.archives.rows.get(o.extent).LiveInline == 0 {
			dead = append(dead, o.extent)
		}
	}
	s.buryArchives(dead)
}

// RecordCheckpoint adds a checkpoint that is in the bucket and on whose hash the
// brokers agreed. It is written before the log's pointer is moved there.
type RecordCheckpoint struct {
	Revision Revision
	Extent   Extent
	Hash     uint64
	Objects  []CheckpointObject // as in CheckpointRecord
}

// Kind implements Command.
func (RecordCheckpoint) Kind() CommandKind { return 47 }

func (c RecordCheckpoint) encode(w *writer) {
	w.writeCheckpointRecord(&CheckpointRecord{c.Revision, c.Extent, c.Hash, c.Objects, false})
}

func decodeRecordCheckpoint(r *reader) Command {
	c := r.readCheckpointRecord()
	return RecordCheckpoint{c.Revision, c.Extent, c.Hash, c.Objects}
}

// apply refuses a checkpoint that is not newer than the others, or refers to an
// object that is dead.
func (c RecordCheckpoint) apply(s *State, e *Entry) CommandOutcome {
	n := len(s.checkpoints)
	switch {
	case len(c.Objects) == 0 || c.Revision > s.revision:
		return refuse(CodeInvalidRequest, "a checkpoint of %d objects at revision %d", len(c.Objects), c.Revision)
	case n > 0 && c.Revision <= s.checkpoints[n-1].Revision:
		return refuse(CodeDuplicate, "there is a checkpoint at revision %d", s.checkpoints[n-1].Revision)
	case n >= maxCheckpointRecords:
		return refuse(CodeLimit, "%d checkpoints are kept, and none could be made a recovery base", n)
	}
	known := checkpointObjects(s.checkpoints)
	for _, o := range c.Objects[1:] {
		if _, ok := known[o.Key]; !ok {
			return refuse(CodeRefused, "checkpoint object %s is dead", o.Key)
		}
	}
	s.checkpoints = append(slices.Clip(s.checkpoints), CheckpointRecord{c.Revision, c.Extent, c.Hash, c.Objects, false})
	s.checkpointBytes = sumObjects(s.checkpoints)
	return CommandOutcome{}
}

// RecordBase makes a kept checkpoint a recovery base: it was read back and has its
// hash, and the log's pointer is at it or at a newer one.
type RecordBase struct{ Revision Revision }

// Kind implements Command.
func (RecordBase) Kind() CommandKind { return 48 }

func (c RecordBase) encode(w *writer) { w.u64(uint64(c.Revision)) }

func decodeRecordBase(r *reader) Command { return RecordBase{Revision(r.Uint64())} }

// apply refuses a checkpoint that is not kept, or is not followed by archives. Then
// it drops the bases that are too many and the checkpoints that are no bases and
// older than the new one.
func (c RecordBase) apply(s *State, _ *Entry) CommandOutcome {
	at := slices.IndexFunc(s.checkpoints, func(r CheckpointRecord) bool { return r.Revision == c.Revision })
	if at < 0 {
		return refuse(CodeInvalidRequest, "no checkpoint at revision %d is kept", c.Revision)
	}
	record := s.checkpoints[at]
	// Every archive from the checkpoint on is there: neededFrom keeps those since
	// the older base.
	newest := s.archives.newest()
	if record.Base || newest == nil || newest.Last < c.Revision {
		return refuse(CodeInvalidRequest, "the checkpoint at revision %d is a base, or is not archived", c.Revision)
	}
	if b := s.bases(); len(b) > 0 && b[len(b)-1].Revision > c.Revision {
		return refuse(CodeInvalidRequest, "there is a recovery base after revision %d", c.Revision)
	}
	record.Base = true
	var kept []CheckpointRecord
	if b := s.bases(); len(b) > 0 {
		kept = append(kept, b[max(0, len(b)-recoveryBases+1):]...)
	}
	kept = append(append(kept, record), s.checkpoints[at+1:]...)
	s.keepCheckpoints(kept)
	s.buryDeadArchives()
	return CommandOutcome{}
}
