package wal

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// quickLog is an in-memory log that passes new entries to its follower; the one
// of package metadata searches all entries.
type quickLog struct {
	*metadata.MemLog
	mu  sync.Mutex // guards rev and new
	rev metadata.Revision
	new chan metadata.CommittedEntry
}

func (l *quickLog) Append(_ context.Context, r metadata.AppendRequest) (metadata.AppendResult, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rev++
	l.new <- metadata.CommittedEntry{Revision: l.rev, Extent: 1, Session: r.Key.Session, Lane: r.Key.Lane, Seq: r.Key.Seq, Bytes: r.Bytes}
	return metadata.AppendResult{Revision: l.rev, Extent: 1}, nil
}

func (l *quickLog) Follow(ctx context.Context, _ metadata.StartPoint, deliver func([]metadata.CommittedEntry, metadata.Revision, bool) error) error {
	if err := deliver(nil, 1, true); err != nil {
		return err
	}
	for {
		select {
		case c := <-l.new:
			if err := deliver([]metadata.CommittedEntry{c}, c.Revision, true); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

type nowhere struct{}

func (nowhere) Upload(context.Context, metadata.ObjectName, []byte) (uint32, error) { return 1, nil }

// BenchmarkAppendToAck measures the cost of the WAL itself, with a log and a
// store that take no time: 64 producers, eight batches in flight each, over 32
// partitions.
func BenchmarkAppendToAck(b *testing.B) {
	for _, inline := range []int{0, metadata.MaxInlineBytes} {
		for _, size := range []int{1 << 10, 16 << 10} {
			b.Run(fmt.Sprintf("inline=%dK/batch=%dK", inline>>10, size>>10), func(b *testing.B) { benchmarkAppend(b, inline, size) })
		}
	}
}

func benchmarkAppend(b *testing.B, inline, size int) {
	log := &quickLog{MemLog: metadata.NewMemLog(), rev: 1, new: make(chan metadata.CommittedEntry, 1024)}
	session, err := log.OpenSession(context.Background(), metadata.SessionInfo{})
	if err != nil {
		b.Fatal(err)
	}
	replica := metadata.NewReplica(metadata.ReplicaConfig{Log: log, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Fatal: func(err error) { b.Error(err) }})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { replica.Run(ctx) })
	w, err := Open(Config{Session: session.ID(), Log: log, Replica: replica, Uploader: nowhere{}, Governor: &freeGovernor{}, Rand: rand.New(rand.NewPCG(1, 1)),
		Linger: 5 * time.Millisecond, InlineLimit: func() int { return inline }})
	if err != nil {
		b.Fatal(err)
	}
	topic := metadata.TopicID{1}
	for _, cmd := range []metadata.Command{metadata.OpenSession{Want: metadata.NoBroker, Zone: "z1", MinLevel: 1, MaxLevel: 1},
		metadata.CreateTopic{ID: topic, Name: "t", Partitions: 32, ReplicationFactor: 1}} {
		if out, err := w.Submit(ctx, []metadata.Command{cmd}, nil); err != nil || out.Commands[0].Code != 0 {
			b.Fatal(out, err)
		}
	}
	const producers = 64
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	var done sync.WaitGroup
	for p := range producers {
		done.Go(func() {
			r := &rig{topic: topic}
			tp := int32(p % 32)
			var window []*Ack
			next := metadata.Sequence(0)
			for range (b.N + producers - 1) / producers {
				if len(window) == 8 {
					if _, err := window[0].Result(); err != nil {
						b.Error(err)
						return
					}
					window = append(window[:0], window[1:]...)
				}
				a, err := w.Append(ctx, r.batch(made{partition: tp, producer: metadata.ProducerID(1 + p), seq: next, records: 10, bytes: size}))
				if err != nil {
					b.Error(err)
					return
				}
				next = next.Add(10)
				window = append(window, a)
			}
			for _, a := range window {
				if _, err := a.Result(); err != nil {
					b.Error(err)
				}
			}
		})
	}
	done.Wait()
	b.StopTimer()
	commits := w.Stats().Commits
	b.ReportMetric(float64(b.N)/float64(commits[metadata.LaneStandard]), "batches/entry")
	if err := w.Close(context.Background()); err != nil {
		b.Error(err)
	}
	cancel()
	wg.Wait()
}

type freeGovernor struct{}

func (*freeGovernor) Acquire(context.Context, metadata.Lane, Cost) error { return nil }
func (*freeGovernor) InlineAllowed(int) bool                             { return true }
func (*freeGovernor) Settle(Cost)                                        {}
