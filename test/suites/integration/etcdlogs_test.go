//go:build integration

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zonewise/zonewise/test/testenv/cluster"
)

// loudLines returns the warnings and errors of a broker after a position in its log.
func loudLines(p *cluster.Process, after int) (all []string) {
	for line := range strings.Lines(p.Tail(8 << 20)[after:]) {
		if strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR") {
			all = append(all, line)
		}
	}
	return all
}

// A lost etcd is reported in at most one line a second, which names it.
func TestALostEtcdIsSaidOnceASecond(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	time.Sleep(8 * time.Second) // brokers use the members of their zones, groups are stable
	outage := testLength(12*time.Second, 20*time.Second)
	for what, do := range map[string]func(on bool){
		"killed": func(on bool) {
			for _, p := range c.Etcd {
				if on {
					p.Kill()
				} else {
					p.Start()
				}
			}
		},
		"stopped": func(on bool) {
			for _, p := range c.Etcd {
				if on {
					p.Pause()
				} else {
					p.Resume()
				}
			}
		},
	} {
		var before [cluster.Zones]int
		for z, p := range c.Brokers {
			before[z] = len(p.Tail(8 << 20))
		}
		do(true)
		time.Sleep(outage)
		for z, p := range c.Brokers {
			all := loudLines(p, before[z])
			printMeasured(t, "etcd %s for %v: broker %d logged %d lines", what, outage, z, len(all))
			text := strings.Join(all, "")
			if len(all) > int(outage/time.Second) || strings.Contains(text, "rpc error") {
				t.Errorf("broker %d logged %d lines in %v:\n%s", z, len(all), outage, text)
			}
			for _, want := range []string{"etcd is not reachable", c.EtcdURL(0), c.EtcdURL(2), "stands_still", "goes_on", "docs/operations.md"} {
				if !strings.Contains(text, want) {
					t.Errorf("broker %d does not say %q:\n%s", z, want, text)
				}
			}
		}
		do(false)
		for _, p := range c.Brokers {
			c.Ready(p)
		}
		time.Sleep(10 * time.Second)
		if text := c.Brokers[0].Tail(8 << 20)[before[0]:]; !strings.Contains(text, "etcd serves again") {
			t.Errorf("broker 0 does not say that etcd serves again:\n%s", text)
		}
	}
}

// A member whose disk is full ends with a line that reports it, and its zone continues
// with the others.
func TestAnEtcdMemberWhoseDiskIsFullSaysSo(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	const z = 0
	c.Etcd[z].Kill()
	_ = mountOwnDisk(t, c.EtcdData(z))
	c.Etcd[z].Start()
	time.Sleep(3 * time.Second)
	i := startHungTest(t, c)
	fill := filepath.Join(c.EtcdData(z), "..fill")
	i.hangMember("a member's disk is full", z, func(int) {
		// Allocated and not written: the other members use the same physical disk.
		script := fmt.Sprintf("fallocate -l $(($(df --output=avail -B1 %[1]s | tail -1) - 1000000)) %[2]s", c.EtcdData(z), fill)
		if out, err := exec.Command("sh", "-c", script).CombinedOutput(); err != nil {
			t.Errorf("fill the disk: %v: %s", err, out)
		}
		_ = c.Etcd[z].Await(time.Minute)
		text := c.Etcd[z].Tail(1 << 20)
		if n := strings.Count(text, "is full"); n != 1 || !strings.Contains(text, "free some space and restart it") || strings.Contains(text, "goroutine ") || strings.Contains(text, "%!w") {
			t.Errorf("it logged that %d times:\n%s", n, text)
		}
		if err := os.Remove(fill); err != nil {
			t.Error(err)
		}
		c.Etcd[z].Start()
	})
	i.checkResult()
}
