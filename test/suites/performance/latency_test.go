//go:build performance

package performance

import (
	"fmt"
	"testing"
	"time"

	"github.com/zonewise/zonewise/test/testenv/cluster"
)

// A modest stream: 100 records a second of 1 KiB over 30 partitions, on three
// etcd members that sync their disk. Aim: p50 under 10 ms, p99 under 30 ms.
func TestModestStream(t *testing.T) {
	where := describeMachine(t)
	c := cluster.Start(t, cluster.Options{})
	createTopic(t, c, "modest", 30)
	stream := load{topic: "modest", partitions: 30, perSecond: 100, size: oneKiB}
	stream.runLoad(t, c, 3*time.Second) // connections, producer ids
	d := watchDisk(t, c.Folder)
	before := cpuSeconds(t, append(processIDs(c.Brokers), processIDs(c.Etcd)...)...)
	long := testLength(time.Minute, 5*time.Minute)
	acks := ackLatencies(stream.runLoad(t, c, long))
	used := cpuSeconds(t, append(processIDs(c.Brokers), processIDs(c.Etcd)...)...) - before
	disk50, disk99 := d.stopAndReport()
	p50, p99 := quantile(acks, 0.5), quantile(acks, 0.99)
	publishSection(t, "modest stream", fmt.Sprintf(`%s

| 100 records/s of 1 KiB, 30 partitions, 3 brokers, 3 etcd members on one disk | aim | measured in %v | |
|---|---|---|---|
| produce acks=all, p50 | < 10 ms | %.1f ms | %s |
| produce acks=all, p99 | < 30 ms | %.1f ms | %s |
| fdatasync of the same disk during the run, p50 / p99 | | %.1f / %.1f ms | |
| CPU, all brokers and etcd members | | %.1f %% of one core | |
`, where, long, millis(p50), verdictText(p50 < 10*time.Millisecond), millis(p99), verdictText(p99 < 30*time.Millisecond), millis(disk50), millis(disk99), used/long.Seconds()*100))
}
