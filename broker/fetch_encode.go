package broker

import (
	"net"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/router"
)

// The response to a Fetch is encoded by hand: kmsg would copy every record into one
// growing slice; here the records are sent from the caches (net.Buffers).
//
//	throttle, [error, session from v7]
//	topics: name or id, partitions: index, error, high watermark, last stable,
//	  [log start v5], aborted transactions, [preferred replica v11], records
//	[tags from v12: of a partition 1 = current leader; of the answer 0 = nodes]

// beginResponse encodes what precedes the topics.
func (f *fetch) beginResponse(code int16, session int32) response {
	b := appendResponseHeader(make([]byte, 0, 64+96*len(f.parts)), f.r.correlation, f.isFlexible())
	b = kbin.AppendInt32(b, f.throttleMs)
	if f.r.version >= 7 {
		b = kbin.AppendInt16(b, code)
		b = kbin.AppendInt32(b, session)
	}
	return response{head: b}
}

func (f *fetch) isFlexible() bool { return f.r.version >= 12 }

func (f *fetch) appendArrayLen(b []byte, n int) []byte {
	if f.isFlexible() {
		return kbin.AppendCompactArrayLen(b, n)
	}
	return kbin.AppendArrayLen(b, n)
}

// endEmptyResponse encodes what follows the partitions of a response without
// topics.
func (f *fetch) endEmptyResponse(b []byte, nodes []router.Endpoint) []byte {
	b = f.appendArrayLen(b, 0)
	return f.appendTags(b, nodes)
}

// appendTags ends the response: from version 16 with the endpoints of the
// leader hints.
func (f *fetch) appendTags(b []byte, nodes []router.Endpoint) []byte {
	if !f.isFlexible() {
		return b
	}
	if len(nodes) == 0 || f.r.version < 16 {
		return append(b, 0)
	}
	var t []byte
	t = kbin.AppendCompactArrayLen(t, len(nodes))
	for _, n := range nodes {
		t = kbin.AppendInt32(t, int32(n.ID))
		t = kbin.AppendCompactString(t, n.Host)
		t = kbin.AppendInt32(t, n.Port)
		t = kbin.AppendCompactNullableString(t, nullableText(string(n.Rack)))
		t = append(t, 0)
	}
	b = kbin.AppendUvarint(append(b, 1), 0)
	b = kbin.AppendUvarint(b, uint32(len(t)))
	return append(b, t...)
}

// fetchWriter collects header bytes and records.
type fetchWriter struct {
	f       *fetch
	header  []byte      // header bytes not yet in out
	buffers net.Buffers // without the first part
	first   []byte
	hints   *leaderHints
}

// encode encodes the whole response, and updates the session.
func (f *fetch) encode() response {
	said := make([]*fetchPart, 0, len(f.parts))
	for i := range f.parts {
		p := &f.parts[i]
		if p.updateReported() || f.fullResponse {
			said = append(said, p)
		}
	}
	id := int32(0)
	if f.session != nil {
		id = f.session.id
		f.session.rotateParts(f.parts)
	}
	a := f.beginResponse(noError, id)
	w := fetchWriter{f: f, header: a.head, hints: f.s.newLeaderHints(f.r)}
	groups := groupByTopic(said)
	w.header = f.appendArrayLen(w.header, len(groups))
	for _, g := range groups {
		w.writeTopic(g)
		for _, p := range g {
			w.writePart(p)
			a.attribution.gets += p.gets
			if p.result.bytes > 0 {
				a.attribution.addBytes(p.tp.Topic, p.result.bytes)
			}
		}
		if f.isFlexible() {
			w.header = append(w.header, 0)
		}
	}
	w.header = f.appendTags(w.header, w.hints.listEndpoints())
	w.flushHeader()
	a.head, a.tail = w.first, w.buffers
	a.release = func() { f.recordMemory.releaseAll(); f.extraMemory.releaseAll(); f.pollMemory.releaseAll() }
	return a
}

// groupByTopic groups adjacent parts of the same topic.
func groupByTopic(parts []*fetchPart) [][]*fetchPart {
	var out [][]*fetchPart
	at := map[partKey]int{}
	for _, p := range parts {
		k := partKey{name: p.name, id: p.id}
		i, ok := at[k]
		if !ok {
			i = len(out)
			at[k] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], p)
	}
	return out
}

func (w *fetchWriter) writeTopic(g []*fetchPart) {
	switch {
	case w.f.r.version >= 13:
		w.header = append(w.header, g[0].id[:]...)
	case w.f.isFlexible():
		w.header = kbin.AppendCompactString(w.header, g[0].name)
	default:
		w.header = kbin.AppendString(w.header, g[0].name)
	}
	w.header = w.f.appendArrayLen(w.header, len(g))
}

func (w *fetchWriter) writePart(p *fetchPart) {
	v := w.f.r.version
	next, stable, start := int64(p.view.Next), int64(p.view.Stable), int64(p.view.LogStart)
	if p.code != noError {
		next, stable, start = -1, -1, -1
	}
	w.header = kbin.AppendInt32(w.header, p.index)
	w.header = kbin.AppendInt16(w.header, p.code)
	w.header = kbin.AppendInt64(w.header, next)
	w.header = kbin.AppendInt64(w.header, stable)
	if v >= 5 {
		w.header = kbin.AppendInt64(w.header, start)
	}
	w.writeAbortedTxns(p)
	if v >= 11 {
		near := metadata.NoBroker
		if p.redirected {
			near = p.preferredReplica
		}
		w.header = kbin.AppendInt32(w.header, int32(near))
	}
	if w.f.isFlexible() {
		w.header = kbin.AppendUvarint(w.header, uint32(p.result.bytes)+1)
	} else {
		w.header = kbin.AppendInt32(w.header, int32(p.result.bytes))
	}
	if p.result.bytes > 0 {
		w.flushHeader()
		w.buffers = append(w.buffers, p.result.records...)
	}
	if w.f.isFlexible() {
		w.writePartTags(p)
	}
}

// writeAbortedTxns lists the aborted transactions among the records. As in
// Kafka it is null for read_uncommitted and if the batch is withheld, and empty
// if the partition is unknown.
func (w *fetchWriter) writeAbortedTxns(p *fetchPart) {
	n := len(p.result.aborted)
	switch {
	case (p.committedOnly && !p.withheld || n > 0) && p.code == noError || p.code == kerr.UnknownTopicOrPartition.Code || p.code == kerr.UnknownTopicID.Code || p.code == kerr.InconsistentTopicID.Code:
		w.header = w.f.appendArrayLen(w.header, n)
	case w.f.isFlexible():
		w.header = append(w.header, 0)
	default:
		w.header = kbin.AppendInt32(w.header, -1)
	}
	for _, a := range p.result.aborted {
		w.header = kbin.AppendInt64(w.header, int64(a.Producer))
		w.header = kbin.AppendInt64(w.header, int64(a.First))
		if w.f.isFlexible() {
			w.header = append(w.header, 0)
		}
	}
}

// writePartTags encodes the current leader with NOT_LEADER_OR_FOLLOWER
// (KIP-951).
func (w *fetchWriter) writePartTags(p *fetchPart) {
	if p.code == kerr.NotLeaderForPartition.Code {
		if leader, epoch, ok := w.hints.addLeader(p.name, p.id, p.index); ok {
			w.header = append(w.header, 1, 1, 9)
			w.header = kbin.AppendInt32(w.header, int32(leader))
			w.header = kbin.AppendInt32(w.header, int32(epoch))
			w.header = append(w.header, 0)
			return
		}
	}
	w.header = append(w.header, 0)
}

// flushHeader moves the header bytes so far to the buffers.
func (w *fetchWriter) flushHeader() {
	if w.first == nil {
		w.first = w.header
	} else if len(w.header) > 0 {
		w.buffers = append(w.buffers, w.header)
	}
	w.header = make([]byte, 0, 128)
}
