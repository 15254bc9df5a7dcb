//go:build integration

package integration

import (
	"fmt"
	"testing"
	"time"

	"github.com/zonewise/zonewise/test/testenv/cluster"
)

// The longest pauses allowed for producers (issue 3, done-when 4).
const (
	limitCrash   = 5 * time.Second
	s3Down       = 5 * time.Second
	limitS3      = s3Down + 5*time.Second
	limitRolling = time.Second
)

func TestNothingAcknowledgedIsLostWithInline(t *testing.T) { runChaos(t, "inline", nil) }

func TestNothingAcknowledgedIsLostWithoutInline(t *testing.T) {
	runChaos(t, "objects", map[string]string{"inline-rate": "0"})
}

// runChaos runs 12 idempotent producers with 5 MB/s through five broker crashes, the
// loss of etcd's leader and of S3, and a rolling restart.
func runChaos(t *testing.T, label string, broker map[string]string) {
	c := cluster.Start(t, cluster.Options{Broker: broker})
	createTopic(t, c, "chaos", 12, nil)
	l := startLoad(t, c, loadOptions{topic: "chaos", partitions: 12, perFamily: 6, bytesPerSec: 5e6, recordBytes: 1024, allZones: true})
	calm := testLength(7*time.Second, 20*time.Second) // the effects of one disturbance end before the next
	time.Sleep(calm)
	var windows []window
	during := func(what string, limit time.Duration, do func()) {
		w := window{what: what, from: time.Now(), limit: limit}
		do()
		time.Sleep(calm)
		w.to = time.Now()
		windows = append(windows, w)
		t.Logf("%s: %s took %v", label, what, w.to.Sub(w.from).Round(time.Millisecond))
	}
	during("undisturbed", 0, func() {})
	for i := range 5 {
		during(fmt.Sprintf("kill -9 of broker %d", i%3), limitCrash, func() { restartBroker(c, i%3) })
	}
	during("kill -9 of etcd's leader", limitCrash, func() { loseEtcdLeader(t, c) })
	during("compaction, defragmentation, a new member in place of one", limitCrash, func() { maintainEtcd(t, c) })
	during("S3 down for 5 s", limitS3, func() {
		c.S3.Stop()
		time.Sleep(s3Down)
		c.S3.Restart()
	})
	during("rolling SIGTERM", limitRolling, func() {
		for i, p := range c.Brokers {
			took, err := p.Terminate()
			if err != nil {
				t.Errorf("broker %d ended with %v on SIGTERM", i, err)
			}
			printMeasured(t, "%s: drain of broker %d under load: %d ms", label, i, took.Milliseconds())
			p.Start()
			c.Ready(p)
		}
	})
	l.stopProducers(t)
	l.checkPauses(t, label, windows)
	verifyTopic(t, c, "chaos", l)
}

// restartBroker kills a broker and restarts it after a second.
func restartBroker(c *cluster.Cluster, i int) {
	c.Brokers[i].Kill()
	time.Sleep(time.Second)
	c.Brokers[i].Start()
	c.Ready(c.Brokers[i])
}

// maintainEtcd does to etcd what operators do (promise 4): compaction and
// defragmentation of every member, and a new member, with an empty disk, in place
// of one that was lost.
func maintainEtcd(t *testing.T, c *cluster.Cluster) {
	if out, stderr, err := c.Run("repair", "nospace", "--etcd", c.EtcdURLs()); err != nil {
		t.Errorf("compact and defragment: %v\n%s%s", err, out, stderr)
	}
	c.ReplaceEtcd((c.EtcdLeader() + 1) % cluster.Zones)
}

func loseEtcdLeader(t *testing.T, c *cluster.Cluster) {
	leader := c.EtcdLeader()
	if leader < 0 {
		t.Error("etcd has no leader")
		return
	}
	c.Etcd[leader].Kill()
	time.Sleep(5 * time.Second)
	c.Etcd[leader].Start()
}
