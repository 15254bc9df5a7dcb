package etcdserver

import (
	"context"
	"log/slog"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// zapTo sends etcd's own lines of level warning and above to l, never to
// standard output; nil drops them.
func zapTo(l *slog.Logger) *zap.Logger {
	if l == nil {
		return zap.NewNop()
	}
	return zap.New(&slogCore{l: l})
}

// slogCore is a zapcore.Core that writes to slog.
type slogCore struct{ l *slog.Logger }

// Enabled implements zapcore.Core.
func (c *slogCore) Enabled(l zapcore.Level) bool { return l >= zapcore.WarnLevel }

// With implements zapcore.Core.
func (c *slogCore) With(f []zapcore.Field) zapcore.Core {
	return &slogCore{l: c.l.With(attrs(f)...)}
}

// Check implements zapcore.Core.
func (c *slogCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

// Write implements zapcore.Core.
func (c *slogCore) Write(e zapcore.Entry, f []zapcore.Field) error {
	level := slog.LevelWarn
	if e.Level >= zapcore.ErrorLevel {
		level = slog.LevelError
	}
	c.l.Log(context.Background(), level, "etcd: "+e.Message, attrs(f)...)
	return nil
}

// Sync implements zapcore.Core.
func (c *slogCore) Sync() error { return nil }

func attrs(f []zapcore.Field) []any {
	enc := zapcore.NewMapObjectEncoder()
	out := make([]any, 0, 2*len(f))
	for _, x := range f {
		x.AddTo(enc)
		if v, ok := enc.Fields[x.Key]; ok {
			out = append(out, x.Key, v)
		}
	}
	return out
}
