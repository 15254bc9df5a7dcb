package bench

import (
	"testing"
	"time"
)

func TestProgressTellsWhatCameSinceTheLastLine(t *testing.T) {
	last := flowTotals{mode: ModeE2E, sentRecords: 1000, sentBytes: 1e6, readRecords: 900, readBytes: 9e5}
	now := flowTotals{mode: ModeE2E, sentRecords: 11_000, sentBytes: 11e6, readRecords: 5900, readBytes: 5.9e6, failed: 3}
	for _, c := range []struct {
		mode Mode
		want string
	}{
		{ModeE2E, "  10 s  acknowledged 11000 records, 2000/s, 2.00 MB/s  read 5900 records, 1000/s, 1.00 MB/s  3 failed"},
		{ModeProduce, "  10 s  acknowledged 11000 records, 2000/s, 2.00 MB/s  3 failed"},
		{ModeConsume, "  10 s  read 5900 records, 1000/s, 1.00 MB/s  3 failed"},
	} {
		now.mode = c.mode
		if got := now.formatLine(last, 10*time.Second, 5*time.Second); got != c.want {
			t.Errorf("%s: %q, want %q", c.mode, got, c.want)
		}
	}
}
