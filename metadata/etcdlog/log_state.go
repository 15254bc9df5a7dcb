package etcdlog

import (
	"fmt"
	"sync"

	"github.com/zonewise/zonewise/metadata"
)

// progress is how far the log has advanced, as seen by this broker; no field ever
// falls. rev and head are etcd's own revisions.
type progress struct {
	rev, head         int64
	extent, truncated metadata.Extent
}

// knownProgress is the greatest progress in any response to this broker.
type knownProgress struct {
	mu sync.Mutex
	m  progress
}

func (s *knownProgress) get() progress {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m
}

func (s *knownProgress) advance(m progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m.rev = max(s.m.rev, m.rev)
	s.m.head = max(s.m.head, m.head)
	s.m.extent = max(s.m.extent, m.extent)
	s.m.truncated = max(s.m.truncated, m.truncated)
}

// checkNotBehind compares a linearizable response with what had been seen before
// its request was sent (responses may overtake each other): lower means that etcd
// went back in time.
func (m progress) checkNotBehind(before progress) error {
	for _, c := range []struct {
		what      string
		now, then int64
	}{
		{"revision", m.rev, before.rev}, {"head", m.head, before.head},
		{"generation", int64(m.extent), int64(before.extent)},
		{"truncated", int64(m.truncated), int64(before.truncated)},
	} {
		if c.now < c.then {
			return fmt.Errorf("etcd's %s is %d after it was %d: %w", c.what, c.now, c.then, metadata.ErrOlderLog)
		}
	}
	return nil
}

// logState is one consistent, linearizable view of the log's own keys.
type logState struct {
	progress
	archive     string // key of the accepted archive of extent truncated
	incarnation bool   // the key of this log's incarnation exists
	values      keyValues
}

// stateOps are the gets that decodeState reads.
func (l *Log) stateOps() []*op {
	return []*op{getOp(l.k.headKey()), getOp(l.k.extentKey()), getOp(l.k.truncatedKey()), getOp(l.k.incarnationKey(l.format.Incarnation))}
}

// decodeState reads the log's keys from a txn's response, checks them against
// what was seen before it was sent, and records them.
func (l *Log) decodeState(before progress, resp *txnResp) (logState, error) {
	st := logState{values: decodeGets(resp)}
	st.rev = resp.Header.GetRevision()
	if kv := st.values[l.k.headKey()]; kv != nil {
		st.head = kv.ModRevision
	}
	inc := st.values[l.k.incarnationKey(l.format.Incarnation)]
	st.incarnation = inc != nil && (l.incarnationCreated == 0 || inc.CreateRevision == l.incarnationCreated)
	for _, key := range []string{l.k.extentKey(), l.k.truncatedKey()} {
		if st.values[key] == nil {
			return st, fmt.Errorf("etcd has no key %s: keys of the cluster were deleted: %w", key, metadata.ErrOlderLog)
		}
	}
	extent, err := parseHex64(string(st.values[l.k.extentKey()].Value))
	if err != nil {
		return st, fmt.Errorf("decode %s: %w", l.k.extentKey(), err)
	}
	t, err := decodeTruncated(st.values[l.k.truncatedKey()].Value)
	if err != nil {
		return st, fmt.Errorf("decode %s: %w", l.k.truncatedKey(), err)
	}
	st.extent, st.truncated, st.archive = metadata.Extent(extent), t.extent, t.archive
	if err := st.checkNotBehind(before); err != nil {
		return st, err
	}
	l.seen.advance(st.progress)
	if !st.incarnation {
		return st, fmt.Errorf("etcd no longer holds incarnation %d: %w", l.format.Incarnation, metadata.ErrNewerIncarnation)
	}
	return st, nil
}
