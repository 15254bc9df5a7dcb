package main

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// silenceableHandler passes log lines on until it is silenced: an etcd member
// that is stopped on purpose logs the end of its own listeners as an error.
type silenceableHandler struct {
	slog.Handler
	silenced *atomic.Bool
}

// silenceable returns a logger over l, and what silences it for good.
func silenceable(l *slog.Logger, least slog.Level) (*slog.Logger, func()) {
	shut := &atomic.Bool{}
	return slog.New(&levelHandler{&silenceableHandler{l.Handler(), shut}, least}), func() { shut.Store(true) }
}

// Enabled implements slog.Handler.
func (m *silenceableHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return !m.silenced.Load() && m.Handler.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (m *silenceableHandler) WithAttrs(a []slog.Attr) slog.Handler {
	return &silenceableHandler{m.Handler.WithAttrs(a), m.silenced}
}

// WithGroup implements slog.Handler.
func (m *silenceableHandler) WithGroup(name string) slog.Handler {
	return &silenceableHandler{m.Handler.WithGroup(name), m.silenced}
}

// levelHandler drops what is below a level.
type levelHandler struct {
	slog.Handler
	minLevel slog.Level
}

// Enabled implements slog.Handler.
func (f *levelHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= f.minLevel && f.Handler.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (f *levelHandler) WithAttrs(a []slog.Attr) slog.Handler {
	return &levelHandler{f.Handler.WithAttrs(a), f.minLevel}
}

// WithGroup implements slog.Handler.
func (f *levelHandler) WithGroup(name string) slog.Handler {
	return &levelHandler{f.Handler.WithGroup(name), f.minLevel}
}
