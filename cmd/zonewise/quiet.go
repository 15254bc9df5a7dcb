package main

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// muzzle passes log lines on until it is shut. An etcd member that is stopped
// on purpose calls the end of its own listeners an error.
type muzzle struct {
	slog.Handler
	shut *atomic.Bool
}

// muzzled returns a logger over l, and what silences it for good.
func muzzled(l *slog.Logger, least slog.Level) (*slog.Logger, func()) {
	shut := &atomic.Bool{}
	return slog.New(&floor{&muzzle{l.Handler(), shut}, least}), func() { shut.Store(true) }
}

// Enabled implements slog.Handler.
func (m *muzzle) Enabled(ctx context.Context, level slog.Level) bool {
	return !m.shut.Load() && m.Handler.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (m *muzzle) WithAttrs(a []slog.Attr) slog.Handler {
	return &muzzle{m.Handler.WithAttrs(a), m.shut}
}

// WithGroup implements slog.Handler.
func (m *muzzle) WithGroup(name string) slog.Handler {
	return &muzzle{m.Handler.WithGroup(name), m.shut}
}

// floor drops what is below a level.
type floor struct {
	slog.Handler
	least slog.Level
}

// Enabled implements slog.Handler.
func (f *floor) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= f.least && f.Handler.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (f *floor) WithAttrs(a []slog.Attr) slog.Handler { return &floor{f.Handler.WithAttrs(a), f.least} }

// WithGroup implements slog.Handler.
func (f *floor) WithGroup(name string) slog.Handler {
	return &floor{f.Handler.WithGroup(name), f.least}
}
