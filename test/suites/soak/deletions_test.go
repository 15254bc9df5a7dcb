//go:build soak

package soak

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	largeRecord     = 1<<20 - 1024 // a batch of 1 MiB
	trimPartitions  = 300
	longestApply    = 5 * time.Millisecond
	applyHistogram  = "zonewise_apply_seconds"
	deletedPatience = 2 * time.Minute
)

// A topic of SOAK_BYTES is deleted, and then the records of 300 partitions, each with
// many spans: no entry stops apply for more than 5 ms, and the bytes leave the bucket
// after the grace.
func TestLargeDeletions(t *testing.T) {
	size := readNumber(t, "SOAK_BYTES", 2<<30)
	filling := readDuration(t, "SOAK_DURATION", time.Minute)
	r := startRig(t)
	before, err := r.listBucket(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.createTopic("large", 30, map[string]string{"retention.ms": "-1"})
	r.fillTopic(size)
	full, err := r.listBucket(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.say("written: %v", full)
	if full.bytes-before.bytes < size {
		t.Errorf("%d bytes were written, and the bucket grew by %d", size, full.bytes-before.bytes)
	}
	applied := r.appliedOver(longestApply)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := r.admin.DeleteTopic(ctx, "large"); err != nil {
		t.Fatalf("delete topic: %v", err)
	}
	r.awaitFreed("the topic was deleted", full.bytes-before.bytes-size/100)
	r.checkApplied("DeleteTopics", applied)

	r.createTopic("many", trimPartitions, map[string]string{"retention.ms": "-1"})
	r.fillPartitions(filling)
	full, err = r.listBucket(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.scrape(0)
	if err != nil {
		t.Fatal(err)
	}
	r.say("%d partitions filled with %.0f spans: %v", trimPartitions, m.Sum("zonewise_limit_used", `limit="spans"`), full)
	applied = r.appliedOver(longestApply)
	began := time.Now()
	all := map[TopicPartition]int64{}
	for _, tp := range r.history.Partitions() {
		all[tp] = r.history.End(tp)
	}
	low, err := r.deleteRecords(t.Context(), all)
	if err != nil {
		t.Fatalf("delete records: %v", err)
	}
	for tp, offset := range all {
		if low[tp] != offset {
			t.Errorf("%v: DeleteRecords up to %d says that the log start is %d", tp, offset, low[tp])
		}
	}
	r.say("DeleteRecords of %d partitions answered after %v", len(all), time.Since(began).Round(time.Millisecond))
	r.settle()
	r.checkApplied("DeleteRecords", applied)
	if content, err := r.listBucket(t.Context()); err != nil || content.classes["wal"] > 0 {
		t.Errorf("after DeleteRecords of everything and the grace: %v, %v", content, err)
	}
	r.takeProblems()
	r.verifyDeep()
	r.checkLogs()
}

// fillTopic writes records of 1 MiB to topic large.
func (r *rig) fillTopic(size int64) {
	r.t.Helper()
	client := r.newClient("filler", kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerBatchMaxBytes(1<<20), kgo.MaxBufferedBytes(64<<20))
	defer client.Close()
	began, told := time.Now(), time.Now()
	for n := int64(0); n*largeRecord < size; n++ {
		id := RecordID{0, int32(n % 30), n / 30}
		client.Produce(r.t.Context(), &kgo.Record{Topic: "large", Partition: id.Partition, Value: r.source.Value(id, largeRecord)}, func(_ *kgo.Record, err error) {
			if err != nil {
				r.history.Report("write %v: %v", id, err)
			}
		})
		if time.Since(told) > 10*time.Second {
			told = time.Now()
			r.say("%d of %d MiB", n*largeRecord>>20, size>>20)
			checkDisk(r.t)
			pause(r.t, 0)
		}
	}
	if err := client.Flush(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	r.takeProblems()
	r.say("%d MiB written in %v", size>>20, time.Since(began).Round(time.Second))
}

// fillPartitions writes single records to all partitions of topic many, again and again:
// most become spans of their own.
func (r *rig) fillPartitions(long time.Duration) {
	r.t.Helper()
	l := r.startLoad(stream{topic: "many", partitions: trimPartitions, recordBytes: 200, bytesPerSec: 4e6, options: []kgo.Opt{kgo.MaxProduceRequestsInflightPerBroker(1)}})
	for began := time.Now(); time.Since(began) < long; {
		pause(r.t, min(10*time.Second, long))
		acked, _, _, _ := r.history.Totals()
		r.say("%d records written", acked)
	}
	l.finish()
	r.takeProblems()
}

// awaitFreed waits until the bucket is smaller by that many bytes.
func (r *rig) awaitFreed(what string, freed int64) {
	r.t.Helper()
	began := time.Now()
	from, err := r.listBucket(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	for {
		now, err := r.listBucket(r.t.Context())
		if err != nil {
			r.t.Fatal(err)
		}
		took := time.Since(began)
		if from.bytes-now.bytes >= freed {
			r.say("%v after %s %d MiB are gone: %v", took.Round(time.Second), what, (from.bytes-now.bytes)>>20, now)
			return
		}
		if took > deletedPatience {
			r.t.Errorf("%v after %s %d bytes are gone, %d should be; held: %s", took.Round(time.Second), what, from.bytes-now.bytes, freed, r.describeHeld())
			return
		}
		pause(r.t, time.Second)
	}
}

// applyCounts are, for each broker, how many entries took longer than a bound, and how
// many were applied.
type applyCounts []struct {
	over, all float64
	exported  bool
}

// appliedOver reads the brokers' histograms of apply.
func (r *rig) appliedOver(bound time.Duration) applyCounts {
	r.t.Helper()
	counts := make(applyCounts, len(r.c.Brokers))
	for i := range r.c.Brokers {
		m, err := r.scrape(i)
		if err != nil {
			r.t.Fatalf("broker %d: %v", i, err)
		}
		below := -1.0
		for key, v := range m {
			if text, ok := strings.CutPrefix(key, applyHistogram+`_bucket{le="`); ok {
				if le, err := strconv.ParseFloat(strings.TrimSuffix(text, `"}`), 64); err == nil && le <= bound.Seconds()*1.001 {
					below = max(below, v) // of the buckets up to the bound the largest counts
				}
			}
		}
		counts[i].all = m.Sum(applyHistogram + "_count")
		counts[i].over = counts[i].all - below
		counts[i].exported = below >= 0
	}
	return counts
}

// checkApplied compares the histograms with those before.
func (r *rig) checkApplied(what string, before applyCounts) {
	r.t.Helper()
	for i, now := range r.appliedOver(longestApply) {
		if !now.exported {
			r.t.Logf("broker %d does not export %s yet: how long apply took is not judged", i, applyHistogram)
			continue
		}
		text := fmt.Sprintf("%s: broker %d applied %.0f entries, of which %.0f took longer than %v", what, i, now.all-before[i].all, now.over-before[i].over, longestApply)
		r.say("%s", text)
		if now.over > before[i].over {
			r.t.Error(text)
		}
	}
}
