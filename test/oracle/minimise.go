package oracle

import (
	"context"
	"slices"
	"strings"
)

// minimiseTries bounds how often a scenario is replayed to minimise it.
const minimiseTries = 80

// Reproduces replays a scenario and reports whether it has an unexplained difference
// of the same kind (API and field).
func (s *Session) Reproduces(ctx context.Context, sc *Scenario, want Difference) bool {
	r := s.Play(ctx, sc)
	return slices.ContainsFunc(r.Unexplained, func(d Difference) bool { return d.API == want.API && d.Pattern() == want.Pattern() })
}

// Minimise removes lines from a scenario while an unexplained difference of the same
// kind (API and field) remains, and returns the rest as the text of a scenario file.
func (s *Session) Minimise(ctx context.Context, sc *Scenario, want Difference) string {
	lines := slices.Clone(sc.Lines)
	tries := 0
	still := func(candidate []string) bool {
		if tries++; tries > minimiseTries || ctx.Err() != nil || len(candidate) == 0 {
			return false
		}
		small, err := Parse(sc.Name, strings.Join(candidate, "\n"))
		if err != nil {
			return false
		}
		return s.Reproduces(ctx, small, want)
	}
	for size := max(1, len(lines)/2); ; {
		dropped := false
		for at := len(lines) - size; at >= 0; at -= size {
			candidate := slices.Delete(slices.Clone(lines), at, at+size)
			if still(candidate) {
				lines, dropped = candidate, true
			}
		}
		switch {
		case tries > minimiseTries, size == 1 && !dropped:
			return "# Found by comparison: " + want.API + " " + want.Pattern() + "\n" + strings.Join(lines, "\n") + "\n"
		case size > 1:
			size /= 2
		}
	}
}
