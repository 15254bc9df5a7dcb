//go:build clients

package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/zonewise/zonewise/test/testenv/devserver"
	"github.com/zonewise/zonewise/test/testenv/kafkaoracle"
)

const (
	streamEvery     = 20 * time.Millisecond
	streamedRecords = 60 // records acknowledged before the topic goes, and again once its producer has recovered
	recoverLimit    = 60 * time.Second
	noRecoveryLimit = 10 * time.Second // for a client that will not recover
	recreatedParts  = 3
)

// recreatedGaps are the times without the topic.
var recreatedGaps = []time.Duration{0, 3 * time.Second}

// TestRecreated deletes a topic and creates it again under a producer of each client,
// which must continue by itself. SUITE_TARGET=kafka runs it against Apache Kafka, to
// see the client's own behaviour.
func TestRecreated(t *testing.T) {
	var bootstrap string
	if os.Getenv("SUITE_TARGET") == "kafka" {
		bootstrap = kafkaoracle.Start(t, kafkaoracle.Options{Properties: map[string]string{"auto.create.topics.enable": "false"}}).Bootstrap[0]
	} else {
		bootstrap = devserver.Start(t, "--auto-create-topics=false").Bootstrap(1)
	}
	folder := t.TempDir()
	for _, c := range testedClients() {
		if len(c.idempotence) == 1 && c.idempotence[0] && len(c.flags) > 0 {
			continue // the consumer protocol: the same producer again
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			command, err := c.prepare(folder)
			skipIfMissing(t, c.name, err)
			for _, gap := range recreatedGaps {
				t.Run(fmt.Sprint("gap-", gap), func(t *testing.T) {
					t.Parallel()
					runRecreated(t, bootstrap, commandClient{c, command}, gap)
				})
			}
		})
	}
}

// feedingProducer is a producer that gets orders until it is stopped.
type feedingProducer struct {
	*clientProcess
	idempotent bool
	parts      int

	mu   sync.Mutex
	sent int // orders written so far; the next one's number
	stop bool

	acked  map[int]recordPosition
	failed map[int]string
}

// feedRecords writes orders at an interval until stop.
func (s *feedingProducer) feedRecords(t *testing.T) {
	for {
		s.mu.Lock()
		i, stop := s.sent, s.stop
		s.sent++
		s.mu.Unlock()
		if stop {
			_ = s.stdin.Close() // no more orders
			return
		}
		b, err := json.Marshal(recordSpec{I: i, Partition: int32(i % s.parts), Key: fmt.Append(nil, i), Value: fmt.Append(nil, "record ", i), Headers: []header{}, Codec: "none", Idempotent: s.idempotent})
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := s.stdin.Write(append(b, '\n')); err != nil {
			return // it ended: the reader of its lines reports that
		}
		time.Sleep(streamEvery)
	}
}

func (s *feedingProducer) nextNumber() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent
}

func (s *feedingProducer) stopFeeding() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop = true
}

// waitUntil handles lines until enough returns true; it reports whether it did.
func (s *feedingProducer) waitUntil(t *testing.T, limit time.Duration, enough func() bool) bool {
	t.Helper()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for !enough() {
		select {
		case l, more := <-s.lines:
			if !more {
				t.Fatalf("the producer ended by itself: %s", s.outputText())
			}
			s.handleLine(t, l)
		case <-timer.C:
			return false
		}
	}
	return true
}

func (s *feedingProducer) handleLine(t *testing.T, l *line) {
	switch {
	case l.Ack != nil && l.Offset != nil:
		if _, twice := s.acked[*l.Ack]; twice {
			t.Errorf("record %d was acknowledged twice", *l.Ack)
		}
		s.acked[*l.Ack] = recordPosition{l.Partition, *l.Offset}
	case l.Failed != nil:
		s.failed[*l.Failed] = l.Error
	}
}

// ackedSince counts by partition the acknowledged records from a number on.
func (s *feedingProducer) ackedSince(first int) (least int) {
	n := make([]int, s.parts)
	for i, at := range s.acked {
		if i >= first {
			n[at.partition]++
		}
	}
	return slices.Min(n)
}

func runRecreated(t *testing.T, bootstrap string, w commandClient, gap time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	c, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ClientID("oracle"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	admin, topic := kadm.NewClient(c), fmt.Sprintf("again-of-%s-%d", w.name, gap.Milliseconds())
	makeTopic := func() {
		if _, err := admin.CreateTopic(ctx, recreatedParts, -1, nil, topic); err != nil {
			t.Fatal(err)
		}
	}
	makeTopic()
	s := &feedingProducer{clientProcess: startProcess(t, w.name+" stream", jsonOutput, w.commandArgs("stream", bootstrap, topic)...), idempotent: w.idempotence[0], parts: recreatedParts,
		acked: map[int]recordPosition{}, failed: map[int]string{}}
	go s.feedRecords(t) // ends with end, or with the producer
	defer s.stopFeeding()
	if !s.waitUntil(t, time.Minute, func() bool { return s.ackedSince(0) >= streamedRecords/recreatedParts }) {
		t.Fatalf("%d records acknowledged, %d failed: %s", len(s.acked), len(s.failed), s.outputText())
	}
	if _, err := admin.DeleteTopic(ctx, topic); err != nil {
		t.Fatal(err)
	}
	time.Sleep(gap)
	makeTopic()
	first, made := s.nextNumber(), time.Now()
	limit := recoverLimit
	if w.keepsID {
		limit = noRecoveryLimit
	}
	recovered := s.waitUntil(t, limit, func() bool { return s.ackedSince(first) > 0 })
	took := time.Since(made)
	again := s.nextNumber()
	if recovered {
		s.waitUntil(t, time.Minute, func() bool { return s.ackedSince(again) >= streamedRecords/recreatedParts })
	}
	s.stopFeeding()
	for _, l := range s.waitExit(t, 3*time.Minute) {
		s.handleLine(t, l)
	}
	late := 0
	for i := range s.failed {
		if i >= again {
			late++
		}
	}
	fmt.Printf("    recreated: %s, gap %v: recovered %v after %.1f s; %d records: %d acknowledged, %d failed %v\n", w.name, gap, recovered, took.Seconds(), s.nextNumber(), len(s.acked), len(s.failed), countReasons(s.failed))
	switch {
	case w.keepsID && recovered:
		t.Errorf("it recovered by itself: say so in docs/compatibility-notes.md, and here")
	case w.keepsID && len(countReasons(s.failed)) != 1:
		t.Errorf("records failed with %v, want the topic's id unknown and nothing else", countReasons(s.failed))
	case !w.keepsID && !recovered:
		t.Errorf("no record of each partition was acknowledged in the %v after the topic was made again: %s", recoverLimit, s.outputText())
	case !w.keepsID && late > 0:
		t.Errorf("%d records failed after it had recovered: %v", late, countReasons(s.failed))
	}
	s.checkRecreated(t, ctx, c, topic, first)
}

// countReasons counts failures by their text.
func countReasons(failed map[int]string) map[string]int {
	n := map[string]int{}
	for _, why := range failed {
		n[strings.Join(strings.Fields(why), " ")]++
	}
	return n
}

// checkRecreated reads the new topic: records that were sent since its creation and
// acknowledged are there, at their offsets; an idempotent producer's records are
// there once, in the order of sending.
func (s *feedingProducer) checkRecreated(t *testing.T, ctx context.Context, c *kgo.Client, topic string, first int) {
	ends, err := kadm.NewClient(c).ListEndOffsets(ctx, topic)
	if err = firstError(err, ends.Error()); err != nil {
		t.Fatal(err)
	}
	total, got := int64(0), map[recordPosition]int{}
	ends.Each(func(o kadm.ListedOffset) { total += o.Offset })
	c.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart(), 1: kgo.NewOffset().AtStart(), 2: kgo.NewOffset().AtStart()}})
	last, seen := map[int32]int{}, map[int]bool{}
	for int64(len(got)) < total {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("read %s after %d of %d records: %v", topic, len(got), total, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			i := 0
			if _, err := fmt.Sscan(string(r.Key), &i); err != nil {
				t.Errorf("key %q: %v", r.Key, err)
			}
			got[recordPosition{r.Partition, r.Offset}] = i
			if before, ok := last[r.Partition]; s.idempotent && (seen[i] || ok && i < before) {
				t.Errorf("%s/%d at offset %d: record %d after record %d (there before: %v)", topic, r.Partition, r.Offset, i, before, seen[i])
			}
			last[r.Partition], seen[i] = i, true
		})
	}
	for i, at := range s.acked {
		if j, ok := got[at]; i >= first && (!ok || j != i) {
			t.Errorf("record %d was acknowledged at %s/%d offset %d, where there is record %d (any: %v)", i, topic, at.partition, at.offset, j, ok)
		}
	}
}
