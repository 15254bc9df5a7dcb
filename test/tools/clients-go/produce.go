package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// produceOptions describe what every producer of a run sends.
type produceOptions struct {
	topic       string
	partitions  int
	rate        float64 // bytes per second of each producer; 0: flat out
	size        int
	count       int64 // records of each producer; 0: no end
	duration    time.Duration
	pending     int // records sent and not acknowledged
	compression string
	linger      time.Duration
	first       int64 // seq of the first record per partition
	out         string
}

func (o *produceOptions) declare(fs *flag.FlagSet) {
	fs.Float64Var(&o.rate, "rate", 0, "bytes per second of each producer; 0: as fast as it goes")
	fs.IntVar(&o.size, "record-bytes", 1024, "of each value")
	fs.Int64Var(&o.count, "count", 0, "records of each producer; 0: until the end of the run")
	fs.DurationVar(&o.duration, "duration", 0, "of the run; 0: until standard input ends")
	fs.IntVar(&o.pending, "pending", 4096, "most records of a producer not yet acknowledged")
	fs.StringVar(&o.compression, "compression", "none", "none, gzip, snappy, lz4 or zstd")
	fs.DurationVar(&o.linger, "linger", 5*time.Millisecond, "of the client")
	fs.Int64Var(&o.first, "first-seq", 0, "sequence number of each producer's first record of a partition")
	fs.StringVar(&o.out, "out", "", "folder for NAME.acks and, of franz, NAME.log")
}

// produced is the printed result of a producer.
type produced struct {
	Producer string         `json:"producer"`
	Family   string         `json:"family"`
	Acked    int64          `json:"acked"`
	Failed   int64          `json:"failed"`
	Bytes    int64          `json:"bytes"`
	Errors   map[string]int `json:"errors,omitempty"`
	PauseMs  float64        `json:"longest_pause_ms"`
	P50Ms    float64        `json:"p50_ms"`
	P99Ms    float64        `json:"p99_ms"`
	MaxMs    float64        `json:"max_ms"`
}

func runProduce(ctx context.Context, f family, all []target, o produceOptions) error {
	if len(all) == 0 {
		return errors.New("no --producer")
	}
	if o.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.duration)
		defer cancel()
	}
	results := make([]*sender, len(all))
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, t := range all {
		wg.Go(func() { results[i], errs[i] = produceAs(ctx, f, t, o) })
	}
	wg.Wait()
	for i, s := range results {
		if s != nil {
			r := s.result()
			r.Producer, r.Family = all[i].Name, fmt.Sprintf("%T", f)
			if err := print(r); err != nil {
				return err
			}
		}
	}
	return errors.Join(errs...)
}

// sender paces one producer and counts its results.
type sender struct {
	o      produceOptions
	name   string
	p      producer
	ledger *ledger
	slots  chan struct{}

	mu       sync.Mutex
	acked    int64
	failed   int64
	errors   map[string]int
	took     []time.Duration
	pending  int
	progress time.Time // of the last ack, or when the first pending record was sent
	pause    time.Duration
}

func produceAs(ctx context.Context, f family, t target, o produceOptions) (*sender, error) {
	l, err := newLedger(o.out, t.Name+".acks")
	if err != nil {
		return nil, err
	}
	p, err := f.producer(t, o)
	if err != nil {
		return nil, fmt.Errorf("producer %s: %w", t.Name, err)
	}
	s := &sender{o: o, name: t.Name, p: p, ledger: l, slots: make(chan struct{}, o.pending), errors: map[string]int{}}
	s.run(ctx)
	p.close()
	return s, l.close()
}

func (s *sender) run(ctx context.Context) {
	began := time.Now()
	next := make([]int64, s.o.partitions)
	for i := range next {
		next[i] = s.o.first
	}
	for i := int64(0); s.o.count == 0 || i < s.o.count; i++ {
		if s.o.rate > 0 {
			due := began.Add(time.Duration(float64(i) * float64(s.o.size) / s.o.rate * float64(time.Second)))
			if wait := time.Until(due); wait > 2*time.Millisecond {
				select {
				case <-time.After(wait):
				case <-ctx.Done():
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		default:
		}
		select {
		case s.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		partition := int32(i % int64(s.o.partitions))
		seq := next[partition]
		next[partition]++
		s.send(partition, seq)
	}
}

func (s *sender) send(partition int32, seq int64) {
	sent := time.Now()
	s.mu.Lock()
	if s.pending == 0 {
		s.progress = sent
	}
	s.pending++
	s.mu.Unlock()
	s.p.send(partition, makeValue(s.name, partition, seq, s.o.size), func(offset int64, err error) {
		s.ended(sent, err)
		if err != nil {
			s.ledger.line("%d %d %d -1 %d %s", micros(sent), micros(time.Now()), partition, seq, strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			s.ledger.line("%d %d %d %d %d", micros(sent), micros(time.Now()), partition, offset, seq)
		}
		<-s.slots
	})
}

func (s *sender) ended(sent time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.pending--
	s.pause = max(s.pause, now.Sub(s.progress))
	s.progress = now
	if err != nil {
		s.failed++
		s.errors[err.Error()]++
		return
	}
	s.acked++
	s.took = append(s.took, now.Sub(sent))
}

func (s *sender) result() produced {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.took)
	at := func(q float64) float64 {
		if len(s.took) == 0 {
			return 0
		}
		return ms(s.took[min(len(s.took)-1, int(q*float64(len(s.took))))])
	}
	return produced{Acked: s.acked, Failed: s.failed, Bytes: s.acked * int64(s.o.size), Errors: s.errors, PauseMs: ms(s.pause),
		P50Ms: at(0.5), P99Ms: at(0.99), MaxMs: at(1)}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
