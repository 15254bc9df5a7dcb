//go:build integration

package integration

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/zonewise/zonewise/test/testenv/cluster"
)

// producerLoad is a set of producers of two families in three zones, as two programs.
type producerLoad struct {
	topic      string
	partitions int
	folder     string
	clients    []*cluster.Client
	names      []string
	results    []cluster.ProducerResult
}

// loadOptions describe what is sent.
type loadOptions struct {
	topic       string
	partitions  int
	perFamily   int     // producers of each family; producer i is of zone i%3
	bytesPerSec float64 // of all producers together
	recordBytes int
	first       int64 // first sequence number
	allZones    bool  // their bootstrap lists the brokers of all zones
	more        []string
}

func startLoad(t *testing.T, c *cluster.Cluster, o loadOptions) *producerLoad {
	t.Helper()
	program, err := cluster.ClientsProgram(c.Folder)
	if err != nil {
		t.Fatal(err)
	}
	l := &producerLoad{topic: o.topic, partitions: o.partitions, folder: t.TempDir()}
	for _, family := range []string{"franz", "sarama"} {
		args := []string{"produce", "--family", family, "--topic", o.topic, "--partitions", fmt.Sprint(o.partitions), "--out", l.folder,
			"--rate", fmt.Sprint(o.bytesPerSec / float64(2*o.perFamily)), "--record-bytes", fmt.Sprint(o.recordBytes), "--first-seq", fmt.Sprint(o.first)}
		for i := range o.perFamily {
			name, z := fmt.Sprintf("%s-%d-%d", family, o.first, i), i%cluster.Zones
			l.names = append(l.names, name)
			bootstrap := c.ZoneBootstrap(z)
			if o.allZones {
				bootstrap = c.WholeBootstrap(z)
			}
			args = append(args, "--producer", fmt.Sprintf("%s,%s,%s", name, strings.Join(bootstrap, ";"), name))
		}
		l.clients = append(l.clients, c.Client(-1, program, append(args, o.more...)...))
	}
	return l
}

// stopProducers ends the producers; each waits for its acknowledgements.
func (l *producerLoad) stopProducers(t *testing.T) {
	t.Helper()
	for _, k := range l.clients {
		if err := k.Finish(); err != nil {
			t.Errorf("load: %v", err)
		}
		l.results = append(l.results, k.ProducerResults()...)
	}
	if keep := os.Getenv("ZONEWISE_KEEP_LOGS"); keep != "" {
		if err := os.CopyFS(filepath.Join(keep, t.Name()), os.DirFS(l.folder)); err != nil {
			t.Logf("keep acknowledgements: %v", err)
		}
	}
	for _, r := range l.results {
		if r.Failed > 0 {
			t.Logf("%s gave up %d records: %v", r.Producer, r.Failed, r.Errors)
		}
		if r.Acked == 0 {
			t.Errorf("%s: nothing acknowledged", r.Producer)
		}
	}
}

// ack is a line of a producer's file.
type ack struct {
	sent, ended time.Time
	partition   int32
	offset      int64 // -1: not acknowledged
	seq         int64
}

// readAcks reads a producer's results in order.
func (l *producerLoad) readAcks(t *testing.T, name string) (all []ack) {
	t.Helper()
	f, err := os.Open(filepath.Join(l.folder, name+".acks"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var a ack
		var sent, ended int64
		if _, err := fmt.Sscan(lines.Text(), &sent, &ended, &a.partition, &a.offset, &a.seq); err != nil {
			t.Fatalf("%s: %q: %v", name, lines.Text(), err)
		}
		a.sent, a.ended = time.UnixMicro(sent), time.UnixMicro(ended)
		all = append(all, a)
	}
	return all
}

// window is the part of a run in which a fault was injected.
type window struct {
	what     string
	from, to time.Time
	limit    time.Duration
}

// pause is the longest time that a producer went without an acknowledgement.
type pause struct {
	producer string
	from     time.Time
	took     time.Duration
}

// longestPauses returns the longest pause of any producer in each window. A pause
// counts in the window that its middle is in.
func (l *producerLoad) longestPauses(t *testing.T, windows []window) []pause {
	t.Helper()
	longest := make([]pause, len(windows))
	for _, name := range l.names {
		ends := []time.Time{}
		for _, a := range l.readAcks(t, name) {
			if a.offset >= 0 {
				ends = append(ends, a.ended)
			}
		}
		slices.SortFunc(ends, time.Time.Compare)
		for i := 1; i < len(ends); i++ {
			took := ends[i].Sub(ends[i-1])
			middle := ends[i-1].Add(took / 2)
			for w, at := range windows {
				if middle.After(at.from) && middle.Before(at.to) && took > longest[w].took {
					longest[w] = pause{name, ends[i-1], took}
				}
			}
		}
	}
	return longest
}

// checkPauses prints the pauses and compares them with their windows' limits.
func (l *producerLoad) checkPauses(t *testing.T, label string, windows []window) {
	t.Helper()
	for i, p := range l.longestPauses(t, windows) {
		w := windows[i]
		printMeasured(t, "%s: %s: longest pause of any producer %d ms (%s), limit %d ms", label, w.what, p.took.Milliseconds(), p.producer, w.limit.Milliseconds())
		if w.limit > 0 && p.took >= w.limit {
			t.Errorf("%s: %s: %s went %v without an acknowledgement, limit %v; its lines:\n%s", label, w.what, p.producer, p.took, w.limit, l.logDuring(t, p))
		}
	}
}

// logDuring returns what a producer's library logged in a pause and the ten seconds
// before it, with seconds since the pause began; Sarama logs nothing.
func (l *producerLoad) logDuring(t *testing.T, p pause) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(l.folder, p.producer+".log"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	var out strings.Builder
	for line := range strings.Lines(string(text)) {
		var at int64
		if _, err := fmt.Sscan(line, &at); err != nil {
			continue // a continuation line
		}
		since := time.UnixMicro(at).Sub(p.from)
		if since > -10*time.Second && since < p.took+time.Second {
			_, rest, _ := strings.Cut(line, " ")
			fmt.Fprintf(&out, "%8.3f %.400s\n", since.Seconds(), strings.TrimSpace(rest))
		}
	}
	return out.String()
}

// recordID identifies a record by its producer and sequence.
type recordID struct {
	producer string
	seq      int64
}

// parseValue reads a value of clients-go (acks.go there).
func parseValue(v []byte) (w recordID, partition int32, err error) {
	if len(v) < 4 || binary.BigEndian.Uint32(v[len(v)-4:]) != crc32.Checksum(v[:len(v)-4], crc32.MakeTable(crc32.Castagnoli)) {
		return w, 0, fmt.Errorf("value of %d bytes: checksum differs", len(v))
	}
	head, _, _ := strings.Cut(string(v[:min(len(v), 200)]), "\n")
	_, err = fmt.Sscan(head, &w.producer, &partition, &w.seq)
	return w, partition, err
}

// verifyTopic reads the topic and compares it with the acknowledgements of loads: each
// acknowledged record is there once, at its offset, in order.
func verifyTopic(t *testing.T, c *cluster.Cluster, topic string, loads ...*producerLoad) {
	t.Helper()
	type place struct {
		partition int32
		offset    int64
	}
	type series struct {
		producer  string
		partition int32
	}
	want := map[place]recordID{}
	failed := 0
	for _, l := range loads {
		for _, name := range l.names {
			for _, a := range l.readAcks(t, name) {
				if a.offset < 0 {
					failed++
					continue
				}
				at := place{a.partition, a.offset}
				if other, twice := want[at]; twice {
					t.Fatalf("offset %d of partition %d was given to %v and to %s/%d", a.offset, a.partition, other, name, a.seq)
				}
				want[at] = recordID{name, a.seq}
			}
		}
	}
	acked, read, skipped, problems := len(want), 0, 0, 0
	last := map[series]int64{}
	complain := func(format string, args ...any) {
		if problems++; problems <= 20 {
			t.Errorf(format, args...)
		}
	}
	readAll(t, c, 1, topic, func(r *kgo.Record) {
		read++
		w, partition, err := parseValue(r.Value)
		if err != nil || partition != r.Partition {
			complain("%s/%d at %d: %v (written for partition %d)", topic, r.Partition, r.Offset, err, partition)
			return
		}
		key := series{w.producer, r.Partition}
		before, seen := last[key]
		switch {
		case seen && w.seq <= before:
			complain("%s/%d at %d: record %d of %s after its record %d", topic, r.Partition, r.Offset, w.seq, w.producer, before)
		case seen && w.seq > before+1:
			skipped += int(w.seq - before - 1)
		}
		last[key] = w.seq
		at := place{r.Partition, r.Offset}
		if expect, acked := want[at]; acked && expect != w {
			complain("%s/%d at %d: %v, acknowledged to %v", topic, r.Partition, r.Offset, w, expect)
		}
		delete(want, at)
	})
	if len(want) > 0 {
		for at, w := range want {
			complain("acknowledged and not there: %v at %v", w, at)
		}
		t.Errorf("%d acknowledged records are not there", len(want))
	}
	if skipped > failed {
		t.Errorf("%d records are missing in sequences, %d were given up by their producers", skipped, failed)
	}
	printMeasured(t, "%s: %d records acknowledged, %d read back in order at their offsets, %d given up by clients, %d problems", topic, acked, read, failed, problems)
}
