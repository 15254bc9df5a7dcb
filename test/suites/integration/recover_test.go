//go:build integration

package integration

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/zonewise/zonewise/test/testenv/cluster"
)

func TestRecoverBringsBackEverythingUpToTheLastArchive(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	createTopic(t, c, "lost", 6, nil)
	first := startLoad(t, c, loadOptions{topic: "lost", partitions: 6, perFamily: 3, bytesPerSec: 2e6, recordBytes: 1024})
	time.Sleep(testLength(15*time.Second, 45*time.Second))
	committed := commitSome(t, c, "lost", "readers")
	began := time.Now() // everything acknowledged before must be archived before the loss
	time.Sleep(testLength(25*time.Second, 40*time.Second))

	lost := time.Now()
	for _, p := range c.Etcd {
		p.Kill()
	}
	for z := range cluster.Zones {
		if err := os.RemoveAll(c.EtcdData(z)); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(2 * time.Second) // the load continues, and nothing is acknowledged
	for _, p := range c.Brokers {
		p.Kill()
	}
	for _, p := range c.Etcd {
		p.Start()
	}
	out, stderr, err := c.Run("recover", "--from", c.Bucket(), "--etcd", c.EtcdURLs())
	if err != nil {
		t.Fatalf("zonewise recover: %v: %s\n%s", err, stderr, out)
	}
	t.Logf("zonewise recover printed:\n%s", out)
	c.StartBrokers()
	back := time.Now()
	printMeasured(t, "etcd lost at 0 s, recovered and serving at %.1f s", back.Sub(lost).Seconds())
	goesOn := recoveredEnds(t, out, "lost")
	time.Sleep(testLength(8*time.Second, 20*time.Second)) // existing producers continue
	first.stopProducers(t)
	second := startLoad(t, c, loadOptions{topic: "lost", partitions: 6, perFamily: 3, bytesPerSec: 2e6, recordBytes: 1024, first: 1_000_000})
	time.Sleep(testLength(5*time.Second, 20*time.Second))
	second.stopProducers(t)
	checkRecovery(t, c, recoveryCheck{began: began, lost: lost, ends: goesOn, loads: []*producerLoad{first, second}})
	for tp, want := range committed {
		if got := committedOffsets(t, c, "readers", "lost")[tp]; got != want {
			t.Errorf("group readers has offset %d of partition %d, committed was %d", got, tp, want)
		}
	}
}

// recoveryCheck is the input of a check after a loss of etcd.
type recoveryCheck struct {
	began, lost time.Time
	ends        map[int32][2]int64 // per partition: the offset after the last recovered record, and the next offset
	loads       []*producerLoad
}

// checkRecovery compares the topic with the acknowledgements: those before began are
// there; of the later ones before the loss, exactly those below the recovered end;
// those after it are there, and no offset was assigned twice.
func checkRecovery(t *testing.T, c *cluster.Cluster, r recoveryCheck) {
	t.Helper()
	type place struct {
		partition int32
		offset    int64
	}
	want := map[place]recordID{}
	tail, kept := 0, 0
	for _, l := range r.loads {
		for _, name := range l.names {
			for _, a := range l.readAcks(t, name) {
				at := place{a.partition, a.offset}
				end := r.ends[a.partition]
				switch {
				case a.offset < 0:
					continue
				case a.ended.Before(r.began) && a.offset >= end[0]:
					t.Errorf("offset %d of partition %d was acknowledged %v before the loss and is not recovered", a.offset, a.partition, r.lost.Sub(a.ended))
				case a.ended.Before(r.lost.Add(time.Second)) && a.offset >= end[0]:
					tail++ // lost with etcd, after the last archive
					if a.offset >= end[1] {
						t.Errorf("offset %d of partition %d was given out in the lost tail, and the partition goes on at %d", a.offset, a.partition, end[1])
					}
					continue
				}
				if other, twice := want[at]; twice {
					t.Errorf("offset %d of partition %d was given to %v and to %s/%d", a.offset, a.partition, other, name, a.seq)
				}
				want[at] = recordID{name, a.seq}
				kept++
			}
		}
	}
	readSparse(t, c, 2, "lost", func(rec *kgo.Record) {
		w, _, err := parseValue(rec.Value)
		if err != nil {
			t.Errorf("partition %d at %d: %v", rec.Partition, rec.Offset, err)
		}
		at := place{rec.Partition, rec.Offset}
		if expect, acked := want[at]; acked && expect != w {
			t.Errorf("partition %d at %d: %v, acknowledged to %v", rec.Partition, rec.Offset, w, expect)
		}
		delete(want, at)
	})
	if len(want) > 0 {
		t.Errorf("%d acknowledged records before the last archive, or after the recovery, are not there", len(want))
	}
	printMeasured(t, "recovery: %d acknowledged records are there, %d acknowledged after the last archive are lost with etcd", kept, tail)
}

// readSparse reads a topic in which offsets may jump, up to its current ends.
func readSparse(t *testing.T, c *cluster.Cluster, z int, topic string, seen func(*kgo.Record)) {
	t.Helper()
	ends := endOffsets(t, c, topic)
	k := newClient(t, c, z, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer k.Close()
	last := map[int32]int64{}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	for quiet := 0; quiet < 3; {
		pctx, stop := context.WithTimeout(ctx, 2*time.Second)
		fetches := k.PollFetches(pctx)
		stop()
		if ctx.Err() != nil {
			t.Fatalf("read %s: at %v of %v", topic, last, ends)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset < last[r.Partition] {
				t.Errorf("read %s/%d: offset %d after %d", topic, r.Partition, r.Offset, last[r.Partition]-1)
			}
			last[r.Partition] = r.Offset + 1
			seen(r)
		})
		done := true
		for p, end := range ends {
			done = done && last[p] >= end
		}
		if done {
			return
		}
		if fetches.NumRecords() == 0 {
			quiet++
		}
	}
	t.Errorf("read %s: it ends at %v, the ends are %v", topic, last, ends)
}

// recoveredEnds reads the offsets per partition from the output of `zonewise recover`.
func recoveredEnds(t *testing.T, out, topic string) map[int32][2]int64 {
	t.Helper()
	ends := map[int32][2]int64{}
	line := regexp.MustCompile(`(?m)^` + topic + `\s+(\d+)\s+(\d+)\s+(\d+|none)\s+(\d+)\s*$`)
	for _, m := range line.FindAllStringSubmatch(out, -1) {
		partition, _ := strconv.Atoi(m[1])
		last := int64(-1)
		if m[3] != "none" {
			last, _ = strconv.ParseInt(m[3], 10, 64)
		}
		on, _ := strconv.ParseInt(m[4], 10, 64)
		ends[int32(partition)] = [2]int64{last + 1, on}
	}
	if len(ends) == 0 {
		t.Fatalf("recover does not report %s:\n%s", topic, out)
	}
	return ends
}

// commitSome commits half of each partition for a group.
func commitSome(t *testing.T, c *cluster.Cluster, topic, group string) map[int32]int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	offsets, out := kadm.Offsets{}, map[int32]int64{}
	for p, end := range endOffsets(t, c, topic) {
		offsets.AddOffset(topic, p, end/2, -1)
		out[p] = end / 2
	}
	if err := kadm.NewClient(newClient(t, c, 0)).CommitAllOffsets(ctx, group, offsets); err != nil {
		t.Fatalf("commit: %v", err)
	}
	return out
}

func committedOffsets(t *testing.T, c *cluster.Cluster, group, topic string) map[int32]int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	all, err := kadm.NewClient(newClient(t, c, 0)).FetchOffsets(ctx, group)
	if err != nil {
		t.Fatalf("fetch offsets: %v", err)
	}
	out := map[int32]int64{}
	all.Each(func(o kadm.OffsetResponse) {
		if o.Topic == topic {
			out[o.Partition] = o.At
		}
	})
	return out
}

func TestAnOlderEtcdIsRefused(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	createTopic(t, c, "older", 1, nil)
	k := newClient(t, c, 0)
	produce := func(n int) {
		for i := range n {
			if err := k.ProduceSync(t.Context(), &kgo.Record{Topic: "older", Value: fmt.Appendf(nil, "%d", i)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	produce(50)
	// A copy of the members' data is a backup; then two extents are archived.
	for _, p := range c.Etcd {
		p.Kill()
	}
	for z := range cluster.Zones {
		if err := os.CopyFS(c.EtcdData(z)+".old", os.DirFS(c.EtcdData(z))); err != nil {
			t.Fatal(err)
		}
		c.Etcd[z].Start()
	}
	produce(50)
	time.Sleep(25 * time.Second)
	for _, p := range append(c.Brokers, c.Etcd...) {
		p.Kill()
	}
	for z := range cluster.Zones {
		if err := os.RemoveAll(c.EtcdData(z)); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(c.EtcdData(z)+".old", c.EtcdData(z)); err != nil {
			t.Fatal(err)
		}
		c.Etcd[z].Start()
	}
	c.Brokers[0].Start()
	if err := c.Brokers[0].Await(40 * time.Second); err == nil || strings.Contains(err.Error(), "did not end") {
		t.Errorf("a broker on an etcd older than the bucket ended with %v", err)
	}
	if text := lastError(c.Brokers[0]); !strings.Contains(text, "recover") {
		t.Errorf("a broker on an etcd older than the bucket prints %q, without naming recover", text)
	} else {
		printMeasured(t, "on an older etcd a broker prints: %s", text)
	}
}
