package dashboards

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/zonewise/zonewise/costmodel"
	"github.com/zonewise/zonewise/metadata"
)

const (
	minuteMs = metadata.UnixMilli(60_000)
	hourMs   = 60 * minuteMs
)

// maxSteps bounds how many steps of time a window is cut into: bars that a
// screen can show, and reads of the ledger per request.
const maxSteps = 30

// parseWindow reads a window's length: Go's durations and whole days (15m, 1h,
// 24h, 7d), of whole minutes, of whole hours past two hours.
func parseWindow(text string) (metadata.UnixMilli, error) {
	var length time.Duration
	var err error
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int
		if n, err = strconv.Atoi(days); err == nil && n >= 0 && n <= 7 {
			length = time.Duration(n) * 24 * time.Hour
		}
	} else {
		length, err = time.ParseDuration(text)
	}
	ms := metadata.UnixMilli(length.Milliseconds())
	switch {
	case err != nil || ms < minuteMs || ms > metadata.LedgerHoursFor:
		return 0, fmt.Errorf("window %q: want a length from 1m to 7d, such as 15m, 1h, 24h or 7d", text)
	case ms > metadata.LedgerMinutesFor && ms%hourMs != 0:
		return 0, fmt.Errorf("window %q: past two hours the ledger keeps whole hours; round it to hours", text)
	case ms%minuteMs != 0:
		return 0, fmt.Errorf("window %q: the ledger keeps whole minutes; round it to minutes", text)
	}
	return ms, nil
}

// windowName returns the short name of a length: 15m, 1h, 24h, 7d.
func windowName(length metadata.UnixMilli) string {
	switch {
	case length%(24*hourMs) == 0 && length > 24*hourMs:
		return fmt.Sprintf("%dd", length/(24*hourMs))
	case length%hourMs == 0:
		return fmt.Sprintf("%dh", length/hourMs)
	}
	return fmt.Sprintf("%dm", length/minuteMs)
}

// windowPlan is how a window is read: the steps of the window itself, and before them
// those of the window before it, where the ledger still has that.
type windowPlan struct {
	length   metadata.UnixMilli
	previous int // number of windows that belong to the previous one; they come first
	windows  []Window
}

// planWindow ends the window with the current minute (or hour), so that
// everything applied is in it. Of the previous window, if compare is set, the
// first step is separate: whether it has any usage shows whether that window is
// complete.
func planWindow(now, length metadata.UnixMilli, compare bool) windowPlan {
	grain, kept := minuteMs, metadata.LedgerMinutesFor
	if length > metadata.LedgerMinutesFor {
		grain, kept = hourMs, metadata.LedgerHoursFor
	}
	to := now - now%grain + grain
	from := to - length
	step := stepOf(length, grain)
	p := windowPlan{length: length}
	if compare && from-length >= max(now-kept, 0) {
		p.windows = append(splitWindow(from-length, from-length+step, step), splitWindow(from-length+step, from, length)...)
		p.previous = len(p.windows)
	}
	p.windows = append(p.windows, splitWindow(from, to, step)...)
	return p
}

// stepOf returns the smallest round number of grains that cuts a length into
// at most maxSteps.
func stepOf(length, grain metadata.UnixMilli) metadata.UnixMilli {
	for _, n := range []metadata.UnixMilli{1, 2, 3, 5, 6} {
		if length <= n*grain*maxSteps {
			return n * grain
		}
	}
	return (length + maxSteps*grain - 1) / (maxSteps * grain) * grain
}

// splitWindow splits [from, to) into steps, and at the end of a month, where storage
// prices change.
func splitWindow(from, to, step metadata.UnixMilli) []Window {
	var out []Window
	for next := from + step; from < to; next += step {
		end := min(next, to)
		if month := metadata.UnixMilli(costmodel.NextMonth(int64(from))); month < end {
			out = append(out, Window{from, month})
			from = month
		}
		out = append(out, Window{from, end})
		from = end
	}
	return out
}
