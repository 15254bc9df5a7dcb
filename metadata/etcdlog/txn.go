package etcdlog

import (
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// This file builds etcd's messages; nothing in it decides anything.

type (
	compare   = etcdserverpb.Compare
	op        = etcdserverpb.RequestOp
	txnReq    = etcdserverpb.TxnRequest
	txnResp   = etcdserverpb.TxnResponse
	rangeReq  = etcdserverpb.RangeRequest
	rangeResp = etcdserverpb.RangeResponse
	keyValue  = mvccpb.KeyValue
)

// created: the key exists and was created at etcd revision rev; rev 0: it is
// absent.
func created(key string, rev int64) *compare {
	return &compare{Result: etcdserverpb.Compare_EQUAL, Target: etcdserverpb.Compare_CREATE,
		Key: []byte(key), TargetUnion: &etcdserverpb.Compare_CreateRevision{CreateRevision: rev}}
}

func absent(key string) *compare { return created(key, 0) }

// noneCreated: no key below prefix was created at rev.
func noneCreated(prefix string, rev int64) *compare {
	return &compare{Result: etcdserverpb.Compare_NOT_EQUAL, Target: etcdserverpb.Compare_CREATE,
		Key: []byte(prefix), RangeEnd: prefixEnd(prefix),
		TargetUnion: &etcdserverpb.Compare_CreateRevision{CreateRevision: rev}}
}

// allCreatedBefore: every key below prefix was created before rev.
func allCreatedBefore(prefix string, rev int64) *compare {
	return &compare{Result: etcdserverpb.Compare_LESS, Target: etcdserverpb.Compare_CREATE,
		Key: []byte(prefix), RangeEnd: prefixEnd(prefix),
		TargetUnion: &etcdserverpb.Compare_CreateRevision{CreateRevision: rev}}
}

// modified: the key was last written at rev; 0: it is absent.
func modified(key string, rev int64) *compare {
	return &compare{Result: etcdserverpb.Compare_EQUAL, Target: etcdserverpb.Compare_MOD,
		Key: []byte(key), TargetUnion: &etcdserverpb.Compare_ModRevision{ModRevision: rev}}
}

func valueIs(key, value string) *compare {
	return valueCompare(key, etcdserverpb.Compare_EQUAL, value)
}

// valueCompare is false where the key is absent.
func valueCompare(key string, how etcdserverpb.Compare_CompareResult, value string) *compare {
	return &compare{Result: how, Target: etcdserverpb.Compare_VALUE,
		Key: []byte(key), TargetUnion: &etcdserverpb.Compare_Value{Value: []byte(value)}}
}

func put(key string, value []byte) *op { return putLease(key, value, 0) }

func putLease(key string, value []byte, lease int64) *op {
	return &op{Request: &etcdserverpb.RequestOp_RequestPut{RequestPut: &etcdserverpb.PutRequest{
		Key: []byte(key), Value: value, Lease: lease}}}
}

func get(key string) *op {
	return &op{Request: &etcdserverpb.RequestOp_RequestRange{RequestRange: &rangeReq{Key: []byte(key)}}}
}

// getBelow gets every key below prefix.
func getBelow(prefix string) *op {
	return &op{Request: &etcdserverpb.RequestOp_RequestRange{RequestRange: &rangeReq{Key: []byte(prefix), RangeEnd: prefixEnd(prefix)}}}
}

// deleteRange deletes the keys from first to last, both included.
func deleteRange(first, last []byte) *op {
	return &op{Request: &etcdserverpb.RequestOp_RequestDeleteRange{RequestDeleteRange: &etcdserverpb.DeleteRangeRequest{
		Key: first, RangeEnd: append(append([]byte(nil), last...), 0)}}}
}

func nested(t *txnReq) *op {
	return &op{Request: &etcdserverpb.RequestOp_RequestTxn{RequestTxn: t}}
}

// prefixEnd is the key after every key with the prefix. Our prefixes end in
// '/', so there is always one.
func prefixEnd(prefix string) []byte {
	end := []byte(prefix)
	end[len(end)-1]++
	return end
}

// got is what the gets among a txn's answers found: nil where the key is
// absent.
type got map[string]*keyValue

func answers(r *txnResp) got {
	g := got{}
	for _, a := range r.Responses {
		if rr := a.GetResponseRange(); rr != nil {
			for _, kv := range rr.Kvs {
				g[string(kv.Key)] = kv
			}
		}
	}
	return g
}
