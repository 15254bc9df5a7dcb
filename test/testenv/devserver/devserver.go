// Package devserver runs one `zonewise dev` process for a test: three zones on
// free ports of loopback, drained when the test ends.
package devserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// Zones is the number of zones, with one broker each.
	Zones        = 3
	portsInUse   = 34 // dev: P to P+33
	startTimeout = 2 * time.Minute
	logTail      = 120 // lines of the broker's log shown with a failure
)

// Dev is one `zonewise dev`, with every zone in it.
type Dev struct {
	port, http int
	logPath    string
	cmd        *exec.Cmd
	ended      chan struct{} // closed once the process is gone
	err        error         // set before ended is closed
}

// Repository returns the folder of go.mod.
func Repository() (string, error) {
	at, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; at != filepath.Dir(at); at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "cmd", "zonewise")); err == nil {
			return at, nil
		}
	}
	return "", errors.New("find cmd/zonewise: run the test from within the repository")
}

// Start builds the program, starts it with additional flags, and returns when it is
// ready. A server that does not end with status 0 fails the test.
func Start(t testing.TB, flags ...string) *Dev {
	t.Helper()
	port := freePorts(t, portsInUse+1)
	return StartAt(t, port, port+portsInUse, flags...)
}

// Program builds zonewise into a folder, or uses the one that TEST_BROKER names.
func Program(t testing.TB, folder string) string {
	t.Helper()
	if built := os.Getenv("TEST_BROKER"); built != "" {
		return built
	}
	root, err := Repository()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(folder, "zonewise")
	build := exec.Command("go", "build", "-o", program, "./cmd/zonewise")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build zonewise: %v\n%s", err, out)
	}
	return program
}

// StartAt is Start with the first of its Kafka ports and its HTTP port given.
func StartAt(t testing.TB, port, http int, flags ...string) *Dev {
	t.Helper()
	folder := t.TempDir()
	program := Program(t, folder)
	d := &Dev{port: port, http: http, logPath: filepath.Join(folder, "dev.log"), ended: make(chan struct{})}
	log, err := os.Create(d.logPath)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	args := []string{"dev", "--data-dir", filepath.Join(folder, "data"), "--kafka-port", strconv.Itoa(d.port), "--http-port", strconv.Itoa(d.http), "--log-level", "info"}
	d.cmd = exec.Command(program, append(args, flags...)...)
	d.cmd.Stdout, d.cmd.Stderr = log, log
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		d.err = d.cmd.Wait()
		close(d.ended)
	}()
	t.Cleanup(func() { d.stop(t) })
	d.waitReady(t)
	return d
}

func (d *Dev) waitReady(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/readyz", d.http), nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-d.ended:
			t.Fatalf("zonewise dev ended: %v\n%s", d.err, d.Tail())
		case <-ctx.Done():
			t.Fatalf("zonewise dev is not ready after %v\n%s", startTimeout, d.Tail())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stop drains the server; an exit status other than 0 fails the test.
func (d *Dev) stop(t testing.TB) {
	select {
	case <-d.ended:
		t.Errorf("zonewise dev exited unexpectedly: %v\n%s", d.err, d.Tail())
		return
	default:
	}
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("stop zonewise dev: %v", err)
	}
	select {
	case <-d.ended:
		if d.err != nil {
			t.Errorf("zonewise dev after SIGTERM: %v\n%s", d.err, d.Tail())
		}
	case <-time.After(time.Minute):
		t.Errorf("zonewise dev still runs a minute after SIGTERM\n%s", d.Tail())
		if err := d.cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		<-d.ended
	}
}

// Bootstrap is the bootstrap address for clients of a zone.
func (d *Dev) Bootstrap(zone int) string { return d.Addr(zone, zone) }

// UnzonedBootstrap is the bootstrap address for clients without a zone.
func (d *Dev) UnzonedBootstrap() string { return localAddr(d.port + 30) }

// Addr is a broker's listener for clients of a zone.
func (d *Dev) Addr(broker, zone int) string {
	if broker == zone {
		return localAddr(d.port + zone)
	}
	return localAddr(d.port + 10 + 4*broker + zone)
}

func localAddr(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// Tail is the end of the broker's log.
func (d *Dev) Tail() string {
	b, err := os.ReadFile(d.logPath)
	if err != nil {
		return err.Error()
	}
	lines := slices.DeleteFunc(strings.Split(strings.TrimRight(string(b), "\n"), "\n"), func(l string) bool { return strings.Contains(l, `msg="group slot `) })
	return "--- log of zonewise dev (end)\n" + strings.Join(lines[max(0, len(lines)-logTail):], "\n")
}

// freePorts finds n consecutive free ports, and one more. Another process may take one
// before dev does; dev then reports which.
func freePorts(t testing.TB, n int) int {
	t.Helper()
	for base := 24000 + os.Getpid()%1000*8; base < 60000; base += n + 1 {
		if allFree(base, n+1) {
			return base
		}
	}
	t.Fatal("no run of free ports below 60000")
	return 0
}

func allFree(base, n int) bool {
	for p := base; p < base+n; p++ {
		ln, err := net.Listen("tcp", localAddr(p))
		if err != nil {
			return false
		}
		ln.Close()
	}
	return true
}

// HTTP is the port of the pages and of the API.
func (d *Dev) HTTP() int { return d.http }
