//go:build differential

package differential

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/zonewise/zonewise/internal/testenv/cluster"
	"github.com/zonewise/zonewise/internal/testenv/kafkaoracle"
)

const (
	startPatience = 2 * time.Minute
	devPorts      = 34 // that dev takes, from its own on
	rack          = "dev-a"
)

// startKafka runs one broker that is as zonewise is: the same rack and broker
// id, and no wait for further members of a group.
func startKafka(t *testing.T) string {
	t.Helper()
	k := kafkaoracle.Start(t, kafkaoracle.Options{FromZero: true, Properties: map[string]string{
		"broker.rack": rack, "group.initial.rebalance.delay.ms": "0",
		"group.consumer.min.heartbeat.interval.ms": "5000",
	}})
	return k.Bootstrap[0]
}

// startZonewise runs one broker and returns its address.
func startZonewise(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	program, err := cluster.Program(folder)
	if err != nil {
		t.Fatal(err)
	}
	port := freePorts(t)
	log, err := os.Create(filepath.Join(folder, "dev.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	c := exec.Command(program, "dev", "--zones", "1", "--data-dir", filepath.Join(folder, "data"), "--kafka-port", strconv.Itoa(port),
		"--http-port", strconv.Itoa(port+devPorts), "--group-initial-rebalance-delay", "0s")
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + folder}
	c.Stdout, c.Stderr = log, log
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }() // received below or by the cleanup
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM) // it may be gone
		select {
		case <-ended:
		case <-time.After(30 * time.Second):
			_ = c.Process.Kill()
			<-ended
		}
		if t.Failed() {
			tail, _ := os.ReadFile(log.Name()) // nothing to show, then
			t.Logf("zonewise's log ends:\n%s", tail[max(0, len(tail)-3000):])
		}
	})
	for deadline := time.Now().Add(startPatience); ; time.Sleep(100 * time.Millisecond) {
		resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz", port+devPorts))
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return fmt.Sprintf("127.0.0.1:%d", port)
			}
		}
		select {
		case how := <-ended:
			ended <- how
			t.Fatalf("zonewise dev ended: %v", how)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("zonewise is not ready after %v: %v", startPatience, err)
		}
	}
}

// freePorts finds a port behind which dev's others are free too.
func freePorts(t *testing.T) int {
	t.Helper()
	for base := 21000 + os.Getpid()%200*50; base < 60000; base += 50 {
		free := true
		for p := base; p <= base+devPorts && free; p++ {
			ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
			if free = err == nil; free {
				ln.Close()
			}
		}
		if free {
			return base
		}
	}
	t.Fatal("no 35 free ports in a row")
	return 0
}
