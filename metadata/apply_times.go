package metadata

import (
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// MaxApplyTime is how long one entry may stop apply: what every limit on the work
// of an entry is chosen by, on a small machine (docs/benchmarks.md).
const MaxApplyTime = 5 * time.Millisecond

// slowApplyInterval is how often slow entries are logged at most.
const slowApplyInterval = 10 * time.Second

// slowEntries remembers the slowest of the entries that took longer than
// MaxApplyTime, until it is logged. Only the goroutine that applies uses it.
type slowEntries struct {
	count    int
	slowest  time.Duration
	revision Revision
	what     string
	logged   time.Time
}

// addEntry counts a slow entry, and logs the slowest one since the last line.
func (s *slowEntries) addEntry(d time.Duration, c *CommittedEntry, e *Entry, log *slog.Logger) {
	s.count++
	if d > s.slowest {
		s.slowest, s.revision, s.what = d, c.Revision, describeWork(e)
	}
	now := time.Now()
	if now.Sub(s.logged) < slowApplyInterval {
		return
	}
	log.Debug("entries took long to apply", "entries", s.count, "slowest", s.slowest, "revision", s.revision, "work", s.what)
	*s = slowEntries{logged: now}
}

// describeWork says what an entry has for apply to do: how many parts, and how many
// commands of each kind.
func describeWork(e *Entry) string {
	if e == nil {
		return "nothing"
	}
	out := []string{fmt.Sprintf("%d parts", len(e.Parts))}
	for from := 0; from < len(e.Commands); {
		kind, n := e.Commands[from].Kind(), 0
		for from+n < len(e.Commands) && e.Commands[from+n].Kind() == kind {
			n++
		}
		if out = append(out, fmt.Sprintf("%d %T", n, e.Commands[from])); len(out) > 8 {
			return strings.Join(append(out, "more"), ", ")
		}
		from += n
	}
	return strings.Join(out, ", ")
}
