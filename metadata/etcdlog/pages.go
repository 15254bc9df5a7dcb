package etcdlog

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/zonewise/zonewise/metadata"
)

// readExtentAt reads one extent's entries as of etcd revision rev, in pages, and
// returns them in revision order. Reads at a fixed revision are the same at every
// member, so the nearest one answers (serializable); a member that is not there
// yet is queried again. ErrCompacted where rev is gone.
func (l *Log) readExtentAt(ctx context.Context, g metadata.Extent, rev int64) ([]metadata.CommittedEntry, error) {
	prefix := l.k.extentPrefix(g)
	from, end := []byte(prefix), prefixEnd(prefix)
	limit := int64(minPageKeys)
	at := &retrier{l: l, name: fmt.Sprintf("page/%s@%d", prefix, rev)}
	var all []metadata.CommittedEntry
	for {
		resp, err := l.readPage(ctx, at, &rangeReq{Key: from, RangeEnd: end, Limit: limit, Revision: rev, Serializable: true})
		if errors.Is(err, rpctypes.ErrCompacted) {
			return nil, fmt.Errorf("read extent %d at revision %d: %w", g, l.toLogRevision(rev), metadata.ErrCompacted)
		}
		if err != nil {
			return nil, fmt.Errorf("read extent %d at revision %d: %w", g, l.toLogRevision(rev), err)
		}
		size := 0
		for _, kv := range resp.Kvs {
			c, err := l.decodeEntry(kv)
			if err != nil {
				return nil, err
			}
			size += len(kv.Key) + len(kv.Value)
			all = append(all, c)
		}
		if !resp.More {
			break
		}
		n := len(resp.Kvs)
		from = append(resp.Kvs[n-1].Key, 0)
		limit = min(max(int64(pageBytes/(size/n+1)), minPageKeys), maxPageKeys)
	}
	slices.SortFunc(all, func(a, b metadata.CommittedEntry) int { return int(a.Revision - b.Revision) })
	return all, nil
}

// readPage reads one page, and retries after temporary errors.
func (l *Log) readPage(ctx context.Context, at *retrier, r *rangeReq) (*rangeResp, error) {
	at.n = 0
	for {
		actx, cancel := context.WithTimeout(ctx, at.attemptTimeout())
		resp, err := l.c.Range(actx, r)
		cancel()
		if err == nil || errors.Is(err, rpctypes.ErrCompacted) || isRefused(err) {
			return resp, err
		}
		if err := l.waitForCurrentServer(ctx, at, err); err != nil {
			return nil, err
		}
	}
}

// decodeEntry decodes one log key. A log key is written once.
func (l *Log) decodeEntry(kv *keyValue) (metadata.CommittedEntry, error) {
	g, e, err := l.k.parseEntryKey(string(kv.Key))
	if err != nil {
		return metadata.CommittedEntry{}, err
	}
	if kv.Version != 1 || kv.CreateRevision != kv.ModRevision {
		return metadata.CommittedEntry{}, fmt.Errorf("log key %s was modified at revision %d after its creation at %d: another program writes to this etcd: %w",
			kv.Key, l.toLogRevision(kv.ModRevision), l.toLogRevision(kv.CreateRevision), metadata.ErrCorrupt)
	}
	return metadata.CommittedEntry{
		Revision: l.toLogRevision(kv.ModRevision), Extent: g, Session: e.Session, Lane: e.Lane, Seq: e.Seq, Bytes: kv.Value,
	}, nil
}
