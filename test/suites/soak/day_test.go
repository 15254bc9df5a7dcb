//go:build soak

package soak

import (
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// A generated day: every ten seconds an extent is archived, in which each of 300
// partitions has a span whose bytes are inline, and one whose bytes are in an object.
const (
	dayExtents    = 24 * 360
	dayRecords    = 10 // of a run
	dayRecordSize = 30 // bytes: an entry has 96 KiB inline at most
	// slowAllowed is how many entries may be slow: by helping a collection of the heap,
	// not by their work.
	slowAllowed = 3
)

// day applies generated entries to a state, and remembers how long apply took.
type day struct {
	t     *testing.T
	state *metadata.State
	topic metadata.TopicID
	at    metadata.CommittedEntry
	slow  []time.Duration // longer than longestApply
	most  time.Duration
	count int
}

func (d *day) apply(e metadata.Entry) metadata.Outcome {
	d.t.Helper()
	d.at.Revision++
	d.at.Seq++
	e.Level, e.Session, e.Lane, e.Seq = 1, d.at.Session, d.at.Lane, d.at.Seq
	e.Time = metadata.UnixMilli(1_700_000_000_000) + metadata.UnixMilli(d.at.Revision)
	body, err := metadata.AppendEntry(nil, &e)
	if err != nil {
		d.t.Fatal(err)
	}
	c := d.at
	c.Bytes = body
	began := threadTime(d.t)
	out, _ := d.state.Apply(&c)
	took := threadTime(d.t) - began
	d.count++
	if d.most = max(d.most, took); took > longestApply {
		d.slow = append(d.slow, took)
	}
	if out.Code != metadata.CodeOK {
		d.t.Fatalf("entry %d: %+v", d.at.Revision, out)
	}
	return out
}

// threadTime is the processor time of this thread: others on the machine are not in it. The
// test is locked to its thread.
func threadTime(t *testing.T) time.Duration {
	t.Helper()
	const ofThread = 1 // RUSAGE_THREAD
	var u syscall.Rusage
	if err := syscall.Getrusage(ofThread, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// startDay makes a state with the topic.
func startDay(t *testing.T) *day {
	d := &day{t: t, state: metadata.NewState(), topic: metadata.TopicID{7}, at: metadata.CommittedEntry{Extent: 1, Session: 1, Lane: metadata.LaneControl}}
	d.apply(metadata.Entry{Commands: []metadata.Command{metadata.OpenSession{Want: metadata.NoBroker, Zone: "a", MinLevel: 1, MaxLevel: 1}}})
	d.apply(metadata.Entry{Commands: []metadata.Command{metadata.CreateTopic{ID: d.topic, Name: "day", Partitions: trimPartitions, ReplicationFactor: 3}}})
	return d
}

// fill applies the day.
func (d *day) fill() {
	const length = dayRecords * dayRecordSize
	for x := range dayExtents {
		e := metadata.Entry{Topics: []metadata.TopicID{d.topic}, Principals: []string{"anyone"}, Inline: make([]byte, trimPartitions*length)}
		o := metadata.Entry{Topics: e.Topics, Principals: e.Principals,
			Objects: []metadata.ObjectRef{{Name: metadata.ObjectName{Session: 1, Lane: metadata.LaneStandard, Number: uint64(x + 1)}, Size: trimPartitions * length, Puts: 1}}}
		for p := range trimPartitions {
			part := metadata.Part{Object: metadata.InlineObject, Partition: metadata.Partition(p), Position: int64(p) * length, Length: length,
				Runs: []metadata.Run{{Producer: metadata.NoProducer, Epoch: -1, FirstSequence: -1, Batches: 1, Records: dayRecords, Bytes: length, MaxTimestamp: 1}}}
			e.Parts = append(e.Parts, part)
			part.Object = 0
			o.Parts = append(o.Parts, part)
		}
		d.apply(e)
		d.apply(o)
		d.at.Extent++
		d.apply(metadata.Entry{Commands: []metadata.Command{metadata.RecordStateHash{}}})
		p := d.state.PendingArchives()[0]
		d.apply(metadata.Entry{Commands: []metadata.Command{metadata.AcceptArchive{Extent: p.Extent, Object: metadata.ArchiveKey(1, p.Extent, 1, 1), First: p.First, Last: p.Last,
			Entries: p.Entries, Bytes: trimPartitions * length, Digest: p.Digest}}})
	}
}

// release applies the releases that the retention role would append, and returns how many
// entries that were.
func (d *day) release() (entries int) {
	for d.state.QueuedReleases() > 0 {
		d.apply(metadata.Entry{Commands: []metadata.Command{metadata.ReleaseQueued{Items: metadata.MaxReleaseItems}}})
		entries++
	}
	return entries
}

// After a generated day, DeleteRecords of one partition, of all others in one request, and
// of the topic afterwards: no entry takes longer than 5 ms.
func TestLargeDeletionsOfAGeneratedDay(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	d := startDay(t)
	began := time.Now()
	d.fill()
	t.Logf("a day of %d entries in %v; the slowest took %v, %d longer than %v", d.count, time.Since(began).Round(time.Millisecond), d.most, len(d.slow), longestApply)
	for _, step := range []struct {
		name string
		cmds func() []metadata.Command
	}{
		{"DeleteRecords of one partition", func() []metadata.Command {
			return []metadata.Command{metadata.TrimPartition{Topic: d.topic, LogStart: -1}}
		}},
		{"DeleteRecords of half of each of 299", func() (all []metadata.Command) {
			for p := metadata.Partition(1); p < trimPartitions; p++ {
				all = append(all, metadata.TrimPartition{Topic: d.topic, Partition: p, LogStart: dayExtents * dayRecords})
			}
			return all
		}},
		{"DeleteTopics", func() []metadata.Command { return []metadata.Command{metadata.DeleteTopic{ID: d.topic}} }},
	} {
		d.slow, d.most, d.count = nil, 0, 0
		began := time.Now()
		d.apply(metadata.Entry{Commands: step.cmds()})
		entries := d.release()
		slices.Sort(d.slow)
		text := step.name
		t.Logf("%s: %d entries of releases in %v; the slowest of %d took %v, longer than %v: %v", text, entries, time.Since(began).Round(time.Millisecond), d.count, d.most, longestApply, d.slow)
		if len(d.slow) > slowAllowed {
			t.Errorf("%s: %d of %d entries took longer than %v: %v", text, len(d.slow), d.count, longestApply, d.slow)
		}
	}
	objects, _ := d.state.GarbageTotals()
	t.Logf("%d objects are dead", objects)
	if objects < dayExtents {
		t.Errorf("%d objects are dead, %d were written", objects, dayExtents)
	}
}
