package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// drainTimeout is how long consumers may need for what was acknowledged.
const drainTimeout = 30 * time.Second

// Run runs one benchmark. The result is valid also with an error, as far as the
// run went. The end of ctx ends it early, without an error.
func Run(ctx context.Context, c Config) (*Result, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	r := &runner{Config: c, id: rand.Uint64() | 1, produceStats: newProduceStats(), consumeStats: newConsumeStats()}
	admin, err := kgo.NewClient(kgo.SeedBrokers(c.Bootstrap...), kgo.ClientID(c.ClientID+"-admin"))
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	defer admin.Close()
	r.admin = kadm.NewClient(admin)
	if err := r.prepareTopic(ctx); err != nil {
		return nil, err
	}
	before, err := c.scrapeServers(ctx)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	stop := r.reportProgress(begin)
	if c.Mode == ModeConsume {
		err = r.runConsume(ctx)
	} else {
		err = r.runProduce(ctx)
	}
	stop()
	result := r.buildResult(time.Since(begin))
	after, scraped := c.scrapeServers(context.WithoutCancel(ctx))
	if scraped == nil {
		result.Brokers = after.perGiBSince(before, max(result.Produced.Bytes, result.Consumed.Bytes))
	}
	return result, errors.Join(err, scraped)
}

type runner struct {
	Config
	id           uint64
	admin        *kadm.Client
	partitions   int
	start, end   offsets
	filler       *filler
	produceStats *produceStats
	consumeStats *consumeStats
	verifier     *verifier
	took         time.Duration // of the sending, or reading, alone
}

// prepareTopic makes the topic if it must, and reads where it begins and ends.
func (r *runner) prepareTopic(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	if r.Create && r.Mode != ModeConsume {
		_, err := r.admin.CreateTopic(ctx, int32(r.Partitions), int16(r.Replicas), nil, r.Topic)
		if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return fmt.Errorf("create topic %s: %w", r.Topic, err)
		}
	}
	var ends kadm.ListedOffsets
	for { // a topic just made may take a moment to be known everywhere
		starts, err := r.admin.ListStartOffsets(ctx, r.Topic)
		if err == nil {
			err = starts.Error()
		}
		if err == nil {
			if ends, err = r.admin.ListEndOffsets(ctx, r.Topic); err == nil {
				err = ends.Error()
			}
		}
		if err == nil && len(starts[r.Topic]) > 0 {
			r.start, r.end = offsetsOf(starts, r.Topic), offsetsOf(ends, r.Topic)
			r.partitions = len(r.start)
			return nil
		}
		if err == nil {
			err = kerr.UnknownTopicOrPartition
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("read offsets of topic %s: %w", r.Topic, err)
		}
		if r.Mode == ModeConsume && errors.Is(err, kerr.UnknownTopicOrPartition) {
			return fmt.Errorf("read offsets of topic %s: %w", r.Topic, err)
		}
	}
}

func offsetsOf(l kadm.ListedOffsets, topic string) offsets {
	out := offsets{}
	l.Each(func(o kadm.ListedOffset) {
		if o.Topic == topic {
			out[o.Partition] = o.Offset
		}
	})
	return out
}

// runProduce sends for the run's duration; in e2e mode consumers read along, and
// then until they have everything that was acknowledged.
func (r *runner) runProduce(ctx context.Context) error {
	var errs errorCollector
	var readers sync.WaitGroup
	rctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	if r.Mode == ModeE2E {
		r.verifier = newVerifier(r.id, true)
		for i := range r.Consumers {
			readers.Go(func() { errs.addError(r.runConsumer(rctx, i, r.end, r.verifier, r.consumeStats)) })
		}
	}
	begin := time.Now()
	sctx, cancel := context.WithTimeout(ctx, r.Duration)
	defer cancel()
	r.filler = newFiller(r.id, r.RecordBytes)
	var writers sync.WaitGroup
	for i := range r.Producers {
		writers.Go(func() { errs.addError(r.runProducer(sctx, i)) })
	}
	writers.Wait()
	r.took = time.Since(begin)
	if r.Mode == ModeE2E {
		r.waitConsumed()
	}
	stop()
	readers.Wait()
	return errs.joinErrors()
}

// waitConsumed waits until the consumers have read what was acknowledged.
func (r *runner) waitConsumed() {
	want := r.produceStats.acknowledged()
	for end := time.Now().Add(drainTimeout); time.Now().Before(end) && !r.verifier.caughtUp(want); {
		time.Sleep(20 * time.Millisecond)
	}
}

// runConsume reads what the topic had at the begin, or for the duration.
func (r *runner) runConsume(ctx context.Context) error {
	var errs errorCollector
	r.verifier = newVerifier(0, r.Group == "" && startsAtZero(r.start))
	rctx, stop := context.WithTimeout(ctx, r.Duration)
	defer stop()
	var readers sync.WaitGroup
	begin := time.Now()
	for i := range r.Consumers {
		readers.Go(func() { errs.addError(r.runConsumer(rctx, i, r.start, r.verifier, r.consumeStats)) })
	}
	// Until everything is read; or until nothing has come for so long that
	// what is left must be a gap of offsets, which the result then shows.
	last, at := int64(0), time.Now()
	for rctx.Err() == nil && !r.readAll() && (last == 0 || time.Since(at) < idleTimeout) {
		if n := r.consumeStats.records.Load(); n != last {
			last, at = n, time.Now()
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-rctx.Done():
		}
	}
	r.took = at.Sub(begin)
	stop()
	readers.Wait()
	return errs.joinErrors()
}

// idleTimeout is how long a reader that has read something waits for more.
const idleTimeout = 5 * time.Second

// countUnread is how many offsets up to where the partitions ended were not seen.
func (r *runner) countUnread() (n int64) {
	r.verifier.mu.Lock()
	defer r.verifier.mu.Unlock()
	for p, end := range r.end {
		n += max(end-max(r.verifier.offset[p], r.start[p]), 0)
	}
	return n
}

func startsAtZero(o offsets) bool {
	for _, at := range o {
		if at != 0 {
			return false
		}
	}
	return true
}

// readAll reports whether every partition was read up to where it ended when
// the run began.
func (r *runner) readAll() bool {
	if r.Records > 0 && r.consumeStats.records.Load() >= r.Records {
		return true
	}
	r.verifier.mu.Lock()
	defer r.verifier.mu.Unlock()
	for p, end := range r.end {
		if end > r.start[p] && r.verifier.offset[p] < end {
			return false
		}
	}
	return true
}

// errorCollector gathers errors of goroutines.
type errorCollector struct {
	mu   sync.Mutex
	errs []error
}

func (c *errorCollector) addError(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.errs = append(c.errs, err)
}

func (c *errorCollector) joinErrors() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(c.errs...)
}
