package recovery

import (
	"context"
	"errors"
	"fmt"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// RebuiltState is the state at the end of the last archive that the bucket holds.
type RebuiltState struct {
	State      *metadata.State
	Checkpoint *metadata.CheckpointPointer // nil: every archive was replayed
	Archive    string                      // key of the last one
	Last       metadata.AcceptArchive      // as in its accepting entry
	Unaccepted []metadata.AcceptArchive    // archives that nothing before the end accepted, oldest first; Last is the last
	Replayed   int                         // archives
	Warnings   []string                    // damaged things that were passed over
}

// Rebuild reads the newest usable checkpoint and the archives after it, from a
// bucket below "<cluster>/". It changes nothing. ErrNothing where there is no
// archive.
func Rebuild(ctx context.Context, objects bucket.Bucket) (*RebuiltState, error) {
	ctx = bucket.WithCause(ctx, bucket.CauseRecover)
	s, err := surveyBucket(ctx, objects)
	if err != nil {
		return nil, err
	}
	return s.rebuildState(ctx, objects, "")
}

// rebuildState ends at the archive of that key, or at the newest usable one.
func (s *bucketSurvey) rebuildState(ctx context.Context, objects bucket.Bucket, archive string) (*RebuiltState, error) {
	b := &RebuiltState{}
	if err := b.findLast(ctx, s, objects, archive); err != nil {
		return nil, err
	}
	for _, c := range s.checkpoints {
		at := metadata.Revision(c.number)
		if at > b.Last.Last || !s.isCurrent(c.incarnation, at) {
			continue
		}
		state, err := metadata.LoadCheckpoint(ctx, objects, c.key)
		if err == nil {
			err = b.replayArchives(ctx, objects, state)
		}
		if err == nil {
			return b, b.setCheckpoint(ctx, objects, c.key)
		}
		if !isUsableError(err) {
			return nil, err
		}
		b.addWarning("checkpoint %s cannot be used: %v", c.key, err)
	}
	if err := b.replayArchives(ctx, objects, metadata.NewState()); err != nil {
		return nil, fmt.Errorf("replay all archives (no usable checkpoint): %w", err)
	}
	return b, nil
}

func (b *RebuiltState) addWarning(format string, args ...any) {
	b.Warnings = append(b.Warnings, fmt.Sprintf(format, args...))
}

// isUsableError reports whether an older thing may be tried after err: it was damaged
// or is gone, and not merely out of reach for the moment.
func isUsableError(err error) bool {
	return errors.Is(err, metadata.ErrCorrupt) || errors.Is(err, metadata.ErrVersion) || errors.Is(err, bucket.ErrNotFound)
}

// findLast finds the last archive that can be read. A generation may have
// several, of tries that failed: they are equal, or the longest counts.
func (b *RebuiltState) findLast(ctx context.Context, s *bucketSurvey, objects bucket.Bucket, archive string) error {
	list := s.archives
	if m, ok := s.markers[s.newestIncarnation()]; ok && archive == "" && (len(list) == 0 || list[0].incarnation < m.Incarnation) {
		archive = m.Archive // recovered, and lost again before anything was archived
	}
	if archive != "" {
		list = []storedObject{{key: archive}}
	}
	for i := 0; i < len(list); {
		best := ""
		group := i
		for ; i < len(list) && list[i].incarnation == list[group].incarnation && list[i].number == list[group].number; i++ {
			a, size, err := readArchive(ctx, objects, list[i].key)
			switch {
			case err != nil && !isUsableError(err):
				return err
			case err != nil:
				b.addWarning("archive %s cannot be used: %v", list[i].key, err)
				continue
			case len(a.Entries) == 0:
				continue
			case archive == "" && !s.isCurrent(list[i].incarnation, a.Entries[len(a.Entries)-1].Revision):
				continue
			}
			this := archivedOf(list[i].key, a, size)
			if best != "" && this.Digest != b.Last.Digest {
				b.addWarning("archives %s and %s of one generation differ: the one with more entries counts", best, this.Object)
			}
			if best == "" || this.Entries > b.Last.Entries {
				best, b.Last = this.Object, this
			}
		}
		if best != "" {
			b.Archive = best
			return nil
		}
	}
	return fmt.Errorf("%w: no archive in the bucket can be read (%s)", ErrNothing, firstOr(b.Warnings, "none found"))
}

func firstOr(list []string, none string) string {
	if len(list) == 0 {
		return none
	}
	return list[0]
}

func readArchive(ctx context.Context, objects bucket.Bucket, key string) (*metadata.Archive, int64, error) {
	body, err := objects.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, 0, fmt.Errorf("read archive %s: %w", key, err)
	}
	a, err := metadata.DecodeArchive(body)
	if err != nil {
		return nil, 0, fmt.Errorf("archive %s: %w", key, err)
	}
	return a, int64(len(body)), nil
}

// archivedOf is what accepts the archive: computed from its entries.
func archivedOf(key string, a *metadata.Archive, size int64) metadata.AcceptArchive {
	return metadata.AcceptArchive{Extent: a.Extent, Object: key, First: a.Entries[0].Revision, Last: a.Entries[len(a.Entries)-1].Revision,
		Entries: uint64(len(a.Entries)), Bytes: size, Digest: a.Digest}
}

// replayArchives applies the archives after the state, up to the last one, and checks
// that each continues the log by its digest.
func (b *RebuiltState) replayArchives(ctx context.Context, objects bucket.Bucket, state *metadata.State) error {
	chain, err := metadata.ArchiveChain(ctx, objects, b.Archive, state.LogPosition())
	if err != nil {
		return err
	}
	for _, key := range chain {
		a, _, err := readArchive(ctx, objects, key)
		if err != nil {
			return err
		}
		for i := range a.Entries {
			state.Apply(&a.Entries[i])
			if err := metadata.CheckLevel(state.Level()); err != nil {
				return fmt.Errorf("archive %s, entry at revision %d: %w", key, a.Entries[i].Revision, err)
			}
		}
		if digest, ok := digestOf(state, a.Extent); !ok || digest != a.Digest {
			return fmt.Errorf("archive %s: %w: it does not continue the preceding log", key, metadata.ErrCorrupt)
		}
	}
	if state.Revision() != b.Last.Last {
		return fmt.Errorf("archive %s: %w: its log ends at revision %d, the state is at %d", b.Archive, metadata.ErrCorrupt, b.Last.Last, state.Revision())
	}
	b.State, b.Replayed = state, len(chain)
	return b.collectUnaccepted(ctx, objects)
}

// collectUnaccepted collects what has to be accepted: the last archive always, and those
// before it whose accepting entries came after its end, because they had to be
// written again while the log went on.
func (b *RebuiltState) collectUnaccepted(ctx context.Context, objects bucket.Bucket) error {
	b.Unaccepted = []metadata.AcceptArchive{b.Last}
	pending := b.State.PendingArchives()
	if len(pending) == 0 {
		return fmt.Errorf("archive %s: %w: the log at its end says that it is archived", b.Archive, metadata.ErrCorrupt)
	}
	for b.Unaccepted[0].Extent > pending[0].Extent {
		a, _, err := readArchive(ctx, objects, b.Unaccepted[0].Object)
		if err != nil {
			return err
		}
		before, size, err := readArchive(ctx, objects, a.Predecessor)
		if err != nil {
			return err
		}
		if before.Extent >= a.Extent || len(before.Entries) == 0 {
			return fmt.Errorf("archive %s: %w: its predecessor %s is of generation %d", b.Unaccepted[0].Object, metadata.ErrCorrupt, a.Predecessor, before.Extent)
		}
		b.Unaccepted = append([]metadata.AcceptArchive{archivedOf(a.Predecessor, before, size)}, b.Unaccepted...)
	}
	return nil
}

// digestOf is the digest of the log up to the end of a generation, as the
// state has it.
func digestOf(s *metadata.State, g metadata.Extent) ([32]byte, bool) {
	for _, p := range s.PendingArchives() {
		if p.Extent == g {
			return p.Digest, true
		}
	}
	for _, a := range s.Archives() {
		if a.Extent == g {
			return a.Digest, true
		}
	}
	return [32]byte{}, false
}

// setCheckpoint notes the checkpoint that was used, as the log's key names it.
func (b *RebuiltState) setCheckpoint(ctx context.Context, objects bucket.Bucket, key string) error {
	body, err := objects.Get(ctx, key, 0, -1)
	if err != nil {
		return fmt.Errorf("read checkpoint %s: %w", key, err)
	}
	ix, err := metadata.DecodeCheckpointIndex(body)
	if err != nil {
		return fmt.Errorf("checkpoint %s: %w", key, err)
	}
	b.Checkpoint = &metadata.CheckpointPointer{Revision: ix.Revision, Extent: ix.Extent, Object: key, Hash: ix.Hash}
	return nil
}
