package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// tlsInterval is how often certificate files are read and compared even
	// without an event: network file systems send none.
	tlsInterval = 10 * time.Second
	// tlsSettleTime is the pause between a change in a folder and the reading, so that
	// a certificate and its key, which are written one after the other, are both there.
	tlsSettleTime = 200 * time.Millisecond
)

// notifyHangup are the SIGHUPs of a server, upon which it reloads its files
// instead of ending. stop restores the signal.
func notifyHangup() (came <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return c, func() { signal.Stop(c) }
}

// tlsWatcher reloads certificates: upon SIGHUP, when something changes in one
// of their folders, and every tlsInterval.
type tlsWatcher struct {
	logger  *slog.Logger
	hangups <-chan os.Signal
	folders <-chan fsnotify.Event // nil: no folder is watched
	files   []*tlsFiles           // nil ones are passed over
	failed  map[*tlsFiles]string  // what was logged last
}

// watchTLS reloads certificates until ctx ends.
func watchTLS(ctx context.Context, logger *slog.Logger, came <-chan os.Signal, files ...*tlsFiles) {
	w := tlsWatcher{logger: logger, hangups: came, files: files, failed: map[*tlsFiles]string{}}
	folders, err := fsnotify.NewWatcher()
	if err != nil {
		logger.Warn("cannot watch certificate folders: the files are read every 10 s instead", "err", err)
		w.run(ctx, func() {})
		return
	}
	defer folders.Close()
	w.folders = folders.Events
	w.run(ctx, func() {
		for _, f := range files {
			for _, folder := range f.watchedFolders() {
				// Add of a watched folder does nothing; a folder that is not there is
				// left to the timer.
				_ = folders.Add(folder)
			}
		}
	})
}

// run reads the files at each reason for it. watch is called before the first
// wait and after each reading, since links may lead to other folders then.
func (w *tlsWatcher) run(ctx context.Context, watch func()) {
	tick := time.NewTicker(tlsInterval)
	defer tick.Stop()
	settled := time.NewTimer(tlsSettleTime)
	settled.Stop()
	for watch(); ; watch() {
		requested := false
		select {
		case <-ctx.Done():
			return
		case <-w.folders:
			settled.Reset(tlsSettleTime)
			continue
		case <-settled.C:
		case <-tick.C:
		case <-w.hangups:
			requested = true
			w.logger.Info("SIGHUP: reloading certificates; use SIGTERM to stop a broker")
		}
		for _, f := range w.files {
			if f != nil {
				w.reloadFiles(f, requested)
			}
		}
	}
}

// reloadFiles reloads one interface's files. A failure is logged once, and
// whenever a reload was requested.
func (w *tlsWatcher) reloadFiles(f *tlsFiles, requested bool) {
	changed, err := f.reloadIfChanged()
	switch {
	case err != nil && (requested || w.failed[f] != err.Error()):
		w.failed[f] = err.Error()
		w.logger.Error("certificates could not be reloaded: the previous ones stay in use", "err", err)
	case err == nil:
		delete(w.failed, f)
		if changed {
			w.logger.Info("certificates reloaded: new connections use them", "of", f.flagPrefix)
		}
	}
}

// watchedFolders are those in which a change may give the files another content: the
// files' own, and those of the links on the way to them, which Kubernetes swaps.
func (f *tlsFiles) watchedFolders() (all []string) {
	if f == nil {
		return nil
	}
	for _, path := range []string{f.options.ca, f.options.cert, f.options.key} {
		if path == "" {
			continue
		}
		all = append(all, filepath.Dir(path))
		for at := filepath.Dir(path); at != filepath.Dir(at); at = filepath.Dir(at) {
			if info, err := os.Lstat(at); err == nil && info.Mode()&os.ModeSymlink != 0 {
				all = append(all, filepath.Dir(at))
			}
		}
	}
	return all
}
