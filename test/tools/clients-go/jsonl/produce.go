package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
)

// readOrders calls each with every order of standard input.
func readOrders(each func(order) error) error {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 4<<20)
	for in.Scan() {
		var next order
		if err := json.Unmarshal(in.Bytes(), &next); err != nil {
			return fmt.Errorf("read an order: %w", err)
		}
		if err := each(next); err != nil {
			return err
		}
	}
	return in.Err()
}

// produce sends the orders of standard input, a run of orders of one mode at a
// time. A record that fails ends the program.
func produce(ctx context.Context, f family, o options) error {
	var pending []order
	var now mode
	flush := func() error {
		if len(pending) == 0 {
			return nil
		}
		orders := make(chan order, len(pending))
		for _, one := range pending {
			orders <- one
		}
		close(orders)
		pending = nil
		var mu sync.Mutex
		var failed error
		err := f.send(ctx, o, now, orders, func(i int, partition int32, offset int64, err error) {
			if err == nil {
				emitAck(i, partition, offset)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			failed = errors.Join(failed, fmt.Errorf("record %d: %w", i, err))
		})
		mu.Lock()
		defer mu.Unlock()
		return errors.Join(err, failed)
	}
	err := readOrders(func(next order) error {
		if m := (mode{next.Codec, next.Idempotent}); m != now {
			if err := flush(); err != nil {
				return err
			}
			now = m
		}
		pending = append(pending, next)
		return nil
	})
	return errors.Join(err, flush())
}

// stream sends each order when it arrives, all with the producer of the first one's
// mode, and continues after records that fail.
func stream(ctx context.Context, f family, o options) error {
	orders := make(chan order)
	ended := make(chan error, 1)
	started := false
	err := readOrders(func(next order) error {
		if !started {
			started = true
			go func() {
				ended <- f.send(ctx, o, mode{next.Codec, next.Idempotent}, orders, func(i int, partition int32, offset int64, err error) {
					if err == nil {
						emitAck(i, partition, offset)
						return
					}
					emit(map[string]any{"failed": i, "error": err.Error()})
				})
			}()
		}
		select {
		case orders <- next:
			return nil
		case err := <-ended:
			ended <- nil
			return errors.Join(errors.New("the producer ended"), err)
		}
	})
	close(orders)
	if !started {
		return err
	}
	return errors.Join(err, <-ended)
}

func emitAck(i int, partition int32, offset int64) {
	emit(map[string]any{"ack": i, "partition": partition, "offset": offset})
}
