package verify

import (
	"cmp"
	"slices"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// Status is what is the case with an object. The texts are stable.
type Status string

// The statuses. Each object that is listed or named has exactly one.
const (
	Live     Status = "live"      // named by the state, there, and of the size that it should have
	Dead     Status = "dead"      // named as dead: it waits for its deletion
	InFlight Status = "in_flight" // of a session that lives and has not named it yet
	Leftover Status = "leftover"  // of a session that ended: a search to come will find it
	Orphaned Status = "orphaned"  // nothing names it and nothing ever will: it is billed, and nothing else is wrong
	Missing  Status = "missing"   // named as live, and not there
	Damaged  Status = "damaged"   // named as live, and not what was written
	// Condemned: named as live and as dead. It will be deleted although it is needed.
	Condemned Status = "condemned"
)

// Statuses lists the statuses, the worst last.
func Statuses() []Status {
	return []Status{Live, Dead, InFlight, Leftover, Orphaned, Condemned, Damaged, Missing}
}

func (s Status) severity() int { return slices.Index(Statuses(), s) }

// Result is what a report comes to. The texts are stable.
type Result string

// The results.
const (
	Clean      Result = "clean"
	HasOrphans Result = "orphans" // and nothing worse
	HasDamage  Result = "damage"  // missing, damaged or condemned objects
)

// Report is what Run found.
type Report struct {
	Result      Result               `json:"result"`
	Deep        bool                 `json:"deep"`
	Started     time.Time            `json:"started"`
	Seconds     float64              `json:"seconds"`
	Revision    metadata.Revision    `json:"revision"` // of the state that the listing was compared with
	StateTimeMs metadata.UnixMilli   `json:"state_time_ms"`
	Incarnation metadata.Incarnation `json:"incarnation"`
	Lists       int64                `json:"list_requests"`
	Gets        int64                `json:"get_requests"`
	BytesRead   int64                `json:"bytes_read"`
	// Totals has a row for each class and status that occur, in that order.
	Totals []Total `json:"totals"`
	// Findings are the objects that are neither live nor dead, the worst first.
	Findings []Finding `json:"findings"`
	// LeftOut is how many findings are not listed.
	LeftOut int `json:"findings_left_out"`
}

// Total is how many objects of a class have a status. The bytes of all rows but
// those of missing objects sum up to the listing's.
type Total struct {
	Class   string `json:"class"`
	Status  Status `json:"status"`
	Objects int64  `json:"objects"`
	Bytes   int64  `json:"bytes"`
}

// Finding is one object, or one place in the chain of archives.
type Finding struct {
	Status Status `json:"status"`
	Class  string `json:"class"`
	// Key is below "<cluster>/"; empty where the state should name an object and
	// names none.
	Key        string `json:"key"`
	Size       int64  `json:"size"`        // as listed; of a missing object, as the state has it
	ModifiedMs int64  `json:"modified_ms"` // by the store's clock; 0: not known
	What       string `json:"what"`
	// Lost are the records that cannot be read, by partition and offset.
	Lost []LostRange `json:"lost"`
	// LostLeftOut is how many ranges are not listed.
	LostLeftOut int `json:"lost_left_out"`
}

// LostRange is a range of offsets of a partition whose records cannot be read.
type LostRange struct {
	Topic     string             `json:"topic"`
	TopicID   string             `json:"topic_id"`
	Partition metadata.Partition `json:"partition"`
	First     metadata.Offset    `json:"first_offset"`
	Last      metadata.Offset    `json:"last_offset"`
}

// Count returns the objects and bytes of a status, over all classes.
func (r *Report) Count(s Status) (objects, bytes int64) {
	for _, t := range r.Totals {
		if t.Status == s {
			objects += t.Objects
			bytes += t.Bytes
		}
	}
	return objects, bytes
}

// totalKey is a row of Report.Totals.
type totalKey struct {
	class  metadata.ObjectClass
	status Status
}

type totals map[totalKey]*Total

func (t totals) add(class metadata.ObjectClass, s Status, objects, bytes int64) {
	k := totalKey{class, s}
	if t[k] == nil {
		t[k] = &Total{Class: class.String(), Status: s}
	}
	t[k].Objects += objects
	t[k].Bytes += bytes
}

// rows returns what is not empty, in order.
func (t totals) rows() []Total {
	out := []Total{}
	for _, row := range t {
		if row.Objects != 0 {
			out = append(out, *row)
		}
	}
	slices.SortFunc(out, func(a, b Total) int {
		return cmp.Or(cmp.Compare(a.Class, b.Class), cmp.Compare(a.Status.severity(), b.Status.severity()))
	})
	return out
}

// finish sorts and cuts the findings and says what the report comes to.
func (r *Report) finish(max int) {
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(b.Status.severity(), a.Status.severity()), cmp.Compare(a.Key, b.Key))
	})
	r.Result = Clean
	if len(r.Findings) > 0 {
		switch worst := r.Findings[0].Status.severity(); {
		case worst > Orphaned.severity():
			r.Result = HasDamage
		case worst == Orphaned.severity():
			r.Result = HasOrphans
		}
	}
	if len(r.Findings) > max {
		r.LeftOut = len(r.Findings) - max
		r.Findings = slices.Clip(r.Findings[:max])
	}
}
