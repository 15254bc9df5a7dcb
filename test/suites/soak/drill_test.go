//go:build soak

package soak

import (
	"context"
	"errors"
	"io"
	"os"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/zonewise/zonewise/test/testenv/cluster"
)

const (
	drillGroup = "drill"
	// mostLost is how old what recover brings back may be: two archives and a tick, on a
	// busy machine.
	mostLost = 60 * time.Second
)

// etcd's data is deleted under load, after retention and garbage collection have run:
// recover brings back every record and committed offset up to the point that it states.
func TestDisasterDrill(t *testing.T) {
	long := readDuration(t, "SOAK_DURATION", time.Minute)
	r := startRig(t)
	topics, streams := r.createSmall()
	began := time.Now()
	l := r.startLoad(streams...)
	w := r.watch(topics...)
	w.trim(topics[2], trimKeeps, 3*time.Second)
	commits := r.startCommits(topics[0])
	for time.Since(began) < long {
		pause(t, min(10*time.Second, long))
		r.describeLoad(l, w, "load")
		checkDisk(t)
	}
	w.mu.Lock()
	deleted := w.deleted
	w.mu.Unlock()
	if deleted == 0 {
		t.Errorf("nothing was deleted from the bucket in %v: the drill proves nothing; held: %s", long, r.describeHeld())
	}

	lost := time.Now()
	for _, p := range append(r.c.Etcd, r.c.Brokers...) {
		p.Kill()
	}
	l.abandon()
	commits.finish()
	w.finish()
	r.takeProblems()
	for z := range cluster.Zones {
		if err := os.RemoveAll(r.c.EtcdData(z)); err != nil {
			t.Fatal(err)
		}
		r.c.Etcd[z].Start()
	}
	out, stderr, err := r.c.Run("recover", "--from", r.c.Bucket(), "--etcd", r.c.EtcdURLs())
	r.saveFile("recover.txt", out)
	if err != nil {
		t.Fatalf("zonewise recover: %v: %s\n%s", err, stderr, out)
	}
	point := parseRecovered(t, out)
	r.say("etcd was lost; recover states %v, %v before", point.at.Format(time.TimeOnly), lost.Sub(point.at).Round(time.Millisecond))
	if old := lost.Sub(point.at); old > mostLost {
		t.Errorf("recover brings back what was there %v before the loss, at most %v is expected", old, mostLost)
	}
	r.checkPoint(point)
	r.c.StartBrokers()
	r.say("brokers serve %v after the loss", time.Since(lost).Round(time.Second))
	after := r.watchRecovered(topics, point)
	r.checkCommitted(commits, point)
	r.takeProblems()

	l = r.startLoad(streams...)
	after.trimAgain(topics[2], long/2)
	r.describeLoad(l, after, "load on the recovered cluster")
	l.finish()
	r.checkRetained(after, point.allowGap)
	r.settle()
	if after.countDeletions(t.Context()); after.deleted == 0 {
		t.Errorf("the recovered cluster deletes nothing from the bucket; held: %s", r.describeHeld())
	}
	r.say("the recovered cluster has deleted %.0f objects", after.deleted)
	r.takeProblems()
	r.verifyDeep()
	r.checkLogs()
}

// recoveryPoint is what `zonewise recover` printed.
type recoveryPoint struct {
	at    time.Time // state time: what was acknowledged before is there
	parts map[TopicPartition]recoveredPart
}

// recoveredPart has the log start, the offset after the last record, and where the
// partition goes on.
type recoveredPart struct{ first, end, resumes int64 }

// allowGap allows a sweep the gap of the recovery.
func (p recoveryPoint) allowGap(s *Sweep) { s.AllowGap(p.parts[s.tp].end, p.parts[s.tp].resumes) }

var (
	pointLine     = regexp.MustCompile(`recovered as incarnation \d+, up to revision \d+ of generation \d+, about (\S+)`)
	partitionLine = regexp.MustCompile(`(?m)^(\S+)\s+(\d+)\s+(\d+)\s+(\d+|none)\s+(\d+)\s*$`)
)

func parseRecovered(t *testing.T, out string) recoveryPoint {
	t.Helper()
	p := recoveryPoint{parts: map[TopicPartition]recoveredPart{}}
	m := pointLine.FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("recover does not state its point:\n%s", out)
	}
	var err error
	if p.at, err = time.Parse(time.RFC3339, m[1]); err != nil {
		t.Fatal(err)
	}
	for _, m := range partitionLine.FindAllStringSubmatch(out, -1) {
		number := func(text string) int64 {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				t.Fatalf("recover printed %q: %v", m[0], err)
			}
			return n
		}
		part := recoveredPart{first: number(m[3]), resumes: number(m[5])}
		if part.end = part.first; m[4] != "none" {
			part.end = number(m[4]) + 1
		}
		p.parts[TopicPartition{m[1], int32(number(m[2]))}] = part
	}
	return p
}

// checkPoint compares what recover printed with what was acknowledged, and forgets what
// was lost with etcd: what was acknowledged before the point is not.
func (r *rig) checkPoint(point recoveryPoint) {
	r.t.Helper()
	lost := 0
	for _, tp := range r.history.Partitions() {
		part, ok := point.parts[tp]
		if !ok {
			r.t.Errorf("recover does not name %v:\n", tp)
			continue
		}
		for _, m := range r.history.Marks(tp) {
			if m.Acked.Before(point.at) && m.Offset >= part.end {
				r.t.Errorf("%v: offset %d was acknowledged at %v, before the stated point %v, and the last recovered one is %d",
					tp, m.Offset, m.Acked.UTC().Format(time.TimeOnly), point.at.Format(time.TimeOnly), part.end-1)
				break
			}
		}
		n, end := r.history.Lose(tp, part.end)
		if lost += n; n > 0 && end > part.resumes {
			r.t.Errorf("%v: offset %d was given out before the loss, and the partition goes on at %d", tp, end-1, part.resumes)
		}
	}
	r.say("%d records that were acknowledged after the stated point are lost with etcd", lost)
}

// watchRecovered reads every partition back, from a log start that is no later than
// retention allows.
func (r *rig) watchRecovered(topics []retainedTopic, point recoveryPoint) *watcher {
	r.t.Helper()
	w := &watcher{r: r, topics: topics, starts: map[TopicPartition]int64{}, allowed: map[TopicPartition]int64{}, deletedN: map[int]float64{}, measured: map[TopicPartition]int{}}
	for _, topic := range topics {
		for p := range topic.partitions {
			tp := TopicPartition{topic.name, p}
			s := w.sweepPartition(r.t.Context(), topic, tp, point.allowGap)
			part := point.parts[tp]
			if s == nil {
				continue
			}
			if s.Next() < part.end {
				r.t.Errorf("%v: read up to %d, recover names %d as the last", tp, s.Next()-1, part.end-1)
			}
			if topic.trimmed && s.start != part.first {
				r.t.Errorf("%v: the log start is %d, recover said %d", tp, s.start, part.first)
			}
		}
	}
	r.say("%d recovered records were read back", w.records)
	return w
}

// trimAgain calls DeleteRecords and counts what is deleted from the bucket, for a time.
func (w *watcher) trimAgain(t retainedTopic, long time.Duration) {
	w.r.t.Helper()
	for began := time.Now(); time.Since(began) < long; {
		pause(w.r.t, watchInterval)
		w.trimOnce(w.r.t.Context(), t, trimKeeps)
		w.countDeletions(w.r.t.Context())
	}
}

// commitLog is what a group committed while the load ran.
type commitLog struct {
	r    *rig
	stop context.CancelFunc
	wait sync.WaitGroup
	all  []groupCommit // in order
}

// groupCommit is one OffsetCommit of all partitions of a topic.
type groupCommit struct {
	acked   time.Time // zero: no answer came
	offsets map[TopicPartition]int64
}

// startCommits commits, five times a second, the ends of what is acknowledged.
func (r *rig) startCommits(topic retainedTopic) *commitLog {
	ctx, cancel := context.WithCancel(context.Background())
	r.t.Cleanup(cancel)
	c := &commitLog{r: r, stop: cancel}
	c.wait.Go(func() {
		for ctx.Err() == nil {
			select {
			case <-time.After(200 * time.Millisecond):
			case <-ctx.Done():
				return
			}
			g := groupCommit{offsets: map[TopicPartition]int64{}}
			offsets := kadm.Offsets{}
			for p := range topic.partitions {
				tp := TopicPartition{topic.name, p}
				g.offsets[tp] = r.history.End(tp)
				offsets.AddOffset(tp.Topic, tp.Partition, g.offsets[tp], -1)
			}
			if err := r.admin.CommitAllOffsets(ctx, drillGroup, offsets); err == nil {
				g.acked = time.Now()
			}
			c.all = append(c.all, g)
		}
	})
	return c
}

func (c *commitLog) finish() {
	c.stop()
	c.wait.Wait()
}

// checkCommitted compares the group's offsets with what was committed: they are those of
// one commit, no older than the last one that was acknowledged before the stated point.
func (r *rig) checkCommitted(c *commitLog, point recoveryPoint) {
	r.t.Helper()
	oldest := 0
	for i, g := range c.all {
		if !g.acked.IsZero() && g.acked.Before(point.at) {
			oldest = i
		}
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	got, err := r.admin.FetchOffsets(ctx, drillGroup)
	for ; errors.Is(err, io.EOF) && ctx.Err() == nil; got, err = r.admin.FetchOffsets(ctx, drillGroup) {
		r.say("fetch the offsets of %s again: %v", drillGroup, err) // on a connection from before the brokers were killed
		pause(r.t, time.Second)
	}
	if err != nil {
		r.t.Errorf("fetch the offsets of %s: %v", drillGroup, err)
		return
	}
	now := map[TopicPartition]int64{}
	got.Each(func(o kadm.OffsetResponse) { now[TopicPartition{o.Topic, o.Partition}] = o.At })
	for i := oldest; i < len(c.all); i++ {
		if same := sameOffsets(c.all[i].offsets, now, point); same {
			r.say("the group has its commit %d of %d; %d were acknowledged before the stated point", i+1, len(c.all), oldest+1)
			return
		}
	}
	r.t.Errorf("the group's offsets %v are those of none of %d commits since the stated point; the oldest of them: %v", now, len(c.all)-oldest, c.all[oldest].offsets)
}

// sameOffsets compares a commit with recovered offsets. A group that had read everything
// continues after the gap.
func sameOffsets(committed, now map[TopicPartition]int64, point recoveryPoint) bool {
	for tp, offset := range committed {
		part := point.parts[tp]
		if now[tp] != offset && (offset < part.end || now[tp] != part.resumes) {
			return false
		}
	}
	return true
}
