package etcdlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/zonewise/zonewise/metadata"
)

// LayoutVersion is the version of the key layout (keys.go). A broker that
// finds another one refuses to start.
const LayoutVersion = 1

// BaseStep: the base of a recovered cluster is a multiple of it, so that no etcd
// can have counted from one base to the next.
const BaseStep metadata.Revision = 1 << 40

// Errors of Create, Recover and Open.
var (
	ErrNoCluster     = errors.New("no such cluster in etcd")
	ErrClusterExists = errors.New("cluster exists in etcd")
	ErrLayout        = errors.New("unknown layout version")
)

// Format is the cluster's format key.
type Format struct {
	Layout int `json:"layout"`
	// Level is the feature level at which the incarnation began. The state has
	// the present one.
	Level       metadata.FeatureLevel `json:"level"`
	Incarnation metadata.Incarnation  `json:"incarnation"`
	// Base is what is added to every revision of this etcd.
	Base metadata.Revision `json:"base"`
}

// Validate returns an error where f is not valid.
func (f Format) Validate() error {
	switch {
	case f.Layout != LayoutVersion:
		return fmt.Errorf("etcd holds layout version %d, this program knows %d; use a program of the cluster's version: %w", f.Layout, LayoutVersion, ErrLayout)
	case f.Incarnation < 1:
		return fmt.Errorf("check format key: incarnation %d is below 1", f.Incarnation)
	case f.Base < 0 || f.Base%BaseStep != 0:
		return fmt.Errorf("check format key: base %d is not a multiple of %d", f.Base, BaseStep)
	case f.Level < 1:
		return fmt.Errorf("check format key: feature level %d is below 1", f.Level)
	case f.Level > metadata.MaxFeatureLevel: // one below this program's may have been raised since: the follower knows
		return fmt.Errorf("check format key: %w", metadata.CheckLevel(f.Level))
	}
	return nil
}

// ReadFormat reads the cluster's format. ok is false where etcd has no cluster of
// this name: a new one may be created if the bucket is empty too; otherwise etcd
// lost it, and `zonewise recover` rebuilds it.
func ReadFormat(ctx context.Context, c Client, cluster string) (f Format, ok bool, err error) {
	if !isValidName(cluster) {
		return Format{}, false, fmt.Errorf("read format of cluster %q: a name is 1 to 128 of [A-Za-z0-9._:-]", cluster)
	}
	resp, err := c.Range(ctx, &rangeReq{Key: []byte(newKeys(cluster).formatKey())})
	if err != nil {
		return Format{}, false, fmt.Errorf("read format of cluster %q: %w", cluster, err)
	}
	if len(resp.Kvs) == 0 {
		return Format{}, false, nil
	}
	if err := json.Unmarshal(resp.Kvs[0].Value, &f); err != nil {
		return Format{}, false, fmt.Errorf("decode format key %s: %w", resp.Kvs[0].Key, err)
	}
	return f, true, f.Validate()
}

// Create creates the cluster in an etcd that does not have it. token is the
// brokers' shared secret (random, from the caller). If another broker has created
// it meanwhile, that cluster is returned, and created is false.
func Create(ctx context.Context, c Client, cluster, token string) (f Format, created bool, err error) {
	f = Format{Layout: LayoutVersion, Level: metadata.MinFeatureLevel, Incarnation: 1}
	return createKeys(ctx, c, cluster, f, func(k keys) []*op {
		return []*op{
			putOp(k.extentKey(), []byte(formatHex64(1))),
			putOp(k.truncatedKey(), nothingTruncated()),
			putOp(k.tokenKey(), []byte(token)),
		}
	})
}

// RecoverRequest is the start of a recovered cluster.
type RecoverRequest struct {
	Incarnation metadata.Incarnation // the newest in the bucket + 1
	Base        metadata.Revision    // above every revision in the bucket; see NextBase
	Level       metadata.FeatureLevel
	// Truncated is the last extent in the bucket: the log continues with the one
	// after it.
	Truncated  metadata.Extent
	Archive    string                      // key of its archive
	Checkpoint *metadata.CheckpointPointer // nil where there is none
	Token      string
}

// NextBase returns the base of a recovered cluster whose bucket has revisions up
// to newest.
func NextBase(newest metadata.Revision) metadata.Revision {
	return (newest/BaseStep + 1) * BaseStep
}

// Recover creates the cluster again in a new, empty etcd. The caller has put
// incarnation/<n> into the bucket before, if absent. ErrClusterExists where etcd
// has the cluster already.
func Recover(ctx context.Context, c Client, cluster string, r RecoverRequest) (Format, error) {
	if r.Incarnation < 2 || r.Base < BaseStep {
		return Format{}, fmt.Errorf("recover cluster %q: incarnation %d and base %d are those of a new cluster", cluster, r.Incarnation, r.Base)
	}
	upTo, err := truncated{extent: r.Truncated, archive: r.Archive}.encode()
	if err != nil {
		return Format{}, fmt.Errorf("recover cluster %q: %w", cluster, err)
	}
	f := Format{Layout: LayoutVersion, Level: r.Level, Incarnation: r.Incarnation, Base: r.Base}
	var pointer []byte
	if r.Checkpoint != nil {
		if pointer, err = encodePointer(*r.Checkpoint); err != nil {
			return Format{}, fmt.Errorf("recover cluster %q: %w", cluster, err)
		}
	}
	got, created, err := createKeys(ctx, c, cluster, f, func(k keys) []*op {
		ops := []*op{
			putOp(k.extentKey(), []byte(formatHex64(uint64(r.Truncated)+1))),
			putOp(k.truncatedKey(), upTo),
			putOp(k.tokenKey(), []byte(r.Token)),
		}
		if pointer != nil {
			ops = append(ops, putOp(k.checkpointKey(), pointer))
		}
		return ops
	})
	if err == nil && !created && got != f {
		err = fmt.Errorf("recover cluster %q: etcd has incarnation %d of it; recover into an empty etcd: %w", cluster, got.Incarnation, ErrClusterExists)
	}
	return got, err
}

// createKeys writes the keys of a cluster in one txn, if format is absent.
func createKeys(ctx context.Context, c Client, cluster string, f Format, rest func(keys) []*op) (Format, bool, error) {
	if err := f.Validate(); err != nil {
		return Format{}, false, fmt.Errorf("create cluster %q: %w", cluster, err)
	}
	if !isValidName(cluster) {
		return Format{}, false, fmt.Errorf("create cluster %q: a name is 1 to 128 of [A-Za-z0-9._:-]", cluster)
	}
	k := newKeys(cluster)
	value, err := json.Marshal(f)
	if err != nil {
		return Format{}, false, fmt.Errorf("create cluster %q: %w", cluster, err)
	}
	t := &txnReq{
		Compare: []*etcdserverpb.Compare{compareAbsent(k.formatKey()), compareAbsent(k.incarnationKey(f.Incarnation))},
		Success: append([]*op{putOp(k.formatKey(), value), putOp(k.incarnationKey(f.Incarnation), []byte(cluster))}, rest(k)...),
	}
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		resp, err := c.Txn(ctx, t)
		if err == nil {
			if resp.Succeeded {
				return f, true, nil
			}
			// Our own, if a response was lost, or another broker's: both are
			// good.
			have, ok, err := ReadFormat(ctx, c, cluster)
			if err == nil && !ok {
				err = fmt.Errorf("create cluster %q: keys of a cluster without its format key; %s must be empty", cluster, k.root)
			}
			return have, false, err
		}
		if isRefused(err) {
			return Format{}, false, fmt.Errorf("create cluster %q: %w", cluster, err)
		}
		select {
		case <-ctx.Done():
			return Format{}, false, fmt.Errorf("create cluster %q: %w (last: %v)", cluster, ctx.Err(), err)
		case <-time.After(wait):
		}
	}
}

// pointerJSON is the checkpoint key's value.
type pointerJSON struct {
	Revision   metadata.Revision `json:"revision"`
	Generation metadata.Extent   `json:"generation"`
	Object     string            `json:"object"`
	Hash       string            `json:"hash"`
}

func encodePointer(p metadata.CheckpointPointer) ([]byte, error) {
	if p.Object == "" || p.Revision < 0 {
		return nil, fmt.Errorf("encode checkpoint pointer: object %q, revision %d", p.Object, p.Revision)
	}
	return json.Marshal(pointerJSON{p.Revision, p.Extent, p.Object, formatHex64(p.Hash)})
}

func decodePointer(b []byte) (*metadata.CheckpointPointer, error) {
	var p pointerJSON
	if err := json.Unmarshal(b, &p); err != nil {
		return nil, fmt.Errorf("decode checkpoint pointer: %w", err)
	}
	h, err := parseHex64(p.Hash)
	if err != nil || p.Object == "" {
		return nil, fmt.Errorf("decode checkpoint pointer: object %q, hash %q", p.Object, p.Hash)
	}
	return &metadata.CheckpointPointer{Revision: p.Revision, Extent: p.Generation, Object: p.Object, Hash: h}, nil
}
