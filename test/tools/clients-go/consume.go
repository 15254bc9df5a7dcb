package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// consumeOptions describe what a group reads.
type consumeOptions struct {
	topic string
	group string
	count int64         // records of the whole group; 0: no end
	idle  time.Duration // end after so long without a record; 0: no
	out   string
}

func (o *consumeOptions) declare(fs *flag.FlagSet) {
	fs.StringVar(&o.group, "group", "", "consume: group")
	fs.Int64Var(&o.count, "until", 0, "consume: end after so many records of the whole group; 0: no end")
	fs.DurationVar(&o.idle, "idle", 0, "consume: end after so long without a record; 0: no end")
	fs.StringVar(&o.out, "read-out", "", "folder for NAME.read")
}

// consumed is the printed result of a member.
type consumed struct {
	Member  string         `json:"member"`
	Family  string         `json:"family"`
	Records int64          `json:"records"`
	Bytes   int64          `json:"bytes"`
	Bad     map[string]int `json:"bad,omitempty"`
}

// reader counts a member's records.
type reader struct {
	ledger *ledger
	mu     sync.Mutex
	out    consumed
}

func runConsume(ctx context.Context, f family, all []target, o consumeOptions) error {
	if len(all) == 0 || o.group == "" {
		return errors.New("no --member or no --group")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var total, last atomic.Int64
	last.Store(time.Now().UnixNano())
	readers := make([]*reader, len(all))
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, t := range all {
		l, err := newLedger(o.out, t.Name+".read")
		if err != nil {
			return err
		}
		r := &reader{ledger: l, out: consumed{Member: t.Name, Family: fmt.Sprintf("%T", f), Bad: map[string]int{}}}
		readers[i] = r
		wg.Go(func() {
			errs[i] = f.group(ctx, t, o, func(rec record) {
				r.take(rec)
				last.Store(time.Now().UnixNano())
				if n := total.Add(1); o.count > 0 && n >= o.count {
					cancel()
				}
			})
		})
	}
	if o.idle > 0 {
		go func() { // ends with ctx
			for ctx.Err() == nil {
				if time.Since(time.Unix(0, last.Load())) > o.idle {
					cancel()
				}
				time.Sleep(20 * time.Millisecond)
			}
		}()
	}
	wg.Wait()
	for _, r := range readers {
		if err := errors.Join(r.ledger.close(), print(r.out)); err != nil {
			return err
		}
	}
	return errors.Join(errs...)
}

func (r *reader) take(rec record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out.Records++
	r.out.Bytes += int64(len(rec.value))
	name, partition, seq, err := readValue(rec.value)
	if err == nil && partition != rec.partition {
		err = fmt.Errorf("record of partition %d read from %d", partition, rec.partition)
	}
	if err != nil {
		r.out.Bad[err.Error()]++
		name, seq = "!", 0
	}
	r.ledger.line("%d %d %d %s %d", micros(time.Now()), rec.partition, rec.offset, name, seq)
}
