package etcdfake

import (
	"bytes"
	"cmp"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// maxTxnOps is etcd's default --max-txn-ops.
const maxTxnOps = 128

// txn is one transaction under way: reads see what it wrote.
type txn struct {
	s     *Store
	rev   int64 // of its writes
	wrote bool
}

// runTxn executes r. The mutex is held.
func (s *Store) runTxn(r *etcdserverpb.TxnRequest) (*etcdserverpb.TxnResponse, error) {
	if err := s.checkTxn(r); err != nil {
		return nil, err
	}
	if err := s.checkLeases(r); err != nil {
		return nil, err
	}
	t := &txn{s: s, rev: s.data.rev + 1}
	resp := t.run(r)
	if t.wrote {
		s.data.rev = t.rev
		s.wakeWatches()
	}
	resp.Header = &etcdserverpb.ResponseHeader{Revision: s.data.rev}
	return resp, nil
}

// checkTxn refuses what etcd refuses before execution.
func (s *Store) checkTxn(r *etcdserverpb.TxnRequest) error {
	if max(len(r.Compare), len(r.Success), len(r.Failure)) > maxTxnOps {
		return rpctypes.ErrTooManyOps
	}
	for _, ops := range [][]*etcdserverpb.RequestOp{r.Success, r.Failure} {
		for _, op := range ops {
			switch q := op.Request.(type) {
			case *etcdserverpb.RequestOp_RequestRange:
				if rev := q.RequestRange.Revision; rev > s.data.rev {
					return rpctypes.ErrFutureRev
				} else if rev > 0 && rev < s.data.compacted {
					return rpctypes.ErrCompacted
				}
			case *etcdserverpb.RequestOp_RequestPut:
				if len(q.RequestPut.Key) == 0 {
					return rpctypes.ErrEmptyKey
				}
			case *etcdserverpb.RequestOp_RequestTxn:
				if err := s.checkTxn(q.RequestTxn); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// checkLeases refuses a txn that would put under a missing lease: in the branches
// it takes, before anything is written.
func (s *Store) checkLeases(r *etcdserverpb.TxnRequest) error {
	ops := r.Failure
	if s.comparesHold(r.Compare, s.data.rev) {
		ops = r.Success
	}
	for _, op := range ops {
		switch q := op.Request.(type) {
		case *etcdserverpb.RequestOp_RequestPut:
			if id := q.RequestPut.Lease; id != 0 && s.leases[id] == nil {
				return rpctypes.ErrLeaseNotFound
			}
		case *etcdserverpb.RequestOp_RequestTxn:
			if err := s.checkLeases(q.RequestTxn); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *txn) currentRevision() int64 {
	if t.wrote {
		return t.rev
	}
	return t.s.data.rev
}

// run executes r after its checks. As in etcd, every comparison, also of
// nested txns, sees the store as it was before the first write.
func (t *txn) run(r *etcdserverpb.TxnRequest) *etcdserverpb.TxnResponse {
	return t.apply(r, t.planBranches(r))
}

// branchPlan has the branches that are taken, decided before anything is written.
type branchPlan struct {
	ok     bool
	nested []*branchPlan
}

func (t *txn) planBranches(r *etcdserverpb.TxnRequest) *branchPlan {
	p := &branchPlan{ok: t.s.comparesHold(r.Compare, t.s.data.rev)}
	for _, op := range branchOps(r, p.ok) {
		if q := op.GetRequestTxn(); q != nil {
			p.nested = append(p.nested, t.planBranches(q))
		}
	}
	return p
}

func branchOps(r *etcdserverpb.TxnRequest, ok bool) []*etcdserverpb.RequestOp {
	if ok {
		return r.Success
	}
	return r.Failure
}

func (t *txn) apply(r *etcdserverpb.TxnRequest, p *branchPlan) *etcdserverpb.TxnResponse {
	resp := &etcdserverpb.TxnResponse{Succeeded: p.ok}
	nth := 0
	for _, op := range branchOps(r, p.ok) {
		var a etcdserverpb.ResponseOp
		switch q := op.Request.(type) {
		case *etcdserverpb.RequestOp_RequestRange:
			rr, err := t.s.data.rangeAt(q.RequestRange, t.currentRevision())
			if err != nil {
				panic("etcdfake: range in a checked txn: " + err.Error())
			}
			a.Response = &etcdserverpb.ResponseOp_ResponseRange{ResponseRange: rr}
		case *etcdserverpb.RequestOp_RequestPut:
			t.put(q.RequestPut)
			a.Response = &etcdserverpb.ResponseOp_ResponsePut{ResponsePut: &etcdserverpb.PutResponse{}}
		case *etcdserverpb.RequestOp_RequestDeleteRange:
			n := t.deleteRange(q.RequestDeleteRange.Key, q.RequestDeleteRange.RangeEnd)
			a.Response = &etcdserverpb.ResponseOp_ResponseDeleteRange{ResponseDeleteRange: &etcdserverpb.DeleteRangeResponse{Deleted: n}}
		case *etcdserverpb.RequestOp_RequestTxn:
			a.Response = &etcdserverpb.ResponseOp_ResponseTxn{ResponseTxn: t.apply(q.RequestTxn, p.nested[nth])}
			nth++
		}
		resp.Responses = append(resp.Responses, &a)
	}
	return resp
}

func (t *txn) put(r *etcdserverpb.PutRequest) {
	s, key := t.s, string(r.Key)
	kv := &mvccpb.KeyValue{Key: bytes.Clone(r.Key), Value: bytes.Clone(r.Value), ModRevision: t.rev, CreateRevision: t.rev, Version: 1, Lease: r.Lease}
	if old := s.data.findVersion(key, t.rev); old != nil {
		kv.CreateRevision, kv.Version = old.CreateRevision, old.Version+1
		s.detachKey(key, old.Lease)
	}
	if l := s.leases[r.Lease]; l != nil {
		l.keys[key] = true
	}
	s.data.addVersion(key, version{kv: kv, mod: t.rev})
	t.wrote = true
}

func (t *txn) deleteRange(key, end []byte) int64 {
	all := t.s.data.listRange(key, end, t.currentRevision())
	for _, kv := range all {
		t.s.detachKey(string(kv.Key), kv.Lease)
		t.s.data.addVersion(string(kv.Key), version{kv: &mvccpb.KeyValue{Key: kv.Key, ModRevision: t.rev}, mod: t.rev, deleted: true})
		t.wrote = true
	}
	return int64(len(all))
}

// comparesHold evaluates comparisons at rev.
func (s *Store) comparesHold(cs []*etcdserverpb.Compare, rev int64) bool {
	for _, c := range cs {
		kvs := s.data.listRange(c.Key, c.RangeEnd, rev)
		if len(kvs) == 0 {
			if c.Target == etcdserverpb.Compare_VALUE || !compareKV(c, &mvccpb.KeyValue{}) {
				return false
			}
		}
		for _, kv := range kvs {
			if !compareKV(c, kv) {
				return false
			}
		}
	}
	return true
}

func compareKV(c *etcdserverpb.Compare, kv *mvccpb.KeyValue) bool {
	var r int
	switch c.Target {
	case etcdserverpb.Compare_VALUE:
		r = bytes.Compare(kv.Value, c.GetValue())
	case etcdserverpb.Compare_CREATE:
		r = cmp.Compare(kv.CreateRevision, c.GetCreateRevision())
	case etcdserverpb.Compare_MOD:
		r = cmp.Compare(kv.ModRevision, c.GetModRevision())
	case etcdserverpb.Compare_VERSION:
		r = cmp.Compare(kv.Version, c.GetVersion())
	case etcdserverpb.Compare_LEASE:
		r = cmp.Compare(kv.Lease, c.GetLease())
	}
	switch c.Result {
	case etcdserverpb.Compare_EQUAL:
		return r == 0
	case etcdserverpb.Compare_NOT_EQUAL:
		return r != 0
	case etcdserverpb.Compare_GREATER:
		return r > 0
	default:
		return r < 0
	}
}
