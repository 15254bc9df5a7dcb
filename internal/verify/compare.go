package verify

import (
	"context"
	"fmt"
	"time"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// listedObject is a line of the listing, and how it was named.
type listedObject struct {
	size     int64
	modified int64  // unix ms, by the store's clock; 0: not known
	named    Status // Live, Dead, or empty
}

// listStep is how many names are asked for at once: progress is seen between.
const listStep = 10 * bucket.PageNames

func (w *walk) listBucket(ctx context.Context) error {
	w.listed = map[string]listedObject{}
	for after := ""; ; {
		page, err := w.listPage(ctx, after, listStep)
		if err != nil {
			return err
		}
		for _, o := range page {
			w.listed[o.Name] = listedObject{size: o.Size, modified: o.Modified}
			after = o.Name
		}
		w.count.done.Store(int64(len(w.listed)))
		if len(page) < listStep {
			w.listedAt = time.Now()
			return nil
		}
	}
}

// compareListing compares the listing with what the state and the log name.
func (w *walk) compareListing(ctx context.Context) error {
	ofLog, err := w.objectsOfLog(ctx, &w.log)
	if err != nil {
		return err
	}
	w.log.state.NamedObjects(func(o metadata.NamedObject) bool {
		w.compareNamed(o)
		return ctx.Err() == nil
	})
	for _, o := range ofLog {
		w.compareNamed(o)
	}
	if p := w.log.start.Checkpoint; p != nil {
		w.pointerSize = w.listed[p.Object].size
	}
	for key, l := range w.listed {
		if l.named == "" {
			if err := w.judgeUnnamed(key, l); err != nil {
				return err
			}
		}
	}
	return context.Cause(ctx)
}

// compareNamed compares an object that is named with the listing.
func (w *walk) compareNamed(o metadata.NamedObject) {
	w.count.done.Add(1)
	l, there := w.listed[o.Key]
	s := &suspect{NamedObject: o, want: o.Size, modified: l.modified}
	switch {
	case l.named != "":
		if o.Dead != (l.named == Dead) {
			s.status, s.certain, s.counted, s.Size = Condemned, true, l.named, l.size
			s.what = "it is in use, and dead by the state: it will be deleted"
			w.suspectObject(s)
		}
		return
	case !there && o.Dead: // it was deleted, and that is not confirmed yet
		return
	case !there:
		s.status, s.what, s.probe = Missing, "not in the bucket", true
		w.suspectObject(s)
		return
	case o.Dead:
		l.named = Dead
	case o.Size != 0 && o.Size != l.size:
		l.named = Live
		s.status, s.counted, s.Size, s.probe = Damaged, Live, l.size, true
		s.what = fmt.Sprintf("%d bytes in the bucket, %d were written", l.size, o.Size)
		w.suspectObject(s)
	default:
		l.named = Live
	}
	w.totals.add(o.Class, l.named, 1, l.size)
	w.listed[o.Key] = l
}

// judgeUnnamed suspects an object that nothing names.
func (w *walk) judgeUnnamed(key string, l listedObject) error {
	k, err := metadata.ParseObjectKey(key)
	if err == nil && k.Class == metadata.ObjectIncarnation {
		if k.Incarnation <= w.log.start.Incarnation {
			w.totals.add(k.Class, Live, 1, l.size) // of the first one, which needs none
			return nil
		}
		return fmt.Errorf("the bucket holds %s, and etcd is of incarnation %d: %w: use that etcd (--etcd)", key, w.log.start.Incarnation, ErrOtherEtcd)
	}
	s := &suspect{NamedObject: metadata.NamedObject{Class: k.Class, Key: key, Size: l.size}, status: unnamed, modified: l.modified}
	if err != nil {
		s.Class = 0
	}
	status, _ := w.statusOfUnnamed(&w.log, s)
	s.awaited = status == Orphaned && l.modified == 0
	w.suspectObject(s)
	return nil
}

// statusOfUnnamed tells what an object is that nothing in a view names, and why.
func (w *walk) statusOfUnnamed(v *logView, s *suspect) (Status, string) {
	young := s.modified > 0 && w.listedAt.UnixMilli()-s.modified < w.cfg.inFlightTime().Milliseconds()
	k, err := metadata.ParseObjectKey(s.Key)
	if err != nil {
		if young {
			return InFlight, "not a name that zonewise keeps, and new: a probe by a broker that starts"
		}
		return Orphaned, "not a name that zonewise keeps"
	}
	if v.live[k.Session] {
		return InFlight, fmt.Sprintf("no entry of session %s, which is live, names it yet", k.Session)
	}
	search, found := v.search(s.Key, k)
	overdue := v.state.Time() - search.Due
	switch {
	case found && overdue <= w.cfg.LeftoverGrace:
		return Leftover, "the search for leftovers of " + whoseSearch(search) + " will find it"
	case young:
		return InFlight, fmt.Sprintf("session %s has ended, and the object is new", k.Session)
	case found:
		return Orphaned, fmt.Sprintf("the search for leftovers of %s is due since %v", whoseSearch(search), time.Duration(overdue)*time.Millisecond)
	}
	return Orphaned, fmt.Sprintf("session %s has ended, and no search for its leftovers is to come", k.Session)
}

func whoseSearch(p metadata.PendingSearch) string {
	if p.Session == 0 {
		return fmt.Sprintf("incarnation %d", p.Incarnation)
	}
	return "session " + p.Session.String()
}

// addFinding reports a suspect, with what it turned out to be.
func (w *walk) addFinding(s *suspect, status Status) {
	if s.counted != "" {
		w.totals.add(s.Class, s.counted, -1, -s.Size)
	}
	w.totals.add(s.Class, status, 1, s.Size)
	lost, leftOut := describeLost(w.newer.state, s.lost)
	w.report.Findings = append(w.report.Findings, Finding{Status: status, Class: s.Class.String(), Key: s.Key, Size: s.Size,
		ModifiedMs: s.modified, What: s.what, Lost: lost, LostLeftOut: leftOut})
}
