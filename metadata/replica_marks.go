package metadata

import "fmt"

// StateMark is the state's hash at a RecordStateHash entry.
type StateMark struct {
	Revision Revision
	Extent   Extent
	Hash     uint64
}

// maxMarks is how many marks a broker keeps, to compare them with a checkpoint's.
const maxMarks = 64

// Marks returns the newest mark, and the one at a revision if it is kept.
func (r *Replica) Marks(at Revision) (newest StateMark, then StateMark, ok bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, m := range r.marks {
		if m.Revision == at {
			then, ok = m, true
		}
		newest = m
	}
	return newest, then, ok
}

// RequestSnapshot makes the replica take a snapshot of the state at the next
// RecordStateHash.
func (r *Replica) RequestSnapshot() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.snapshotWanted, r.markSnapshot = true, nil
}

// TakeSnapshot returns that snapshot, once.
func (r *Replica) TakeSnapshot() *State {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.markSnapshot
	r.markSnapshot = nil
	return s
}

// CompareCheckpoint compares this broker's state with a checkpoint's hash. If
// they differ, the broker reloads the checkpoint, once; the second time it must
// stop.
func (r *Replica) CompareCheckpoint(p *CheckpointPointer) error {
	if p == nil {
		return nil
	}
	_, mark, ok := r.Marks(p.Revision)
	if !ok || mark.Hash == p.Hash {
		return nil
	}
	r.mu.Lock()
	first := r.reloads == 0
	r.reloads++
	r.mu.Unlock()
	if first {
		r.cfg.Logger.Error("ALARM: this broker's state differs from the checkpoint; reloading it", "revision", p.Revision, "checkpoint", p.Object)
		r.reloadWanted.Store(true)
		return nil
	}
	return fmt.Errorf("%w: state at revision %d has hash %016x, the checkpoint %s has %016x: inspect it with `zonewise dump checkpoint`",
		ErrCorrupt, p.Revision, mark.Hash, p.Object, p.Hash)
}

// InDispute reports whether this broker's state is known to differ from a checkpoint,
// which is not loaded yet.
func (r *Replica) InDispute() bool { return r.reloadWanted.Load() }
