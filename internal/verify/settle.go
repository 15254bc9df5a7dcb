package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// settleSuspects looks for every suspect in the bucket again, then reads a newer
// state, and reports what is at fault by both.
func (w *walk) settleSuspects(ctx context.Context) (err error) {
	if len(w.suspects) == 0 {
		return nil
	}
	list := make([]*suspect, 0, len(w.suspects))
	for _, key := range slices.Sorted(maps.Keys(w.suspects)) { // always in this order: a seed replays
		list = append(list, w.suspects[key])
	}
	w.count.beginStage("look at suspects again", len(list))
	if slices.ContainsFunc(list, func(s *suspect) bool { return s.awaited }) {
		// The store does not say how old one is that seems to be an orphan: it is
		// listed again when no upload of it can still be under way.
		if err := sleep(ctx, w.cfg.inFlightTime()); err != nil {
			return err
		}
	}
	if err := w.forEach(ctx, len(list), func(ctx context.Context, i int) error { return w.probeNamed(ctx, list[i]) }); err != nil {
		return err
	}
	if err := w.listUnnamed(ctx, list); err != nil {
		return err
	}
	if w.newer, err = w.readLog(ctx); err != nil {
		return err
	}
	named, err := w.namesOfSuspects(ctx)
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(s *suspect) bool { return !w.confirm(s, named) })
	return w.reportSuspects(ctx, list)
}

// probeNamed reads the last byte that a missing object, or one of the wrong size,
// should have, and one after it: listings may be late, and what was uploaded after
// the listing is not in it. It clears the suspicion where just the one is there.
func (w *walk) probeNamed(ctx context.Context, s *suspect) error {
	if !s.probe {
		return nil
	}
	off, length := s.want-1, int64(2)
	if s.want == 0 {
		off, length = 0, 1
	}
	b, err := w.getObject(ctx, s.Key, off, length)
	switch {
	case isAbsent(err):
		s.status, s.what = Missing, "not in the bucket"
	case errors.Is(err, bucket.ErrRange) && s.want > 0:
		s.status, s.what = Damaged, fmt.Sprintf("cut: %d bytes were written", s.want)
	case err != nil && !errors.Is(err, bucket.ErrRange):
		return err
	case len(b) > 1:
		s.status, s.what = Damaged, fmt.Sprintf("longer than the %d bytes that were written", s.want)
	default:
		s.status = Live
	}
	return nil
}

// Statuses of suspects that are no status of an object in the end.
const (
	unnamed Status = "unnamed" // nothing names it
	gone    Status = "gone"    // and it is in the bucket no more
)

// listUnnamed lists again what nothing names; list is sorted by key. Much of it may
// stand together, so a page serves for many.
func (w *walk) listUnnamed(ctx context.Context, list []*suspect) error {
	var page []bucket.Info
	end := "" // of what page covers
	for _, s := range list {
		if s.status != unnamed {
			continue
		}
		if s.Key > end {
			var err error
			if page, err = w.listPage(ctx, s.Key[:len(s.Key)-1], bucket.PageNames); err != nil {
				return err
			}
			end = s.Key
			if n := len(page); n > 0 {
				end = max(end, page[n-1].Name)
			}
		}
		if _, there := slices.BinarySearchFunc(page, s.Key, func(o bucket.Info, key string) int { return cmp.Compare(o.Name, key) }); !there {
			s.status = gone
		}
	}
	return nil
}

// namesOfSuspects returns as what the newer view names suspects.
func (w *walk) namesOfSuspects(ctx context.Context) (map[string]Status, error) {
	ofLog, err := w.objectsOfLog(ctx, &w.newer)
	if err != nil {
		return nil, err
	}
	named := map[string]Status{}
	visit := func(o metadata.NamedObject) bool {
		if w.suspicion(o.Key) != "" && named[o.Key] != Live {
			named[o.Key] = Live
			if o.Dead {
				named[o.Key] = Dead
			}
		}
		return ctx.Err() == nil
	}
	for _, o := range ofLog {
		visit(o)
	}
	w.newer.state.NamedObjects(visit)
	return named, context.Cause(ctx)
}

// confirm reports whether a suspect is to be reported, by what was found of it and
// as what the newer view names it.
func (w *walk) confirm(s *suspect, named map[string]Status) bool {
	switch {
	case s.certain:
		return true
	case s.status == gone:
		return false
	case s.status == Live:
		if s.counted == "" {
			w.totals.add(s.Class, Live, 1, s.want)
		}
		return false
	case s.status == unnamed && named[s.Key] != "":
		w.totals.add(s.Class, named[s.Key], 1, s.Size)
		return false
	case s.status == unnamed:
		s.status, s.what = w.statusOfUnnamed(&w.newer, s)
		return true
	}
	return named[s.Key] == Live // else it died meanwhile, and may be damaged or gone
}

// reportSuspects adds the findings, with the records that are lost.
func (w *walk) reportSuspects(ctx context.Context, list []*suspect) error {
	if err := w.findLost(ctx, list); err != nil {
		return err
	}
	for _, s := range list {
		w.addFinding(s, s.status)
	}
	return nil
}

// findLost finds the spans of missing and damaged objects that were not read.
func (w *walk) findLost(ctx context.Context, list []*suspect) error {
	objects := map[metadata.ObjectName]*suspect{}
	archives := map[string]*suspect{}
	for _, s := range list {
		switch k, err := metadata.ParseObjectKey(s.Key); {
		case err != nil || s.judged || s.status != Missing && s.status != Damaged:
		case k.Class == metadata.ObjectWAL:
			objects[k.Name] = s
		case k.Class == metadata.ObjectArchive:
			archives[s.Key] = s
		}
	}
	if len(objects)+len(archives) == 0 {
		return nil
	}
	state := w.newer.state
	return eachSpan(ctx, state, func(tp metadata.TopicPartition, sp *metadata.Span) {
		var s *suspect
		if sp.Inline() {
			if a, ok := state.Archive(sp.Revision); ok {
				s = archives[a.Object]
			}
		} else if name, _, ok := state.Object(*sp); ok {
			// Of a cut object, what lies before the cut can be read.
			if s = objects[name]; s != nil && s.status == Damaged && s.counted == Live && sp.Position+int64(sp.Length) <= s.Size {
				s = nil
			}
		}
		if s != nil {
			s.lost = append(s.lost, lostOf(tp, sp))
		}
	})
}
