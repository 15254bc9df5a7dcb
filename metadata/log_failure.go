package metadata

import (
	"context"
	"errors"
	"log/slog"
)

// LogFailure logs a failure as a warning. Where the log's store cannot serve
// (ErrUnavailable), everything that needs it fails repeatedly: the Log reports
// that in one place, and LogFailure uses level debug. So it does for work that
// was cancelled.
func LogFailure(l *slog.Logger, what string, err error, args ...any) {
	level := slog.LevelWarn
	if errors.Is(err, ErrUnavailable) || errors.Is(err, context.Canceled) {
		level = slog.LevelDebug
	}
	l.Log(context.Background(), level, what, append(args, "err", err)...)
}
