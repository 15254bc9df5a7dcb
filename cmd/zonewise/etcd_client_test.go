package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zonewise/zonewise/metadata/etcdlog"
)

// startingEtcd serves transactions from the nth on.
type startingEtcd struct {
	etcdlog.KV
	failing int // tries that are answered with err
	err     error
	asked   int
}

func (s *startingEtcd) Txn(context.Context, *etcdserverpb.TxnRequest) (*etcdserverpb.TxnResponse, error) {
	if s.asked++; s.asked <= s.failing {
		return nil, s.err
	}
	return &etcdserverpb.TxnResponse{}, nil
}

// A broker that starts while etcd's members do, or while one of them is given
// up, waits for one that serves, and ends with an error only after checkTimeout.
func TestABrokerThatStartsWaitsForEtcd(t *testing.T) {
	unavailable := status.Error(codes.Unavailable, "connection refused")
	for _, c := range []struct {
		name    string
		failing int
		err     error
		fails   bool
		within  time.Duration
	}{
		{"a member that is given up", 3, unavailable, false, time.Second},
		{"no member at all", 1 << 30, unavailable, true, checkTimeout + time.Second},
		{"an answer", 1, status.Error(codes.PermissionDenied, "permission denied"), true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), checkTimeout)
				defer cancel()
				begun := time.Now()
				err := checkLimits(ctx, &startingEtcd{failing: c.failing, err: c.err}, "probe")
				if (err != nil) != c.fails || err != nil && !errors.Is(err, c.err) {
					t.Errorf("error %v, want one: %v", err, c.fails)
				}
				if took := time.Since(begun); took > c.within {
					t.Errorf("it took %s, want at most %s", took, c.within)
				}
			})
		})
	}
}
