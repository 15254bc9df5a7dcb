package node

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zonewise/zonewise/broker/groups"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// crashLog is the log of brokers that crash: their sessions are not closed, and
// last until their leases end.
type crashLog struct{ *metadata.MemLog }

func (l crashLog) OpenSession(ctx context.Context, info metadata.SessionInfo) (metadata.Session, error) {
	s, err := l.MemLog.OpenSession(ctx, info)
	return crashSession{s}, err
}

func (l crashLog) ReleaseRole(context.Context, metadata.Role) error { return nil }

type crashSession struct{ metadata.Session }

func (crashSession) Close(context.Context) error { return nil }

// A broker that crashed and is started again has its groups when it is ready,
// although the lease of the former process lasts.
func TestABrokerThatCrashedHasItsGroupsWhenItIsReadyAgain(t *testing.T) {
	log, b := crashLog{metadata.NewMemLog()}, bucket.NewMem()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	ln.Close()
	for life := range 3 {
		cfg := DefaultConfig()
		cfg.Cluster, cfg.Zone, cfg.Log, cfg.Bucket = "main", "a", log, b
		cfg.Kafka = metadata.Address{Host: "127.0.0.1", Port: int32(port)}
		cfg.Listen = func(_ metadata.ZoneID, k int) (net.Listener, error) {
			if k != NoZone {
				return nil, nil
			}
			return net.Listen("tcp", ln.Addr().String())
		}
		cfg.Logger, cfg.Metrics = slog.New(slog.DiscardHandler), prometheus.NewRegistry()
		cfg.Rand = rand.New(rand.NewPCG(1, uint64(life)))
		cfg.Fatal = func(err error) { t.Errorf("fatal: %v", err) }
		n, err := Start(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		err = n.WaitReady(ctx)
		cancel()
		if err != nil {
			n.Close()
			t.Fatalf("life %d: %v", life, err)
		}
		for slot := range metadata.Slot(metadata.GroupSlots) {
			n.replica.View(func(s *metadata.State) {
				if holder, ok := groups.SlotOwner(s, slot); !ok || holder.ID != n.currentSession.Load().log.ID() || !n.groups.Owns(slot) {
					t.Errorf("life %d: slot %d is held by %+v, %v", life, slot, holder, ok)
				}
			})
		}
		n.Close()
	}
}
