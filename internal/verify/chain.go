package verify

import (
	"fmt"
	"slices"

	"github.com/zonewise/zonewise/metadata"
)

// checkChain checks what a start and a recovery follow: the checkpoint that the log
// points at, the archive that it names, and the archives from the older recovery base
// on. Whether the objects are there was compared already: here, that the state keeps
// them all.
func (w *walk) checkChain() {
	v := &w.log
	if p := v.start.Checkpoint; !v.keepsPointer() && w.ofThisIncarnation(p.Object) {
		w.condemn(metadata.ObjectCheckpoint, p.Object, "a start reads this checkpoint, and the state does not keep it: it may be deleted")
	}
	if !v.keepsArchived() {
		w.condemn(metadata.ObjectArchive, v.start.ArchivedObject, fmt.Sprintf("a start reads this archive of generation %d, and the state does not keep it: it may be deleted", v.start.ArchivedUpTo))
	}
	for _, x := range missingExtents(v.state.Archives(), v.state.Checkpoints()) {
		s := &suspect{NamedObject: metadata.NamedObject{Class: metadata.ObjectArchive}}
		s.what = fmt.Sprintf("the state keeps no archive of generation %d: a recovery that begins before it stops there", x)
		w.addFinding(s, Missing)
	}
}

// missingExtents returns the extents from the older recovery base's on, or from the
// first archive's where there is no base, of which no archive is kept.
func missingExtents(archives []metadata.ArchiveRef, checkpoints []metadata.CheckpointRecord) (missing []metadata.Extent) {
	if len(archives) == 0 {
		return nil
	}
	kept := map[metadata.Extent]bool{}
	for i := range archives {
		kept[archives[i].Extent] = true
	}
	first, last := archives[0].Extent, archives[len(archives)-1].Extent
	if i := slices.IndexFunc(checkpoints, func(c metadata.CheckpointRecord) bool { return c.Base }); i >= 0 {
		first = checkpoints[i].Extent
	}
	for x := first; x <= last; x++ {
		if !kept[x] {
			missing = append(missing, x)
		}
	}
	return missing
}

// ofThisIncarnation tells that an object was written since the last recovery.
func (w *walk) ofThisIncarnation(key string) bool {
	k, err := metadata.ParseObjectKey(key)
	return err == nil && k.Incarnation == w.log.start.Incarnation
}

func (w *walk) condemn(class metadata.ObjectClass, key, what string) {
	l, there := w.listed[key]
	if !there {
		return // and suspected for that
	}
	w.suspectObject(&suspect{NamedObject: metadata.NamedObject{Class: class, Key: key, Size: l.size}, status: Condemned, modified: l.modified,
		what: what, certain: true, counted: l.named})
}
