package etcdserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"syscall"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// zapTo sends etcd's own lines of level warning and above to l, never to
// standard output; nil drops them. A full disk is logged once, in place of
// etcd's own lines.
func zapTo(l *slog.Logger, full *diskFullHandler) *zap.Logger {
	if l == nil {
		l = slog.New(slog.DiscardHandler)
	}
	return zap.New(&slogCore{l: l, full: full}, zap.WithFatalHook(full), zap.WithPanicHook(full))
}

// diskFullHandler logs that the disk of a member's data is full, and ends the
// process where etcd would with a raw error, or a panic and its stack. Nothing
// that was acknowledged is lost: the other members have it, and this member's
// files stay as they are.
type diskFullHandler struct {
	dir      string
	exit     func(code int) // os.Exit
	reported atomic.Bool
}

func newDiskFull(dir string) *diskFullHandler { return &diskFullHandler{dir: dir, exit: os.Exit} }

// isDiskFull reports errors of a full disk; etcd hands some on as text.
func isDiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || err != nil && mentionsDiskFull(err.Error())
}

func mentionsDiskFull(text string) bool {
	return strings.Contains(text, syscall.ENOSPC.Error()) || strings.Contains(text, syscall.EDQUOT.Error()) ||
		strings.Contains(text, fmt.Sprintf(" %d})", syscall.ENOSPC)) // bbolt's %w of a logger that does not know it
}

// errorText is its text, the same as the bucket's for a folder's disk.
func (d *diskFullHandler) errorText() string {
	return fmt.Sprintf("disk of %s is full: this etcd member stops; free some space and restart it", d.dir)
}

// isDiskFullLine reports whether a line of etcd's is of a full disk.
func (d *diskFullHandler) isDiskFullLine(e zapcore.Entry, f []zapcore.Field) bool {
	if e.Level < zapcore.ErrorLevel {
		return false
	}
	if mentionsDiskFull(e.Message) {
		return true
	}
	for _, x := range f {
		if err, ok := x.Interface.(error); ok && isDiskFull(err) || mentionsDiskFull(x.String) {
			return true
		}
	}
	return false
}

// OnWrite implements zapcore.CheckWriteHook: what etcd does after a line of level
// panic or fatal.
func (d *diskFullHandler) OnWrite(ce *zapcore.CheckedEntry, f []zapcore.Field) {
	if ce.Level == zapcore.FatalLevel || d.isDiskFullLine(ce.Entry, f) {
		d.exit(1)
	}
	panic("etcd: " + ce.Message)
}

// slogCore is a zapcore.Core that writes to slog.
type slogCore struct {
	l    *slog.Logger
	full *diskFullHandler
}

// Enabled implements zapcore.Core.
func (c *slogCore) Enabled(l zapcore.Level) bool { return l >= zapcore.WarnLevel }

// With implements zapcore.Core.
func (c *slogCore) With(f []zapcore.Field) zapcore.Core {
	return &slogCore{l: c.l.With(toAttrs(f)...), full: c.full}
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
	if c.full.isDiskFullLine(e, f) {
		if !c.full.reported.Swap(true) {
			c.l.Error(c.full.errorText())
		}
		return nil
	}
	level := slog.LevelWarn
	if e.Level >= zapcore.ErrorLevel {
		level = slog.LevelError
	}
	c.l.Log(context.Background(), level, "etcd: "+e.Message, toAttrs(f)...)
	return nil
}

// Sync implements zapcore.Core.
func (c *slogCore) Sync() error { return nil }

func toAttrs(f []zapcore.Field) []any {
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
