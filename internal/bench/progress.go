package bench

import (
	"fmt"
	"sync"
	"time"
)

// progressEvery is how often a run tells how it goes, as Kafka's own load
// generators do.
const progressEvery = 5 * time.Second

// tellProgress writes a line now and then until it is stopped; stop returns
// when no line is written any more.
func (r *runner) tellProgress(begin time.Time) (stop func()) {
	if r.Progress == nil {
		return func() {}
	}
	done := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		last, at := r.flows(), begin
		for {
			select {
			case now := <-tick.C:
				next := r.flows()
				fmt.Fprintln(r.Progress, next.line(last, now.Sub(begin), now.Sub(at)))
				last, at = next, now
			case <-done:
				return
			}
		}
	})
	return func() {
		close(done)
		writer.Wait()
	}
}

// flows are the totals so far: records and bytes of values.
type flows struct {
	mode                                                   Mode
	sentRecords, sentBytes, readRecords, readBytes, failed int64
}

func (r *runner) flows() flows {
	f := flows{mode: r.Mode, sentRecords: r.made.records.Load(), sentBytes: r.made.bytes.Load(),
		readRecords: r.read.records.Load(), readBytes: r.read.bytes.Load()}
	r.made.mu.Lock()
	defer r.made.mu.Unlock()
	for _, n := range r.made.errors {
		f.failed += n
	}
	return f
}

// line tells what came since the last line.
func (f flows) line(last flows, since, step time.Duration) string {
	text := fmt.Sprintf("%4.0f s", since.Seconds())
	part := func(verb string, records, lastRecords, bytes, lastBytes int64) {
		s := step.Seconds()
		text += fmt.Sprintf("  %s %d records, %.0f/s, %.2f MB/s", verb, records, float64(records-lastRecords)/s, float64(bytes-lastBytes)/1e6/s)
	}
	if f.mode != ModeConsume {
		part("acknowledged", f.sentRecords, last.sentRecords, f.sentBytes, last.sentBytes)
	}
	if f.mode != ModeProduce {
		part("read", f.readRecords, last.readRecords, f.readBytes, last.readBytes)
	}
	if f.failed > 0 {
		text += fmt.Sprintf("  %d failed", f.failed)
	}
	return text
}
