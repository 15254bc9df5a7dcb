//go:build differential

package differential

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/zonewise/zonewise/test/testenv/devserver"
	"github.com/zonewise/zonewise/test/testenv/kafkaoracle"
)

const (
	retentionCheck = "500ms"          // of both
	expireTimeout  = 30 * time.Second // for records that are to be deleted
	storyTimeout   = 3 * time.Minute
	segmentTime    = 2 * time.Second // for Kafka to delete segments below the log start
	keepTime       = 4 * time.Second // for records that are not
)

// What clients see of retention, DeleteRecords and deleted topics is the same at
// Apache Kafka and here: each case tells a story, and both stories must be equal. Kafka
// deletes whole segments, so its segments have one batch each. A log start that moves
// backwards fails a case by itself.
func TestRetentionBesideKafka(t *testing.T) {
	kafka := kafkaoracle.Start(t, kafkaoracle.Options{Properties: map[string]string{
		"log.retention.check.interval.ms": "500", "log.initial.task.delay.ms": "0", "log.cleaner.backoff.ms": "600000", "group.initial.rebalance.delay.ms": "0",
	}}).Bootstrap[0]
	zonewise := devserver.Start(t, "--zones", "1", "--group-initial-rebalance-delay", "0s", "--retention-check-interval", retentionCheck, "--delete-grace", "5s", "--recovery-base-interval", "5s").Bootstrap(0)
	for _, c := range retentionCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var stories [2]*story
			var wg sync.WaitGroup
			for i, addr := range []string{kafka, zonewise} {
				stories[i] = newStory(t, addr)
				wg.Go(func() { c.tell(stories[i]) })
			}
			wg.Wait()
			for i, line := range stories[0].lines {
				if i >= len(stories[1].lines) || stories[1].lines[i] != line {
					t.Fatalf("Kafka:\n%s\nzonewise:\n%s", strings.Join(stories[0].lines, "\n"), strings.Join(stories[1].lines, "\n"))
				}
			}
			t.Logf("both:\n%s", strings.Join(stories[0].lines, "\n"))
		})
	}
}

// retentionCase is a sequence of requests, and what is seen of their effects.
type retentionCase struct {
	name string
	tell func(*story)
}

// story is what one broker's client saw.
type story struct {
	*testClient
	admin  *kadm.Client
	lines  []string
	starts map[string]int64 // by topic: the highest log start seen
}

func newStory(t *testing.T, addr string) *story {
	t.Helper()
	v := newTestClient(t, addr)
	ctx, cancel := context.WithTimeout(t.Context(), storyTimeout)
	t.Cleanup(cancel)
	v.ctx = ctx
	return &story{testClient: v, admin: kadm.NewClient(v.Client), starts: map[string]int64{}}
}

func (s *story) add(format string, args ...any) {
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

// newTopic creates a topic with configs, "name=value", and makes it the story's.
func (s *story) newTopic(configs ...string) {
	s.topic = fmt.Sprintf("kept-%d", time.Now().UnixNano())
	s.createTopic(configs...)
}

func (s *story) createTopic(configs ...string) {
	all := map[string]*string{"internal.segment.bytes": kadm.StringPtr("100")} // one batch
	for _, c := range configs {
		name, value, _ := strings.Cut(c, "=")
		all[name] = &value
	}
	if _, err := s.admin.CreateTopic(s.ctx, 1, 1, all, s.topic); err != nil {
		s.add("create: %s", codeOf(err))
	}
}

func (s *story) setConfig(name, value string) {
	answers, err := s.admin.AlterTopicConfigs(s.ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: name, Value: &value}}, s.topic)
	if err == nil {
		err = answers[0].Err
	}
	s.add("set %s=%s: %s", name, value, codeOf(err))
}

// produce writes a batch per time: so many milliseconds ago.
func (s *story) produce(agoMs ...int64) {
	now := time.Now()
	for _, ago := range agoMs {
		r := &kgo.Record{Topic: s.topic, Key: []byte("k"), Value: []byte("value"), Timestamp: now.Add(-time.Duration(ago) * time.Millisecond)}
		if err := s.ProduceSync(s.ctx, r).FirstErr(); err != nil {
			s.add("produce: %s", codeOf(err))
		}
	}
}

// produceAt writes a batch per timestamp.
func (s *story) produceAt(stamps ...int64) {
	for _, ms := range stamps {
		if err := s.ProduceSync(s.ctx, &kgo.Record{Topic: s.topic, Value: []byte("value"), Timestamp: time.UnixMilli(ms)}).FirstErr(); err != nil {
			s.add("produce: %s", codeOf(err))
		}
	}
}

// deleteRecords sends one DeleteRecords.
func (s *story) deleteRecords(partition int32, offset int64) {
	q := kmsg.NewPtrDeleteRecordsRequest()
	q.TimeoutMillis = 5000
	t := kmsg.NewDeleteRecordsRequestTopic()
	p := kmsg.NewDeleteRecordsRequestTopicPartition()
	p.Partition, p.Offset = partition, offset
	t.Topic, t.Partitions = s.topic, append(t.Partitions, p)
	q.Topics = append(q.Topics, t)
	for tries := 0; ; tries++ {
		resp, err := q.RequestWith(s.ctx, s.Client)
		if err != nil || len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
			s.add("delete to %d: %v %+v", offset, err, resp)
			return
		}
		a := resp.Topics[0].Partitions[0]
		if a.ErrorCode == kerr.UnknownTopicOrPartition.Code && partition == 0 && tries < 20 {
			time.Sleep(100 * time.Millisecond) // Kafka's broker has not heard of the topic yet
			continue
		}
		s.add("delete partition %d to %d: %s, low watermark %d", partition, offset, codeOf(kerr.ErrorForCode(a.ErrorCode)), a.LowWatermark)
		return
	}
}

// listOffset is ListOffsets for a timestamp or a special one.
func (s *story) listOffset(stamp int64) (offset, at int64, code string) {
	q := kmsg.NewPtrListOffsetsRequest()
	q.ReplicaID = -1
	t := kmsg.NewListOffsetsRequestTopic()
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Timestamp = stamp
	t.Topic, t.Partitions = s.topic, append(t.Partitions, p)
	q.Topics = append(q.Topics, t)
	resp, err := q.RequestWith(s.ctx, s.Client)
	if err != nil {
		return 0, 0, codeOf(err)
	}
	a := resp.Topics[0].Partitions[0]
	return a.Offset, a.Timestamp, codeOf(kerr.ErrorForCode(a.ErrorCode))
}

// start returns the log start, which must not move backwards.
func (s *story) start() int64 {
	at, _, code := s.listOffset(-2)
	if code != "taken" {
		return -1
	}
	if at < s.starts[s.topic] {
		s.t.Errorf("at %s the log start of %s went from %d to %d", s.seed, s.topic, s.starts[s.topic], at)
	}
	s.starts[s.topic] = at
	return at
}

// bounds adds log start and high watermark.
func (s *story) bounds() {
	end, _, code := s.listOffset(-1)
	s.add("start %d, end %d (%s)", s.start(), end, code)
}

// expire waits until the log start is at an offset, and adds it; it must stay there.
func (s *story) expire(want int64) {
	got := s.start()
	for until := time.Now().Add(expireTimeout); got < want && time.Now().Before(until); got = s.start() {
		time.Sleep(100 * time.Millisecond)
	}
	time.Sleep(2 * time.Second)
	s.add("expired up to %d", s.start())
}

// keep waits, and adds the log start.
func (s *story) keep() {
	time.Sleep(keepTime)
	s.add("kept from %d", s.start())
}

// consume reads n records from an offset, with a reset policy, and one moment longer:
// there must be no more. then, if given, is called until there is one.
func (s *story) consume(name string, from int64, reset kgo.Offset, n int, then func()) {
	c := s.newClient(kgo.ConsumeResetOffset(reset), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepRetryableFetchErrors(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{s.topic: {0: kgo.NewOffset().At(from)}}))
	defer c.Close()
	var got []int64
	var failed string
	for until, last := time.Now().Add(expireTimeout), false; !last && failed == "" && time.Now().Before(until); {
		last = len(got) >= n
		ctx, cancel := context.WithTimeout(s.ctx, time.Second)
		fetches := c.PollFetches(ctx)
		cancel()
		fetches.EachRecord(func(r *kgo.Record) { got = append(got, r.Offset) })
		for _, err := range fetches.Errors() {
			var lost *kgo.ErrDataLoss
			if !errors.Is(err.Err, context.DeadlineExceeded) && !errors.As(err.Err, &lost) {
				failed = codeOf(err.Err)
			}
		}
		if then != nil && len(got) == 0 {
			then()
		}
	}
	if then != nil {
		got = got[:min(len(got), n)] // how often it was called depends on the clock
	}
	s.add("reset %s from %d: read %v, then %q", name, from, got, failed)
}

// fetchCode is the answer to a Fetch at an offset.
func (s *story) fetchCode(offset int64) {
	q := kmsg.NewPtrFetchRequest()
	q.MaxBytes, q.IsolationLevel, q.MaxWaitMillis = 1<<20, 1, 10
	t := kmsg.NewFetchRequestTopic()
	p := kmsg.NewFetchRequestTopicPartition()
	p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch = offset, 1<<20, -1
	t.Topic, t.Partitions = s.topic, append(t.Partitions, p)
	q.Topics = append(q.Topics, t)
	resp, err := q.RequestWith(s.ctx, s.newClient(kgo.MaxVersions(kversion.V2_8_0()))) // with names, not ids
	if err != nil {
		s.add("fetch %d: %s", offset, codeOf(err))
		return
	}
	a := resp.Topics[0].Partitions[0]
	s.add("fetch %d: %s, start %d, end %d, stable %d", offset, codeOf(kerr.ErrorForCode(a.ErrorCode)), a.LogStartOffset, a.HighWatermark, a.LastStableOffset)
}

// commit commits a group's offset.
func (s *story) commit(group string, at int64) {
	var o kadm.Offsets
	o.AddOffset(s.topic, 0, at, -1)
	_, err := s.admin.CommitOffsets(s.ctx, group, o)
	s.add("commit %d: %s", at, codeOf(err))
}

// committed adds a group's offset and its lag.
func (s *story) committed(group string) {
	all, err := s.admin.FetchOffsets(s.ctx, group)
	at, ok := all.Lookup(s.topic, 0)
	lag := "none"
	if lags, err := s.admin.Lag(s.ctx, group); err == nil {
		if l, found := lags[group].Lag.Lookup(s.topic, 0); found {
			lag = fmt.Sprint(l.Lag)
		}
	}
	s.add("committed: %v %d, lag %s, %s", ok, at.At, lag, codeOf(err))
}

// readGroup reads with a group from its committed offset.
func (s *story) readGroup(group string, n int) {
	c := s.newClient(kgo.ConsumerGroup(group), kgo.ConsumeTopics(s.topic), kgo.DisableAutoCommit())
	defer c.Close()
	var got []int64
	for until := time.Now().Add(15 * time.Second); len(got) < n && time.Now().Before(until); {
		ctx, cancel := context.WithTimeout(s.ctx, time.Second)
		c.PollFetches(ctx).EachRecord(func(r *kgo.Record) { got = append(got, r.Offset) })
		cancel()
	}
	s.add("group reads %v", got)
}

// transact produces records in a transaction and ends it.
func (s *story) transact(c *kgo.Client, n int, end kgo.TransactionEndTry) {
	err := c.BeginTransaction()
	for range n {
		if err == nil {
			err = c.ProduceSync(s.ctx, &kgo.Record{Topic: s.topic, Value: []byte("v")}).FirstErr()
		}
	}
	if err == nil {
		err = c.EndTransaction(s.ctx, end)
	}
	if err != nil {
		s.add("transaction: %s", codeOf(err))
	}
}

// awaitStable waits until the markers are written: the last stable offset is at.
func (s *story) awaitStable(at int64) {
	for s.ctx.Err() == nil {
		if stable, err := s.admin.ListCommittedOffsets(s.ctx, s.topic); err == nil && stable[s.topic][0].Offset == at {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func repeat(ms int64, n int) []int64 { return slices.Repeat([]int64{ms}, n) }
