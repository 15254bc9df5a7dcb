package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// Fetch sessions (KIP-227): the client sends a partition once, and afterwards
// only what changed; the broker answers only what changed. A session belongs
// to the connection that made it and ends with it, so only the connection's
// writer touches it.

// maxConnSessions bounds the sessions of one connection: a client has one.
const maxConnSessions = 4

// fetchSessions are a connection's.
type fetchSessions struct{ open []*fetchSession }

// fetchSession is one session.
type fetchSession struct {
	id    int32
	epoch int32 // expected next
	byID  bool  // opened with topic ids (version 13 on)
	parts []*sessionPart
	index map[partKey]*sessionPart
	held  grant // of Server.polls
}

// partKey is how the client names a partition.
type partKey struct {
	name  string
	id    metadata.TopicID
	index int32
}

// sessionPart is a partition as a client fetches it, and what it was told last.
type sessionPart struct {
	partKey
	offset      metadata.Offset
	maxBytes    int32
	leaderEpoch int32

	told     bool // the client has been answered once
	next     metadata.Offset
	logStart metadata.Offset
}

// Kafka's session epochs.
const (
	epochInitial = 0
	epochFinal   = -1
)

// enter finds or opens the request's session and lists the partitions to
// fetch. Without a session every partition is answered.
func (f *fetch) enter() int16 {
	c := &f.r.conn.sessions
	if f.r.version < 7 {
		f.q.SessionID, f.q.SessionEpoch = 0, epochFinal
	}
	switch f.q.SessionEpoch {
	case epochInitial, epochFinal:
		if f.q.SessionID != 0 {
			c.drop(f.s, f.q.SessionID)
		}
		f.full = true
		all := &fetchSession{byID: f.r.version >= 13, index: map[partKey]*sessionPart{}}
		all.update(f.q)
		if f.q.SessionEpoch == epochInitial && len(all.parts) > 0 {
			f.session = c.add(f.s, f.r.conn, all)
		}
		f.list(all)
		return errNone
	}
	n := c.find(f.q.SessionID)
	switch {
	case n == nil:
		return errSessionNotFound
	case n.epoch != f.q.SessionEpoch:
		return errSessionEpoch
	case n.byID != (f.r.version >= 13):
		return errSessionTopicID
	}
	n.epoch = nextEpoch(n.epoch)
	if n.update(f.q); !n.resize(f.s, f.r.conn) {
		c.drop(f.s, n.id)
		return errSessionNotFound // the client begins anew, without one
	}
	f.session = n
	f.list(n)
	return errNone
}

func nextEpoch(e int32) int32 {
	if e == 1<<31-1 {
		return 1
	}
	return e + 1
}

func (f *fetch) list(n *fetchSession) {
	f.parts = make([]fetchPart, len(n.parts))
	for i, p := range n.parts {
		f.parts[i].sessionPart, f.parts[i].committed = p, f.q.IsolationLevel == readCommitted
	}
}

// update takes over what the request adds, changes and forgets.
func (n *fetchSession) update(q *kmsg.FetchRequest) {
	for i := range q.Topics {
		t := &q.Topics[i]
		for j := range t.Partitions {
			rp := &t.Partitions[j]
			k := partKey{t.Topic, t.TopicID, rp.Partition}
			p := n.index[k]
			if p == nil {
				p = &sessionPart{partKey: k}
				n.index[k] = p
				n.parts = append(n.parts, p)
			}
			p.offset, p.maxBytes, p.leaderEpoch = metadata.Offset(rp.FetchOffset), rp.PartitionMaxBytes, rp.CurrentLeaderEpoch
		}
	}
	if len(q.ForgottenTopics) == 0 {
		return
	}
	for _, t := range q.ForgottenTopics {
		for _, i := range t.Partitions {
			delete(n.index, partKey{t.Topic, t.TopicID, i})
		}
	}
	kept := n.parts[:0]
	for _, p := range n.parts {
		if n.index[p.partKey] == p {
			kept = append(kept, p)
		}
	}
	clear(n.parts[len(kept):])
	n.parts = kept
}

// says reports whether an incremental answer must carry the partition, and
// remembers what it says.
func (p *fetchPart) says() bool {
	said := p.code != errNone || p.steered || p.answer.bytes > 0 || !p.told || p.next != p.head.Next || p.logStart != p.head.LogStart
	p.told, p.next, p.logStart = true, p.head.Next, p.head.LogStart
	if p.code != errNone {
		p.next = -1 // recovery is said, too
	}
	return said
}

// rotate moves partitions that had data to the back, so that the others come
// first next time.
func (n *fetchSession) rotate(parts []fetchPart) {
	var with, without []*sessionPart
	for i := range parts {
		if parts[i].answer.bytes > 0 {
			with = append(with, parts[i].sessionPart)
		} else {
			without = append(without, parts[i].sessionPart)
		}
	}
	n.parts = append(without, with...)
}

func (c *fetchSessions) find(id int32) *fetchSession {
	for _, n := range c.open {
		if n.id == id {
			return n
		}
	}
	return nil
}

// add gives a session an id; nil where there is no slot left, and the client
// goes on without.
func (c *fetchSessions) add(s *Server, from *conn, n *fetchSession) *fetchSession {
	if len(c.open) >= maxConnSessions {
		c.drop(s, c.open[0].id)
	}
	if s.slots.Add(1) > MaxFetchSessions || !n.resize(s, from) {
		s.slots.Add(-1)
		s.metrics.sessionsFull.Inc()
		return nil
	}
	n.id, n.epoch = s.ids.session(), 1
	c.open = append(c.open, n)
	return n
}

func (c *fetchSessions) drop(s *Server, id int32) {
	for i, n := range c.open {
		if n.id == id {
			c.open = append(c.open[:i], c.open[i+1:]...)
			n.held.release()
			s.slots.Add(-1)
			return
		}
	}
}

// close gives the slots back when the connection ends.
func (c *fetchSessions) close(s *Server) {
	s.slots.Add(-int64(len(c.open)))
	for _, n := range c.open {
		n.held.release()
	}
	c.open = nil
}

// resize takes the memory that the session's partitions need now, with room for
// as many again; false where there is none.
func (n *fetchSession) resize(s *Server, from *conn) bool {
	need := int64(len(n.parts)) * bytesOfSessionPart
	if need <= n.held.n {
		return true
	}
	more, ok := s.polls.try(from, 2*need)
	if ok {
		n.held.release()
		n.held = more
	}
	return ok
}
