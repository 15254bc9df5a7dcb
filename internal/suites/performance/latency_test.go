//go:build performance

package performance

import (
	"fmt"
	"testing"
	"time"

	"github.com/zonewise/zonewise/internal/testenv/cluster"
)

// A modest stream: 100 records a second of 1 KiB over 30 partitions, on three
// etcd members that sync their disk. Aim: p50 under 10 ms, p99 under 30 ms.
func TestModestStream(t *testing.T) {
	where := machine(t)
	c := cluster.Start(t, cluster.Options{})
	createTopic(t, c, "modest", 30)
	stream := load{topic: "modest", partitions: 30, perSecond: 100, size: oneKiB}
	stream.run(t, c, 3*time.Second) // connections, producer ids
	d := watchDisk(t, c.Folder)
	before := cpuSeconds(t, append(pids(c.Brokers), pids(c.Etcd)...)...)
	long := length(time.Minute, 5*time.Minute)
	acks := tooks(stream.run(t, c, long))
	used := cpuSeconds(t, append(pids(c.Brokers), pids(c.Etcd)...)...) - before
	disk50, disk99 := d.result()
	p50, p99 := quantile(acks, 0.5), quantile(acks, 0.99)
	publish(t, "modest stream", fmt.Sprintf(`%s

| 100 records/s of 1 KiB, 30 partitions, 3 brokers, 3 etcd members on one disk | aim | measured in %v | |
|---|---|---|---|
| produce acks=all, p50 | < 10 ms | %.1f ms | %s |
| produce acks=all, p99 | < 30 ms | %.1f ms | %s |
| the same disk's fdatasync meanwhile, p50 / p99 | | %.1f / %.1f ms | |
| processor, all brokers and etcd members | | %.1f %% of one core | |
`, where, long, ms(p50), verdict(p50 < 10*time.Millisecond), ms(p99), verdict(p99 < 30*time.Millisecond), ms(disk50), ms(disk99), used/long.Seconds()*100))
}
