package etcdlog_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/metadata/etcdlog/etcdfake"
)

// docs/design.md, I15: a log key is written once. Who follows the log, and who
// starts, finds a key that something else has changed, and calls it corrupt:
// brokers would have different entries at one place of the order.
func TestAChangedLogKeyIsCorruption(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := cluster(t, etcdfake.Config{Seed: 1})
		n := join(t, store, "writer")
		r := n.follow(t)
		res := n.append(t, metadata.LaneControl)
		if err := r.wait(t.Context(), res.Revision); err != nil {
			t.Fatal(err)
		}
		list, err := n.client.Range(t.Context(), &etcdserverpb.RangeRequest{Key: []byte("/zonewise/main/log/"), RangeEnd: []byte("/zonewise/main/log0")})
		if err != nil || len(list.Kvs) == 0 {
			t.Fatalf("%d log keys, %v", len(list.Kvs), err)
		}
		key := list.Kvs[len(list.Kvs)-1].Key
		put := &etcdserverpb.RequestOp{Request: &etcdserverpb.RequestOp_RequestPut{RequestPut: &etcdserverpb.PutRequest{Key: key, Value: []byte("other")}}}
		if _, err := n.client.Txn(t.Context(), &etcdserverpb.TxnRequest{Success: []*etcdserverpb.RequestOp{put}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		late := open(t, store, "late").follow(t)
		time.Sleep(time.Second)
		for name, err := range map[string]error{"a follower": r.failure(), "one that starts": late.failure()} {
			if !errors.Is(err, metadata.ErrCorrupt) || !strings.Contains(err.Error(), string(key)) {
				t.Errorf("%s: %v, want corruption that names the key", name, err)
			}
		}
	})
}

// failure is the last error of following.
func (r *replica) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}
