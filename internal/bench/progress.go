package bench

import (
	"fmt"
	"sync"
	"time"
)

// progressInterval is how often a run reports its progress, as Kafka's own load
// generators do.
const progressInterval = 5 * time.Second

// reportProgress writes a line now and then until it is stopped; stop returns
// when no line is written any more.
func (r *runner) reportProgress(begin time.Time) (stop func()) {
	if r.Progress == nil {
		return func() {}
	}
	done := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		tick := time.NewTicker(progressInterval)
		defer tick.Stop()
		last, at := r.currentFlows(), begin
		for {
			select {
			case now := <-tick.C:
				next := r.currentFlows()
				fmt.Fprintln(r.Progress, next.formatLine(last, now.Sub(begin), now.Sub(at)))
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

// flowTotals are the totals so far: records and bytes of values.
type flowTotals struct {
	mode                                                   Mode
	sentRecords, sentBytes, readRecords, readBytes, failed int64
}

func (r *runner) currentFlows() flowTotals {
	f := flowTotals{mode: r.Mode, sentRecords: r.produceStats.records.Load(), sentBytes: r.produceStats.bytes.Load(),
		readRecords: r.consumeStats.records.Load(), readBytes: r.consumeStats.bytes.Load()}
	r.produceStats.mu.Lock()
	defer r.produceStats.mu.Unlock()
	for _, n := range r.produceStats.errors {
		f.failed += n
	}
	return f
}

// formatLine formats the progress since the last line.
func (f flowTotals) formatLine(last flowTotals, since, step time.Duration) string {
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
