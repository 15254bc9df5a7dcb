package etcdlog_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	"github.com/zonewise/zonewise/metadata/etcdlog"
	"github.com/zonewise/zonewise/metadata/etcdlog/etcdfake"
)

// sides are the fake and the real etcd, which get the same requests.
type sides struct {
	t      *testing.T
	c      [2]etcdlog.Client
	rnd    *rand.Rand
	rev    int64 // of the newest response of both
	next   int64
	leases [][2]int64
	seen   map[string]int
}

func TestTheFakeAnswersRandomOperationsAsTheRealEtcdDoes(t *testing.T) {
	store := etcdfake.New(etcdfake.Config{Seed: 1, Delay: time.Microsecond})
	t.Cleanup(store.Close)
	s := &sides{t: t, rnd: rand.New(rand.NewPCG(3, 16)), rev: 1, seen: map[string]int{},
		c: [2]etcdlog.Client{store.Client("x", "z"), realClient(t, member(t))}}
	const first = 150 // a watch from the beginning sees at least these before anything is compacted
	s.watchFrom(2, func() {
		for range first {
			s.step(false)
		}
	})
	for range 500 {
		s.step(true)
	}
	for _, what := range []string{"txn ok", "txn else", "nested ok", "nested else", "put", "delete", "leased", "revoked",
		"range", "range at rev", "more", "compacted", "ErrCompacted", "ErrFutureRev", "ErrLeaseNotFound", "value of absent"} {
		if s.seen[what] == 0 {
			t.Errorf("%q did not happen: %v", what, s.seen)
		}
	}
}

func (s *sides) key() []byte { return fmt.Appendf(nil, "k/%d", s.rnd.IntN(9)) }

func (s *sides) span() (from, end []byte) {
	switch s.rnd.IntN(4) {
	case 0:
		return []byte("k/"), []byte("k0")
	case 1:
		return s.key(), []byte("k/7")
	case 2:
		return s.key(), []byte{0}
	}
	return s.key(), nil
}

// step sends one request to both sides and compares the responses.
func (s *sides) step(compact bool) {
	switch n := s.rnd.IntN(20); {
	case n == 0 && compact:
		rev := s.rev - int64(s.rnd.IntN(20)) + 1
		s.both("compact", func(c etcdlog.Client, _ int) (proto.Message, error) { return nil, c.Compact(s.t.Context(), rev) })
	case n == 1:
		s.lease()
	case n < 6:
		r := s.rangeRequest()
		s.both("range", func(c etcdlog.Client, _ int) (proto.Message, error) { return c.Range(s.t.Context(), r) })
	default:
		seed := s.rnd.Uint64()
		s.both("txn", func(c etcdlog.Client, side int) (proto.Message, error) {
			g := *s
			g.rnd = rand.New(rand.NewPCG(seed, 1))
			return c.Txn(s.t.Context(), g.txn(side, 0, map[string]bool{}))
		})
	}
}

func (s *sides) lease() {
	if n := len(s.leases); n > 0 && s.rnd.IntN(2) == 0 {
		l := s.leases[s.rnd.IntN(n)]
		s.both("revoke", func(c etcdlog.Client, side int) (proto.Message, error) { return nil, c.Revoke(s.t.Context(), l[side]) })
		s.seen["revoked"]++
		return
	}
	var l [2]int64
	s.both("grant", func(c etcdlog.Client, side int) (proto.Message, error) {
		id, err := c.Grant(s.t.Context(), 60)
		l[side] = id
		return nil, err
	})
	s.leases = append(s.leases, l)
	s.both("keepalive", func(c etcdlog.Client, side int) (proto.Message, error) {
		return nil, c.KeepAlive(s.t.Context(), l[side])
	})
}

func (s *sides) rangeRequest() *etcdserverpb.RangeRequest {
	r := &etcdserverpb.RangeRequest{}
	r.Key, r.RangeEnd = s.span()
	if s.rnd.IntN(2) == 0 {
		r.Revision = max(s.rev-int64(s.rnd.IntN(30))+2, 1)
		s.seen["range at rev"]++
	}
	r.Limit = int64(s.rnd.IntN(4))
	r.KeysOnly = s.rnd.IntN(4) == 0
	r.Serializable = s.rnd.IntN(4) == 0
	// By key only: equal revisions have no order of their own, and etcdlog sorts
	// by itself.
	r.SortOrder = etcdserverpb.RangeRequest_SortOrder(s.rnd.IntN(3))
	return r
}

// txn generates a transaction. A key is put at most once on any path.
func (s *sides) txn(side, depth int, used map[string]bool) *etcdserverpb.TxnRequest {
	t := &etcdserverpb.TxnRequest{}
	for range s.rnd.IntN(3) {
		t.Compare = append(t.Compare, s.compare())
	}
	other := map[string]bool{}
	for k := range used {
		other[k] = true
	}
	t.Success = s.ops(side, depth, used)
	t.Failure = s.ops(side, depth, other)
	for k := range other {
		used[k] = true
	}
	return t
}

func (s *sides) compare() *etcdserverpb.Compare {
	c := &etcdserverpb.Compare{Result: etcdserverpb.Compare_CompareResult(s.rnd.IntN(4)), Target: etcdserverpb.Compare_CompareTarget(s.rnd.IntN(4)), Key: s.key()}
	if s.rnd.IntN(4) == 0 {
		c.Key, c.RangeEnd = []byte("k/"), []byte("k0")
		if s.rnd.IntN(2) == 0 {
			c.Key, c.RangeEnd = []byte("none/"), []byte("none0")
		}
	}
	near := s.rev - int64(s.rnd.IntN(20))
	if s.rnd.IntN(3) == 0 {
		near = 0
	}
	switch c.Target {
	case etcdserverpb.Compare_VERSION:
		c.TargetUnion = &etcdserverpb.Compare_Version{Version: int64(s.rnd.IntN(4))}
	case etcdserverpb.Compare_CREATE:
		c.TargetUnion = &etcdserverpb.Compare_CreateRevision{CreateRevision: near}
	case etcdserverpb.Compare_MOD:
		c.TargetUnion = &etcdserverpb.Compare_ModRevision{ModRevision: near}
	default:
		s.seen["value of absent"]++
		c.TargetUnion = &etcdserverpb.Compare_Value{Value: fmt.Appendf(nil, "v%d", s.rnd.IntN(9))}
	}
	return c
}

func (s *sides) ops(side, depth int, used map[string]bool) []*etcdserverpb.RequestOp {
	var ops []*etcdserverpb.RequestOp
	for range s.rnd.IntN(4) {
		switch n := s.rnd.IntN(8); {
		case n < 3:
			k := string(s.key())
			value := fmt.Appendf(nil, "v%d", s.rnd.IntN(9))
			p := &etcdserverpb.PutRequest{Key: []byte(k), Value: value}
			if len(s.leases) > 0 && s.rnd.IntN(3) == 0 {
				p.Lease = s.leases[s.rnd.IntN(len(s.leases))][side]
				s.seen["leased"]++
			}
			if used[k] {
				continue
			}
			used[k] = true
			ops = append(ops, &etcdserverpb.RequestOp{Request: &etcdserverpb.RequestOp_RequestPut{RequestPut: p}})
		case n == 3:
			// Before any put of the path: etcd refuses a put of a deleted key.
			if k := string(s.key()); !used[k] {
				used[k] = true
				ops = append(ops, &etcdserverpb.RequestOp{Request: &etcdserverpb.RequestOp_RequestDeleteRange{
					RequestDeleteRange: &etcdserverpb.DeleteRangeRequest{Key: []byte(k)}}})
			}
		case n < 6 || depth > 1:
			r := &etcdserverpb.RangeRequest{}
			r.Key, r.RangeEnd = s.span()
			ops = append(ops, &etcdserverpb.RequestOp{Request: &etcdserverpb.RequestOp_RequestRange{RequestRange: r}})
		default:
			ops = append(ops, &etcdserverpb.RequestOp{Request: &etcdserverpb.RequestOp_RequestTxn{RequestTxn: s.txn(side, depth+1, used)}})
		}
	}
	return ops
}

// both sends a request to both sides and compares.
func (s *sides) both(what string, send func(c etcdlog.Client, side int) (proto.Message, error)) {
	s.t.Helper()
	var text [2]string
	for side, c := range s.c {
		m, err := send(c, side)
		if err != nil {
			text[side] = "error: " + err.Error()
			continue
		}
		switch r := m.(type) {
		case *etcdserverpb.TxnResponse:
			text[side] = s.txnText(r, side, 0)
		case *etcdserverpb.RangeResponse:
			text[side] = s.rangeText(r, side)
			s.seen["range"]++
			if r.More {
				s.seen["more"]++
			}
		case nil:
			text[side] = what + " done"
			if what == "compact" {
				s.seen["compacted"]++
			}
		}
	}
	s.rev = max(s.rev, s.next)
	if text[0] != text[1] {
		s.t.Fatalf("%s: the fake answers\n%s\nand etcd\n%s", what, text[0], text[1])
	}
	for name, part := range map[string]string{"ErrCompacted": "compacted", "ErrFutureRev": "future revision", "ErrLeaseNotFound": "lease not found"} {
		if len(text[0]) > 6 && text[0][:6] == "error:" && contains(text[0], part) {
			s.seen[name]++
		}
	}
}

func contains(s, part string) bool {
	for i := 0; i+len(part) <= len(s); i++ {
		if s[i:i+len(part)] == part {
			return true
		}
	}
	return false
}

func (s *sides) txnText(r *etcdserverpb.TxnResponse, side, depth int) string {
	out := fmt.Sprintf("txn %v", r.Succeeded)
	if depth == 0 {
		s.next = r.Header.Revision
		out += fmt.Sprintf(" at %d", r.Header.Revision)
	}
	name := map[int]string{0: "txn", 1: "nested", 2: "nested"}[depth] + map[bool]string{true: " ok", false: " else"}[r.Succeeded]
	s.seen[name]++
	for _, a := range r.Responses {
		switch {
		case a.GetResponseRange() != nil:
			out += "\n" + s.rangeText(a.GetResponseRange(), side)
		case a.GetResponsePut() != nil:
			s.seen["put"]++
			out += "\nput"
		case a.GetResponseDeleteRange() != nil:
			s.seen["delete"]++
			out += fmt.Sprintf("\ndelete %d", a.GetResponseDeleteRange().Deleted)
		case a.GetResponseTxn() != nil:
			out += "\n" + s.txnText(a.GetResponseTxn(), side, depth+1)
		}
	}
	return out
}

func (s *sides) rangeText(r *etcdserverpb.RangeResponse, side int) string {
	out := fmt.Sprintf("count %d more %v", r.Count, r.More)
	for _, kv := range r.Kvs {
		out += " " + s.kvText(kv, side)
	}
	return out
}

func (s *sides) kvText(kv *mvccpb.KeyValue, side int) string {
	lease := -1
	for i, l := range s.leases {
		if l[side] == kv.Lease {
			lease = i
		}
	}
	return fmt.Sprintf("%s=%s(%d %d v%d l%d)", kv.Key, kv.Value, kv.CreateRevision, kv.ModRevision, kv.Version, lease)
}

// watchFrom watches both sides from rev on while do runs, and compares the
// puts they deliver up to the revision that is newest afterwards.
func (s *sides) watchFrom(rev int64, do func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	ch := [2]<-chan etcdlog.WatchResponse{s.c[0].Watch(ctx, "k/", rev), s.c[1].Watch(ctx, "k/", rev)}
	do()
	end := &etcdserverpb.TxnRequest{Success: []*etcdserverpb.RequestOp{{Request: &etcdserverpb.RequestOp_RequestPut{
		RequestPut: &etcdserverpb.PutRequest{Key: []byte("k/end"), Value: []byte("v")}}}}}
	s.both("end", func(c etcdlog.Client, _ int) (proto.Message, error) { return c.Txn(s.t.Context(), end) })
	var text [2]string
	for side := range ch {
		for done := false; !done; {
			r, ok := <-ch[side]
			if !ok || r.Err != nil {
				s.t.Fatalf("watch of side %d ended: %v", side, r.Err)
			}
			for _, e := range r.Events {
				text[side] += s.kvText(e.Kv, side) + "\n"
				done = done || string(e.Kv.Key) == "k/end"
			}
		}
	}
	if text[0] != text[1] {
		s.t.Fatalf("the fake's watch delivers\n%s\nand etcd's\n%s", text[0], text[1])
	}
}
