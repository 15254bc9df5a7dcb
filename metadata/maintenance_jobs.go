package metadata

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// JobStatus is what this broker knows of a role's work.
type JobStatus struct {
	Role string
	Held bool // by this session
	// LastSuccess is when a pass of it succeeded last here, or when the role was
	// taken.
	LastSuccess time.Time
	// Fullness is how much of what a pass may do the last one did, in percent: at
	// 100 again and again the work comes faster than it is done.
	Fullness int
}

// jobTable is the status of the roles' work at one session.
type jobTable struct {
	mu   sync.Mutex
	jobs map[string]JobStatus
}

func (t *jobTable) change(role string, change func(*JobStatus)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.jobs == nil {
		t.jobs = map[string]JobStatus{}
	}
	j := t.jobs[role]
	j.Role = role
	change(&j)
	t.jobs[role] = j
}

func (t *jobTable) hold(role string) {
	t.change(role, func(j *JobStatus) {
		if !j.Held {
			j.Held, j.LastSuccess, j.Fullness = true, time.Now(), 0
		}
	})
}

func (t *jobTable) release(role string) { t.change(role, func(j *JobStatus) { j.Held = false }) }

func (t *jobTable) succeed(role string) {
	t.change(role, func(j *JobStatus) { j.LastSuccess = time.Now() })
}

// SetFullness records how much of what a pass of a role's work may do the one under way
// has done, in percent.
func (c *Maintenance) SetFullness(role string, percent int) {
	c.jobs.change(role, func(j *JobStatus) { j.Fullness = percent })
}

// Jobs returns the status of the roles' work, sorted by role.
func (c *Maintenance) Jobs() []JobStatus {
	c.jobs.mu.Lock()
	defer c.jobs.mu.Unlock()
	out := make([]JobStatus, 0, len(c.jobs.jobs))
	for _, role := range slices.Sorted(maps.Keys(c.jobs.jobs)) {
		out = append(out, c.jobs.jobs[role])
	}
	return out
}
