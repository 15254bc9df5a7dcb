package etcdlog

import (
	"fmt"
	"sync"

	"github.com/zonewise/zonewise/metadata"
)

// marks is how far the log was known to be: none of them ever falls. rev and
// head are etcd's own revisions.
type marks struct {
	rev, head         int64
	extent, truncated metadata.Extent
}

// seen is the greatest of everything this broker was told, by any answer.
type seen struct {
	mu sync.Mutex
	m  marks
}

func (s *seen) get() marks {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m
}

func (s *seen) learn(m marks) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m.rev = max(s.m.rev, m.rev)
	s.m.head = max(s.m.head, m.head)
	s.m.extent = max(s.m.extent, m.extent)
	s.m.truncated = max(s.m.truncated, m.truncated)
}

// check compares a linearizable answer with what had been seen before its
// request was sent (answers overtake one another): lower means that etcd went
// back in time.
func (m marks) check(before marks) error {
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

// standing is one consistent, linearizable view of the log's own keys.
type standing struct {
	marks
	incarnation bool // ours is still there
	got         got
}

// standingOps are the gets that standingOf reads.
func (l *Log) standingOps() []*op {
	return []*op{get(l.k.head()), get(l.k.extent()), get(l.k.truncated()), get(l.k.incarnation(l.format.Incarnation))}
}

// standingOf takes the log's keys out of a txn's answer, checks them against
// what was seen before it was sent, and learns them.
func (l *Log) standingOf(before marks, resp *txnResp) (standing, error) {
	st := standing{got: answers(resp)}
	st.rev = resp.Header.GetRevision()
	if kv := st.got[l.k.head()]; kv != nil {
		st.head = kv.ModRevision
	}
	inc := st.got[l.k.incarnation(l.format.Incarnation)]
	st.incarnation = inc != nil && (l.incCreated == 0 || inc.CreateRevision == l.incCreated)
	for key, to := range map[string]*metadata.Extent{l.k.extent(): &st.extent, l.k.truncated(): &st.truncated} {
		kv := st.got[key]
		if kv == nil {
			return st, fmt.Errorf("etcd lacks %s: somebody deleted keys of the cluster, or wiped it: %w", key, metadata.ErrOlderLog)
		}
		v, err := parseHex64(string(kv.Value))
		if err != nil {
			return st, fmt.Errorf("decode %s: %w", key, err)
		}
		*to = metadata.Extent(v)
	}
	if err := st.check(before); err != nil {
		return st, err
	}
	l.seen.learn(st.marks)
	if !st.incarnation {
		return st, fmt.Errorf("etcd does not hold incarnation %d any more: %w", l.format.Incarnation, metadata.ErrNewerIncarnation)
	}
	return st, nil
}
