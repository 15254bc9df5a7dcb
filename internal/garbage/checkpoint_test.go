package garbage

import (
	"testing"

	"github.com/zonewise/zonewise/metadata"
)

// An object of an old checkpoint lives as long as a kept one refers to it, and dies
// with the last that does.
func TestCheckpointObjectsDieWithTheirLastReference(t *testing.T) {
	inBubble(t, func(r *rig) {
		shared := metadata.CheckpointObject{Key: metadata.CheckpointKey(1, 1, r.session.ID()), Size: 10}
		isDead := func(key string) (dead bool) {
			r.replica.View(func(s *metadata.State) {
				for _, g := range s.Garbage(nil, 0, s.Revision(), s.Time(), 1000) {
					dead = dead || g.Key == key
				}
			})
			return dead
		}
		for n := range 9 {
			revision := r.do(metadata.RecordStateHash{}).Revision
			own := metadata.CheckpointObject{Key: metadata.CheckpointKey(1, revision, r.session.ID()), Size: 10}
			objects := []metadata.CheckpointObject{own, shared}
			switch {
			case n == 0:
				shared, objects = own, objects[:1]
			case n > 5:
				objects = objects[:1]
			}
			r.do(metadata.RecordCheckpoint{Revision: revision, Extent: r.extent, Hash: 1, Objects: objects})
			r.closeExtent()
			r.archive()
			r.do(metadata.RecordBase{Revision: revision})
			if got, want := isDead(shared.Key), n > 6; got != want { // two bases are kept
				r.t.Errorf("after base %d the shared object is dead: %v", n, got)
			}
		}
	})
}
