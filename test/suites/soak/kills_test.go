//go:build soak

package soak

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// The topics under retention.
const (
	killEvery = 20 * time.Second
	// firstDeletion is when something must have been deleted: retention, two recovery
	// bases and the grace come before.
	firstDeletion = 90 * time.Second
	deleteEvery   = time.Minute
	trimKeeps     = 300 // records of a partition: five seconds
)

func smallTopics() (bySize, byAge, trimmed retainedTopic) {
	return retainedTopic{name: "by-size", partitions: 6, bytes: 8 << 20},
		retainedTopic{name: "by-age", partitions: 2, age: time.Minute},
		retainedTopic{name: "trimmed", partitions: 3, trimmed: true}
}

// createSmall creates the three topics, and returns their streams.
func (r *rig) createSmall() (topics []retainedTopic, streams []stream) {
	bySize, byAge, trimmed := smallTopics()
	r.createTopic(bySize.name, bySize.partitions, map[string]string{"retention.bytes": strconv.FormatInt(bySize.bytes, 10), "retention.ms": "-1"})
	// In a lane of its own: an object is as old as the oldest record in it, and a minute
	// of flat-out objects is too much for the disk.
	r.createTopic(byAge.name, byAge.partitions, map[string]string{"retention.ms": strconv.FormatInt(byAge.age.Milliseconds(), 10), "zonewise.latency": "low"})
	r.createTopic(trimmed.name, trimmed.partitions, map[string]string{"retention.ms": "-1"})
	return []retainedTopic{bySize, byAge, trimmed}, []stream{
		{topic: bySize.name, partitions: bySize.partitions, recordBytes: 4096},
		{topic: byAge.name, partitions: byAge.partitions, recordBytes: 1024, bytesPerSec: 100e3},
		{topic: trimmed.name, partitions: trimmed.partitions, recordBytes: 1024, bytesPerSec: 200e3}}
}

// deleteRecords calls DeleteRecords and returns the low watermarks.
func (r *rig) deleteRecords(ctx context.Context, upTo map[TopicPartition]int64) (map[TopicPartition]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	offsets := kadm.Offsets{}
	for tp, offset := range upTo {
		offsets.AddOffset(tp.Topic, tp.Partition, offset, -1)
	}
	got, err := r.admin.DeleteRecords(ctx, offsets)
	if err == nil {
		err = got.Error()
	}
	if err != nil {
		return nil, err
	}
	low := map[TopicPartition]int64{}
	got.Each(func(d kadm.DeleteRecordsResponse) { low[TopicPartition{d.Topic, d.Partition}] = d.LowWatermark })
	return low, nil
}

// A broker is killed every 20 s under flat-out load and retention: each record in
// retention is read back, nothing is deleted early, and things are deleted in each
// minute.
func TestSoakWithKills(t *testing.T) {
	long := readDuration(t, "SOAK_DURATION", 2*time.Minute)
	r := startRig(t)
	topics, streams := r.createSmall()
	began := time.Now()
	l := r.startLoad(streams...)
	w := r.watch(topics...)
	w.trim(topics[2], trimKeeps, 3*time.Second)
	for n := 0; time.Since(began)+killEvery <= long; n++ {
		pause(t, killEvery-time.Second)
		i := n % len(r.c.Brokers)
		r.c.Brokers[i].Kill()
		pause(t, time.Second)
		r.c.Brokers[i].Start()
		r.c.Ready(r.c.Brokers[i])
		checkDisk(t)
		r.describeLoad(l, w, fmt.Sprintf("broker %d was killed and is back", i))
		r.takeProblems()
	}
	pause(t, max(0, long-time.Since(began)))
	w.countDeletions(t.Context())
	ended := time.Now()
	l.finish()
	r.describeLoad(l, w, "the load has ended")
	w.finish()
	r.checkDeletions(w, began, ended)
	r.checkRetained(w, nil)
	r.settle()
	r.takeProblems()
	r.verifyDeep()
	r.checkLogs()
}

// describeLoad prints a line of progress.
func (r *rig) describeLoad(l *load, w *watcher, what string) {
	r.t.Helper()
	acked, bytes, givenUp, longest := r.history.Totals()
	content, err := r.listBucket(r.t.Context())
	if err != nil {
		r.t.Error(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	r.say("%s: %d records (%d MiB) acknowledged, %d given up, longest pause %v; %d read back in %d sweeps; %.0f objects deleted; waited %v for the bucket: %v",
		what, acked, bytes>>20, givenUp, longest.Round(time.Millisecond), w.records, w.sweeps, w.deleted, time.Duration(l.waited.Load()).Round(time.Second), content)
}

// checkDeletions: objects are deleted in every minute.
func (r *rig) checkDeletions(w *watcher, began, ended time.Time) {
	r.t.Helper()
	w.mu.Lock()
	var first time.Time
	if len(w.times) > 0 {
		first = w.times[0]
	}
	w.mu.Unlock()
	if first.IsZero() || first.Sub(began) > firstDeletion {
		r.t.Errorf("nothing was deleted from the bucket in the first %v; held: %s", firstDeletion, r.describeHeld())
		return
	}
	longest := w.longestWithout(first, ended)
	r.say("the first deletion after %v, the longest time without one %v", first.Sub(began).Round(time.Second), longest.Round(time.Second))
	if longest > deleteEvery {
		r.t.Errorf("nothing was deleted from the bucket for %v; held: %s", longest.Round(time.Second), r.describeHeld())
	}
}

// checkRetained reads everything once more after the load, and checks that retention has
// left what it must, and no more. prepare, where not nil, changes a sweep before it reads.
func (r *rig) checkRetained(w *watcher, prepare func(*Sweep)) {
	r.t.Helper()
	for _, topic := range w.topics {
		if topic.bytes == 0 {
			w.sweepTopic(r, topic, prepare)
			continue
		}
		r.awaitSize(w, topic, prepare)
		for p := range topic.partitions {
			tp := TopicPartition{topic.name, p}
			w.mu.Lock()
			n, start := w.measured[tp], w.starts[tp]
			w.mu.Unlock()
			if n == 0 {
				r.t.Errorf("%v: no sweep measured what retention.bytes leaves; its log start is %d", tp, start)
			}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	r.say("%d records were read back in %d sweeps", w.records, w.sweeps)
}

func (w *watcher) sweepTopic(r *rig, topic retainedTopic, prepare func(*Sweep)) (sweeps []*Sweep) {
	r.t.Helper()
	for p := range topic.partitions {
		if s := w.sweepPartition(r.t.Context(), topic, TopicPartition{topic.name, p}, prepare); s != nil {
			sweeps = append(sweeps, s)
		}
	}
	return sweeps
}

// awaitSize waits until retention.bytes is enforced on each partition of a topic: what is
// left without the first span is below it.
func (r *rig) awaitSize(w *watcher, topic retainedTopic, prepare func(*Sweep)) {
	r.t.Helper()
	const (
		patience = 30 * time.Second
		mostSpan = 4 << 20
	)
	began := time.Now()
	for {
		large := 0
		sweeps := w.sweepTopic(r, topic, prepare)
		for _, s := range sweeps {
			if _, bytes, _ := s.Totals(); bytes > topic.bytes+mostSpan {
				large++
			}
		}
		if large == 0 {
			return
		}
		if time.Since(began) > patience {
			for _, s := range sweeps {
				s.CheckBytesAtMost(topic.bytes, mostSpan)
			}
			return
		}
		pause(r.t, 2*time.Second)
	}
}
