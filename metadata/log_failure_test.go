package metadata

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
)

func TestLogFailureLeavesALostLogToTheLog(t *testing.T) {
	for _, c := range []struct {
		err  error
		loud bool
	}{
		{errors.New("a real failure"), true},
		{fmt.Errorf("take role: %w", ErrUnavailable), false},
		{fmt.Errorf("%w (attempt 3, last: %w)", context.DeadlineExceeded, ErrUnavailable), false},
		{fmt.Errorf("list: %w", context.Canceled), false},
	} {
		var out bytes.Buffer
		LogFailure(slog.New(slog.NewTextHandler(&out, nil)), "maintenance of the log", c.err, "slot", 7)
		if loud := out.Len() > 0; loud != c.loud || loud && !bytes.Contains(out.Bytes(), []byte(`level=WARN msg="maintenance of the log" slot=7 err="a real failure"`)) {
			t.Errorf("%v: %q", c.err, out.String())
		}
	}
}
