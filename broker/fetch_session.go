package broker

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// Fetch sessions (KIP-227): the client sends a partition once, and then only
// changes; the responses have only changes. A session belongs to the connection
// that opened it and ends with it, so only the connection's writer uses it.

// maxConnSessions bounds the sessions of one connection: a client has one.
const maxConnSessions = 4

// fetchSessions are the sessions of a connection.
type fetchSessions struct{ sessions []*fetchSession }

// fetchSession is one session.
type fetchSession struct {
	id     int32
	epoch  int32 // the next expected one
	byID   bool  // opened with topic ids (from version 13)
	parts  []*sessionPart
	index  map[partKey]*sessionPart
	memory grant // of Server.polls
}

// partKey is a partition as the client identifies it.
type partKey struct {
	name  string
	id    metadata.TopicID
	index int32
}

// sessionPart is a partition of a session, and what the client received last.
type sessionPart struct {
	partKey
	offset      metadata.Offset
	maxBytes    int32
	leaderEpoch int32

	reported         bool // the client has received a response for it
	reportedNext     metadata.Offset
	reportedLogStart metadata.Offset
}

// Kafka's session epochs.
const (
	epochInitial = 0
	epochFinal   = -1
)

// enterSession finds or opens the request's session and lists the partitions to
// fetch. Without a session the response has every partition.
func (f *fetch) enterSession() int16 {
	c := &f.r.conn.sessions
	if f.r.version < 7 {
		f.q.SessionID, f.q.SessionEpoch = 0, epochFinal
	}
	switch f.q.SessionEpoch {
	case epochInitial, epochFinal:
		if f.q.SessionID != 0 {
			c.removeSession(f.s, f.q.SessionID)
		}
		f.fullResponse = true
		all := &fetchSession{byID: f.r.version >= 13, index: map[partKey]*sessionPart{}}
		all.applyRequest(f.q)
		if f.q.SessionEpoch == epochInitial && len(all.parts) > 0 {
			f.session = c.addSession(f.s, f.r.conn, all)
		}
		f.listParts(all)
		return noError
	}
	n := c.findSession(f.q.SessionID)
	switch {
	case n == nil:
		return kerr.FetchSessionIDNotFound.Code
	case n.epoch != f.q.SessionEpoch:
		return kerr.InvalidFetchSessionEpoch.Code
	case n.byID != (f.r.version >= 13):
		return kerr.FetchSessionTopicIDError.Code
	}
	n.epoch = nextSessionEpoch(n.epoch)
	if n.applyRequest(f.q); !n.growMemory(f.s, f.r.conn) {
		c.removeSession(f.s, n.id)
		return kerr.FetchSessionIDNotFound.Code // the client starts over without a session
	}
	f.session = n
	f.listParts(n)
	return noError
}

func nextSessionEpoch(e int32) int32 {
	if e == 1<<31-1 {
		return 1
	}
	return e + 1
}

func (f *fetch) listParts(n *fetchSession) {
	f.parts = make([]fetchPart, len(n.parts))
	for i, p := range n.parts {
		f.parts[i].sessionPart, f.parts[i].committedOnly = p, f.q.IsolationLevel == readCommitted
	}
}

// applyRequest applies the partitions that the request adds, changes and
// forgets.
func (n *fetchSession) applyRequest(q *kmsg.FetchRequest) {
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

// updateReported reports whether an incremental response must have the
// partition, and records its state.
func (p *fetchPart) updateReported() bool {
	said := p.code != noError || p.redirected || p.result.bytes > 0 || !p.reported || p.reportedNext != p.view.Next || p.reportedLogStart != p.view.LogStart
	p.reported, p.reportedNext, p.reportedLogStart = true, p.view.Next, p.view.LogStart
	if p.code != noError {
		p.reportedNext = -1 // so that the end of the error is reported too
	}
	return said
}

// rotateParts moves partitions that had data to the end, so that the others
// come first next time.
func (n *fetchSession) rotateParts(parts []fetchPart) {
	var with, without []*sessionPart
	for i := range parts {
		if parts[i].result.bytes > 0 {
			with = append(with, parts[i].sessionPart)
		} else {
			without = append(without, parts[i].sessionPart)
		}
	}
	n.parts = append(without, with...)
}

func (c *fetchSessions) findSession(id int32) *fetchSession {
	for _, n := range c.sessions {
		if n.id == id {
			return n
		}
	}
	return nil
}

// addSession gives a session an id; nil if there is no free slot, and the
// client continues without a session.
func (c *fetchSessions) addSession(s *Server, from *conn, n *fetchSession) *fetchSession {
	if len(c.sessions) >= maxConnSessions {
		c.removeSession(s, c.sessions[0].id)
	}
	if s.sessionSlots.Add(1) > MaxFetchSessions || !n.growMemory(s, from) {
		s.sessionSlots.Add(-1)
		s.metrics.sessionsFull.Inc()
		return nil
	}
	n.id, n.epoch = s.ids.newSessionID(), 1
	c.sessions = append(c.sessions, n)
	return n
}

func (c *fetchSessions) removeSession(s *Server, id int32) {
	for i, n := range c.sessions {
		if n.id == id {
			c.sessions = append(c.sessions[:i], c.sessions[i+1:]...)
			n.memory.releaseAll()
			s.sessionSlots.Add(-1)
			return
		}
	}
}

// close releases the slots when the connection ends.
func (c *fetchSessions) close(s *Server) {
	s.sessionSlots.Add(-int64(len(c.sessions)))
	for _, n := range c.sessions {
		n.memory.releaseAll()
	}
	c.sessions = nil
}

// growMemory acquires memory for the session's partitions, with room for as
// many again; false if there is none.
func (n *fetchSession) growMemory(s *Server, from *conn) bool {
	need := int64(len(n.parts)) * sessionPartBytes
	if need <= n.memory.size {
		return true
	}
	more, ok := s.polls.try(from, 2*need)
	if ok {
		n.memory.releaseAll()
		n.memory = more
	}
	return ok
}
