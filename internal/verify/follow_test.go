package verify_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/zonewise/zonewise/internal/verify"
	"github.com/zonewise/zonewise/metadata"
)

// A damaged or missing checkpoint is reported, though a start reads it.
func TestTheCheckpointOfAStartMayBeAtFault(t *testing.T) {
	for name, c := range map[string]struct {
		change func([]byte) []byte
		want   string
	}{"none": {nil, ""}, "missing": {remove, "missing"}, "a bit": {flip, "damaged"}} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.produce()
				w.settle()
				w.cancel() // or the next checkpoint replaces it
				w.wg.Wait()
				from, err := w.log.Start(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				key := from.Checkpoint.Object
				if c.change != nil {
					w.replace(key, c.change)
				}
				f, err := verify.Follow(t.Context(), verify.FollowConfig{Log: w.log, Bucket: w.bucket, Logger: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				defer f.Stop()
				cfg := w.config()
				cfg.State = f.State
				if r := w.verifyWith(cfg); c.want == "" {
					expect(t, r, verify.Clean)
				} else {
					expect(t, r, verify.HasDamage, c.want+" checkpoint "+key)
				}
			})
		})
	}
}

// Where nothing older helps, the error names what is missing.
func TestAnArchiveThatEveryStartReadsIsNamed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.settle()
		var key string
		for key == "" { // one that is newer than the checkpoint
			w.produceInline()
			time.Sleep(time.Second)
			from, err := w.log.Start(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if from.ArchivedUpTo > from.Checkpoint.Extent {
				key = from.ArchivedObject
			}
		}
		w.cancel()
		w.wg.Wait()
		w.replace(key, remove)
		f, err := verify.Follow(t.Context(), verify.FollowConfig{Log: w.log, Bucket: w.bucket, Logger: slog.New(slog.DiscardHandler)})
		if f != nil || !errors.Is(err, verify.ErrStart) || !strings.Contains(err.Error(), key) {
			t.Errorf("%v, %v: want that %s is missing", f, err, key)
		}
		if errors.Is(err, metadata.ErrCorrupt) {
			t.Errorf("%v: it is not damaged", err)
		}
	})
}
