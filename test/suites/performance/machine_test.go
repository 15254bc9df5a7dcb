//go:build performance

package performance

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zonewise/zonewise/test/testenv/cluster"
	"github.com/zonewise/zonewise/test/testenv/report"
)

// testLength picks a duration by ZONEWISE_PERFORMANCE.
func testLength(short, full time.Duration) time.Duration {
	if os.Getenv("ZONEWISE_PERFORMANCE") == "full" {
		return full
	}
	return short
}

// ticksPerSecond is USER_HZ, in which Linux gives times of processes.
const ticksPerSecond = 100

// cpuSeconds returns the CPU time of processes so far, user and system.
func cpuSeconds(t *testing.T, pids ...int) (sum float64) {
	t.Helper()
	for _, pid := range pids {
		content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(content), ") ") // the name may hold anything
		fields := strings.Fields(rest)
		for _, at := range []int{11, 12} { // utime, stime
			ticks, err := strconv.ParseFloat(fields[at], 64)
			if err != nil {
				t.Fatal(err)
			}
			sum += ticks / ticksPerSecond
		}
	}
	return sum
}

// peakMiB returns the sum of the processes' peak resident memory so far.
func peakMiB(t *testing.T, pids ...int) (sum float64) {
	t.Helper()
	for _, pid := range pids {
		content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(content)) {
			if text, ok := strings.CutPrefix(line, "VmHWM:"); ok {
				kb, err := strconv.ParseFloat(strings.Fields(text)[0], 64)
				if err != nil {
					t.Fatal(err)
				}
				sum += kb / 1024
			}
		}
	}
	return sum
}

// childNamed finds a child process whose program name has the given prefix.
func childNamed(t *testing.T, name string) int {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		content, err := os.ReadFile(path)
		if err != nil {
			continue // the process has ended
		}
		head, rest, ok := strings.Cut(string(content), ") ")
		if fields := strings.Fields(rest); ok && len(fields) > 1 && fields[1] == strconv.Itoa(os.Getpid()) {
			id, comm, _ := strings.Cut(head, " (")
			if pid, err := strconv.Atoi(id); err == nil && strings.HasPrefix(comm, name) {
				return pid
			}
		}
	}
	t.Fatalf("no process of ours is named %s...", name)
	return 0
}

func processIDs(processes []*cluster.Process) (all []int) {
	for _, p := range processes {
		all = append(all, p.Pid())
	}
	return all
}

// describeMachine returns the time, the commit and the machine in one paragraph.
func describeMachine(t *testing.T) string {
	t.Helper()
	model := "unknown processor"
	if content, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(content)) {
			if _, value, ok := strings.Cut(line, ": "); ok && strings.HasPrefix(line, "model name") {
				model = strings.TrimSpace(value)
			}
		}
	}
	return fmt.Sprintf("%s, commit %s, %s, %d cores of %s; load of the machine at the start: %s.",
		time.Now().UTC().Format("2006-01-02 15:04 MST"), report.Commit(), runtime.Version(), runtime.NumCPU(), model, loadAverage())
}

func loadAverage() string {
	content, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(content))[:3], " ")
}

// diskWatch measures the disk under a folder during a run: writes of 2 KiB,
// each synced, like etcd's WAL.
type diskWatch struct {
	stop  chan struct{}
	ended chan []time.Duration
}

func watchDisk(t *testing.T, folder string) *diskWatch {
	t.Helper()
	file, err := os.Create(filepath.Join(folder, "fsync-probe"))
	if err != nil {
		t.Fatal(err)
	}
	d := &diskWatch{make(chan struct{}), make(chan []time.Duration, 1)}
	go func() {
		defer file.Close()
		var took []time.Duration
		block := make([]byte, 2048)
		for {
			select {
			case <-d.stop:
				d.ended <- took
				return
			case <-time.After(50 * time.Millisecond):
			}
			if _, err := file.Write(block); err != nil {
				continue // a full disk shows everywhere else
			}
			begin := time.Now()
			if syscall.Fdatasync(int(file.Fd())) == nil {
				took = append(took, time.Since(begin))
			}
		}
	}()
	return d
}

// stopAndReport ends the watch and returns p50 and p99 of fdatasync.
func (d *diskWatch) stopAndReport() (p50, p99 time.Duration) {
	close(d.stop)
	took := <-d.ended
	return quantile(took, 0.5), quantile(took, 0.99)
}

// quantile sorts in place; without values it returns 0.
func quantile(all []time.Duration, q float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(int(float64(len(all))*q), len(all)-1)]
}

func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	s := slices.Clone(all)
	slices.Sort(s)
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
