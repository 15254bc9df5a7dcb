package etcdserver

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/zap"
)

// A full disk is said once and plainly, and ends the member without a stack.
func TestAFullDiskIsSaidPlainly(t *testing.T) {
	full := &fs.PathError{Op: "write", Path: "d/etcd/member/snap/db", Err: syscall.ENOSPC}
	for name, end := range map[string]func(l *zap.Logger){
		"fatal": func(l *zap.Logger) { l.Fatal("failed to commit tx", zap.Error(full)) },
		"panic": func(l *zap.Logger) { l.Panic("failed to save snapshot", zap.Error(full)) },
		"text":  func(l *zap.Logger) { l.Panic("failed to save snapshot", zap.Error(errors.New(full.Error()))) },
	} {
		t.Run(name, func(t *testing.T) {
			var lines bytes.Buffer
			code := -1
			d := &diskFullHandler{dir: "d/etcd", exit: func(c int) { code = c; panic("exit") }}
			l := zapTo(slog.New(slog.NewTextHandler(&lines, nil)), d)
			func() {
				defer func() {
					if r := recover(); r != "exit" {
						t.Errorf("it went on with %v", r)
					}
				}()
				l.Error("failed to preallocate space when creating a new WAL", zap.Error(full))
				l.Error(fmt.Sprintf("writeAt failed, offset: 16384: %v", "%!w(*fs.PathError=&{write d/etcd/member/snap/db 28})"))
				end(l)
			}()
			if n := strings.Count(lines.String(), "\n"); code != 1 || n != 1 || !strings.Contains(lines.String(), "disk of d/etcd is full") || !strings.Contains(lines.String(), "free some space") {
				t.Errorf("exit %d, %d lines: %s", code, n, lines.String())
			}
		})
	}
}

// Whatever else etcd gives up for, it says as before.
func TestWhatElseEtcdGivesUpForIsSaidAsItSaysIt(t *testing.T) {
	var lines bytes.Buffer
	code := -1
	l := zapTo(slog.New(slog.NewTextHandler(&lines, nil)), &diskFullHandler{exit: func(c int) { code = c; panic("exit") }})
	said := func(f func()) (r any) {
		defer func() { r = recover() }()
		f()
		return nil
	}
	if r := said(func() { l.Panic("failed to unmarshal member") }); code != -1 || r != "etcd: failed to unmarshal member" {
		t.Errorf("exit %d, %v", code, r)
	}
	if r := said(func() { l.Fatal("failed to parse WAL name") }); code != 1 || r != "exit" || !strings.Contains(lines.String(), "etcd: failed to parse WAL name") {
		t.Errorf("exit %d, %v: %s", code, r, lines.String())
	}
}
