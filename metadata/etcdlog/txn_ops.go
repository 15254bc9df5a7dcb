package etcdlog

import (
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// This file builds etcd's messages; it contains no logic.

type (
	compare   = etcdserverpb.Compare
	op        = etcdserverpb.RequestOp
	txnReq    = etcdserverpb.TxnRequest
	txnResp   = etcdserverpb.TxnResponse
	rangeReq  = etcdserverpb.RangeRequest
	rangeResp = etcdserverpb.RangeResponse
	keyValue  = mvccpb.KeyValue
)

// compareCreated: the key exists and was created at etcd revision rev; rev 0: it is
// absent.
func compareCreated(key string, rev int64) *compare {
	return &compare{Result: etcdserverpb.Compare_EQUAL, Target: etcdserverpb.Compare_CREATE,
		Key: []byte(key), TargetUnion: &etcdserverpb.Compare_CreateRevision{CreateRevision: rev}}
}

func compareAbsent(key string) *compare { return compareCreated(key, 0) }

// compareNoneCreated: no key below prefix was created at rev.
func compareNoneCreated(prefix string, rev int64) *compare {
	return &compare{Result: etcdserverpb.Compare_NOT_EQUAL, Target: etcdserverpb.Compare_CREATE,
		Key: []byte(prefix), RangeEnd: prefixEnd(prefix),
		TargetUnion: &etcdserverpb.Compare_CreateRevision{CreateRevision: rev}}
}

// compareAllCreatedBefore: every key below prefix was created before rev.
func compareAllCreatedBefore(prefix string, rev int64) *compare {
	return &compare{Result: etcdserverpb.Compare_LESS, Target: etcdserverpb.Compare_CREATE,
		Key: []byte(prefix), RangeEnd: prefixEnd(prefix),
		TargetUnion: &etcdserverpb.Compare_CreateRevision{CreateRevision: rev}}
}

// compareModified: the key was last written at rev; 0: it is absent.
func compareModified(key string, rev int64) *compare {
	return &compare{Result: etcdserverpb.Compare_EQUAL, Target: etcdserverpb.Compare_MOD,
		Key: []byte(key), TargetUnion: &etcdserverpb.Compare_ModRevision{ModRevision: rev}}
}

func compareValueEqual(key, value string) *compare {
	return compareValue(key, etcdserverpb.Compare_EQUAL, value)
}

// compareValue is false where the key is absent.
func compareValue(key string, how etcdserverpb.Compare_CompareResult, value string) *compare {
	return &compare{Result: how, Target: etcdserverpb.Compare_VALUE,
		Key: []byte(key), TargetUnion: &etcdserverpb.Compare_Value{Value: []byte(value)}}
}

func putOp(key string, value []byte) *op { return putLeaseOp(key, value, 0) }

func putLeaseOp(key string, value []byte, lease int64) *op {
	return &op{Request: &etcdserverpb.RequestOp_RequestPut{RequestPut: &etcdserverpb.PutRequest{
		Key: []byte(key), Value: value, Lease: lease}}}
}

func getOp(key string) *op {
	return &op{Request: &etcdserverpb.RequestOp_RequestRange{RequestRange: &rangeReq{Key: []byte(key)}}}
}

// getPrefixOp gets every key below prefix.
func getPrefixOp(prefix string) *op {
	return &op{Request: &etcdserverpb.RequestOp_RequestRange{RequestRange: &rangeReq{Key: []byte(prefix), RangeEnd: prefixEnd(prefix)}}}
}

// deleteRangeOp deletes the keys from first to last, both included.
func deleteRangeOp(first, last []byte) *op {
	return &op{Request: &etcdserverpb.RequestOp_RequestDeleteRange{RequestDeleteRange: &etcdserverpb.DeleteRangeRequest{
		Key: first, RangeEnd: append(append([]byte(nil), last...), 0)}}}
}

func nestedTxnOp(t *txnReq) *op {
	return &op{Request: &etcdserverpb.RequestOp_RequestTxn{RequestTxn: t}}
}

// prefixEnd returns the key after every key with the prefix. All prefixes end in
// '/', so there is always one.
func prefixEnd(prefix string) []byte {
	end := []byte(prefix)
	end[len(end)-1]++
	return end
}

// keyValues are the results of the gets in a txn's response: nil where the key is
// absent.
type keyValues map[string]*keyValue

func decodeGets(r *txnResp) keyValues {
	g := keyValues{}
	for _, a := range r.Responses {
		if rr := a.GetResponseRange(); rr != nil {
			for _, kv := range rr.Kvs {
				g[string(kv.Key)] = kv
			}
		}
	}
	return g
}
