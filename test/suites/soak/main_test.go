//go:build soak

package soak

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// interrupted is closed when the suite was told to end: tests fail then, and clean up.
var interrupted = make(chan struct{})

func TestMain(m *testing.M) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-signals
		fmt.Fprintln(os.Stderr, "soak: interrupted; what was started is ended now")
		close(interrupted)
	}()
	removeStale()
	os.Exit(m.Run())
}

// ownerFile is in a test's temporary folder and has the id of its process.
const ownerFile = "soak.pid"

// removeStale removes the folders of runs that were killed.
func removeStale() {
	owners, _ := filepath.Glob(filepath.Join(os.TempDir(), "Test*", ownerFile))
	for _, path := range owners {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // another run removes it
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
			fmt.Fprintf(os.Stderr, "soak: remove %s, left by a run that was killed\n", filepath.Dir(path))
			_ = os.RemoveAll(filepath.Dir(path)) // the next run tries again
		}
	}
}

// markFolder marks a test's temporary folder as that of this process.
func markFolder(t *testing.T) {
	t.Helper()
	path := filepath.Join(filepath.Dir(t.TempDir()), ownerFile)
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())), 0o644); err != nil {
		t.Fatal(err)
	}
}

// pause sleeps; a test that is interrupted ends there.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-interrupted:
		t.Fatal("interrupted")
	}
}

// readDuration reads a duration from the environment.
func readDuration(t *testing.T, name string, def time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return def
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return d
}

// readNumber reads a whole number from the environment.
func readNumber(t *testing.T, name string, def int64) int64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return def
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}
