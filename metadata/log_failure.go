package metadata

import (
	"context"
	"errors"
	"log/slog"
)

// LogFailure logs what failed, as a warning. Where the log's store cannot serve
// (ErrUnavailable) everything that needs it fails, again and again: that is said
// in one place, by the Log, and here at level debug; so is what was given up
// because nobody waits for it any more.
func LogFailure(l *slog.Logger, what string, err error, args ...any) {
	level := slog.LevelWarn
	if errors.Is(err, ErrUnavailable) || errors.Is(err, context.Canceled) {
		level = slog.LevelDebug
	}
	l.Log(context.Background(), level, what, append(args, "err", err)...)
}
