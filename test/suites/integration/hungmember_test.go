//go:build integration

package integration

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonewise/zonewise/test/testenv/cluster"
)

// limitHung is the longest pause allowed for producers while an etcd member is unhealthy.
const limitHung = 3 * time.Second

// hangDuration is how long it is unhealthy.
func hangDuration() time.Duration { return testLength(10*time.Second, 20*time.Second) }

// A hung etcd member accepts connections and does not respond. The brokers of its
// zone switch to another one, and back when it is healthy.
func TestAHungEtcdMemberPausesItsZoneBriefly(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	i := startHungTest(t, c)
	leader := c.EtcdLeader()
	i.hangMember("a follower stopped", (leader+1)%cluster.Zones, func(z int) {
		c.Etcd[z].Pause()
		time.Sleep(hangDuration())
		c.Etcd[z].Resume()
	})
	i.hangMember("the leader stopped", leader, func(z int) {
		c.Etcd[z].Pause()
		time.Sleep(hangDuration())
		c.Etcd[z].Resume()
	})
	i.checkResult()
}

// A member whose responses are two seconds late.
func TestASlowEtcdMemberPausesItsZoneBriefly(t *testing.T) {
	var doors [cluster.Zones]*delayProxy
	var list []string
	for z := range doors {
		doors[z] = startDelayProxy(t)
		list = append(list, fmt.Sprintf("use1-az%d=http://%s", z+1, doors[z].ln.Addr()))
	}
	c := cluster.Start(t, cluster.Options{NoBrokers: true, Flags: []string{"--etcd", strings.Join(list, ",")}})
	for z, d := range doors {
		u, err := url.Parse(c.EtcdURL(z))
		if err != nil {
			t.Fatal(err)
		}
		d.to.Store(&u.Host)
	}
	c.StartBrokers()
	i := startHungTest(t, c)
	i.hangMember("a member answers after 2 s", 0, func(z int) {
		doors[z].delay.Store(int64(time.Second)) // in each direction
		time.Sleep(hangDuration())
		doors[z].delay.Store(0)
	})
	i.checkResult()
}

// A member whose disk accepts no writes still answers requests that need no disk.
func TestAnEtcdMemberWithAStalledDiskPausesItsZoneBriefly(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	var stall [cluster.Zones]func()
	for z := range cluster.Zones {
		c.Etcd[z].Kill()
		stall[z] = mountOwnDisk(t, c.EtcdData(z))
		c.Etcd[z].Start()
		time.Sleep(3 * time.Second) // the next test needs it for its quorum
	}
	i := startHungTest(t, c)
	leader := c.EtcdLeader()
	i.hangMember("a follower's disk stalled", (leader+1)%cluster.Zones, func(z int) { stall[z]() })
	i.hangMember("the leader's disk stalled", leader, func(z int) { stall[z]() })
	i.checkResult()
}

// hungMemberTest is a load on a cluster with an unhealthy etcd member.
type hungMemberTest struct {
	t              *testing.T
	c              *cluster.Cluster
	l              *producerLoad
	windows        []window
	switchesBefore [cluster.Zones]int // number of switches before
}

func startHungTest(t *testing.T, c *cluster.Cluster) *hungMemberTest {
	createTopic(t, c, "ill", 12, nil)
	l := startLoad(t, c, loadOptions{topic: "ill", partitions: 12, perFamily: 6, bytesPerSec: 1e6, recordBytes: 1024})
	time.Sleep(5 * time.Second)
	i := &hungMemberTest{t: t, c: c, l: l}
	for z := range cluster.Zones {
		i.switchesBefore[z] = i.memberSwitches(z)
	}
	return i
}

// memberSwitches is how often the broker of a zone has switched to another member.
func (i *hungMemberTest) memberSwitches(z int) int {
	return strings.Count(i.c.Brokers[z].Tail(4<<20), "etcd member does not respond: switching to another one")
}

// hangMember makes the member of a zone unhealthy, and waits until its brokers use it
// again.
func (i *hungMemberTest) hangMember(what string, z int, do func(z int)) {
	i.t.Helper()
	w := window{what: fmt.Sprintf("%s, zone %d", what, z), from: time.Now(), limit: limitHung}
	do(z)
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(500 * time.Millisecond) {
		text := i.c.Brokers[z].Tail(1 << 20)
		if n := strings.LastIndex(text, "etcd member does not respond"); n < 0 || strings.Contains(text[n:], "switching back to the etcd member of this zone") {
			break
		}
		if time.Now().After(end) {
			i.t.Errorf("%s: the zone's broker has not come back to its member", what)
			break
		}
	}
	time.Sleep(3 * time.Second)
	w.to = time.Now()
	i.windows = append(i.windows, w)
}

func (i *hungMemberTest) checkResult() {
	i.t.Helper()
	i.l.stopProducers(i.t)
	i.l.checkPauses(i.t, "etcd", i.windows)
	for z := range cluster.Zones {
		if n := i.memberSwitches(z) - i.switchesBefore[z]; n > len(i.windows) {
			i.t.Errorf("the broker of zone %d switched its etcd member %d times; the member hung at most %d times", z, n, len(i.windows))
		}
	}
	verifyTopic(i.t, i.c, "ill", i.l)
}

// delayProxy forwards connections and delays their bytes in both directions.
type delayProxy struct {
	ln    net.Listener
	to    atomic.Pointer[string]
	delay atomic.Int64
}

func startDelayProxy(t *testing.T) *delayProxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &delayProxy{ln: ln}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", *d.to.Load())
			if err != nil {
				in.Close()
				continue
			}
			mu.Lock()
			open = append(open, in, out)
			mu.Unlock()
			wg.Go(func() { d.copyDelayed(in, out) })
			wg.Go(func() { d.copyDelayed(out, in) })
		}
	})
	return d
}

// copyDelayed copies from one to the other until one of them ends.
func (d *delayProxy) copyDelayed(from, to net.Conn) {
	type chunk struct {
		at    time.Time
		bytes []byte
	}
	queue := make(chan chunk, 10_000)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer to.Close()
		for c := range queue {
			time.Sleep(time.Until(c.at))
			if _, err := to.Write(c.bytes); err != nil {
				from.Close()
			}
		}
	})
	for {
		b := make([]byte, 32<<10)
		n, err := from.Read(b)
		if n > 0 {
			queue <- chunk{time.Now().Add(time.Duration(d.delay.Load())), b[:n]}
		}
		if err != nil {
			break
		}
	}
	close(queue)
	wg.Wait()
}

// mountOwnDisk moves a folder with its contents to a file system of its own, and
// returns a function that blocks writes to it for hangDuration.
func mountOwnDisk(t *testing.T, folder string) (stall func()) {
	t.Helper()
	image, earlier := folder+".img", folder+".earlier"
	run := func(args ...string) {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v (this needs root): %v: %s", args, err, out)
		}
	}
	if err := os.Rename(folder, earlier); err != nil {
		t.Fatal(err)
	}
	run("truncate", "-s", "1G", image)
	run("mkfs.ext4", "-q", "-m", "0", image)
	run("mkdir", "-p", folder)
	run("mount", "-o", "loop", image, folder)
	t.Cleanup(func() { _ = exec.Command("umount", "-l", folder).Run() }) // etcd has it open until the cluster is removed
	if err := os.CopyFS(folder, os.DirFS(earlier)); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		// One program freezes and thaws, so that a test that dies leaves nothing frozen.
		script := fmt.Sprintf("fsfreeze -f %[1]s && sleep %.0[2]f; fsfreeze -u %[1]s", folder, hangDuration().Seconds())
		if out, err := exec.Command("sh", "-c", script).CombinedOutput(); err != nil {
			t.Errorf("freeze %s: %v: %s", folder, err, out)
		}
	}
}
