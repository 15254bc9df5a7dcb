package broker

import (
	"net"

	"github.com/twmb/franz-go/pkg/kbin"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/router"
)

// The answer to a Fetch is written by hand: kmsg would copy every record into
// one growing slice, here the records follow the header bytes as they lie in
// the caches (net.Buffers).
//
//	throttle, [error, session from v7]
//	topics: name or id, partitions: index, error, high watermark, last stable,
//	  [log start v5], aborted transactions, [preferred replica v11], records
//	[tags from v12: of a partition 1 = current leader; of the answer 0 = nodes]

// begin writes what stands before the topics.
func (f *fetch) begin(code int16, session int32) answer {
	b := appendAnswerHeader(make([]byte, 0, 64+96*len(f.parts)), f.r.correlation, f.flexible())
	b = kbin.AppendInt32(b, f.throttleMs)
	if f.r.version >= 7 {
		b = kbin.AppendInt16(b, code)
		b = kbin.AppendInt32(b, session)
	}
	return answer{head: b}
}

func (f *fetch) flexible() bool { return f.r.version >= 12 }

func (f *fetch) arrayLen(b []byte, n int) []byte {
	if f.flexible() {
		return kbin.AppendCompactArrayLen(b, n)
	}
	return kbin.AppendArrayLen(b, n)
}

// end writes what stands behind the partitions of an answer without topics.
func (f *fetch) end(b []byte, nodes []router.Endpoint) []byte {
	b = f.arrayLen(b, 0)
	return f.tags(b, nodes)
}

// tags ends the answer: from version 16 on with the nodes that hints name.
func (f *fetch) tags(b []byte, nodes []router.Endpoint) []byte {
	if !f.flexible() {
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
		t = kbin.AppendCompactNullableString(t, textOf(string(n.Rack)))
		t = append(t, 0)
	}
	b = kbin.AppendUvarint(append(b, 1), 0)
	b = kbin.AppendUvarint(b, uint32(len(t)))
	return append(b, t...)
}

// fetchWriter gathers header bytes and records.
type fetchWriter struct {
	f     *fetch
	b     []byte      // header bytes not yet in out
	out   net.Buffers // without the first piece
	first []byte
	hints *hints
}

// encode writes the whole answer, and settles the session.
func (f *fetch) encode() answer {
	said := make([]*fetchPart, 0, len(f.parts))
	for i := range f.parts {
		p := &f.parts[i]
		if p.says() || f.full {
			said = append(said, p)
		}
	}
	id := int32(0)
	if f.session != nil {
		id = f.session.id
		f.session.rotate(f.parts)
	}
	a := f.begin(errNone, id)
	w := fetchWriter{f: f, b: a.head, hints: f.s.hints(f.r)}
	groups := byTopic(said)
	w.b = f.arrayLen(w.b, len(groups))
	for _, g := range groups {
		w.topic(g)
		for _, p := range g {
			w.part(p)
			a.bill.gets += p.gets
			if p.answer.bytes > 0 {
				a.bill.add(p.tp.Topic, p.answer.bytes)
			}
		}
		if f.flexible() {
			w.b = append(w.b, 0)
		}
	}
	w.b = f.tags(w.b, w.hints.named())
	w.flush()
	a.head, a.tail = w.first, w.out
	a.release = func() { f.held.release(); f.beside.release(); f.kept.release() }
	return a
}

// byTopic groups neighbours of the same topic.
func byTopic(parts []*fetchPart) [][]*fetchPart {
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

func (w *fetchWriter) topic(g []*fetchPart) {
	switch {
	case w.f.r.version >= 13:
		w.b = append(w.b, g[0].id[:]...)
	case w.f.flexible():
		w.b = kbin.AppendCompactString(w.b, g[0].name)
	default:
		w.b = kbin.AppendString(w.b, g[0].name)
	}
	w.b = w.f.arrayLen(w.b, len(g))
}

func (w *fetchWriter) part(p *fetchPart) {
	v := w.f.r.version
	next, stable, start := int64(p.head.Next), int64(p.head.Stable), int64(p.head.LogStart)
	if p.code != errNone {
		next, stable, start = -1, -1, -1
	}
	w.b = kbin.AppendInt32(w.b, p.index)
	w.b = kbin.AppendInt16(w.b, p.code)
	w.b = kbin.AppendInt64(w.b, next)
	w.b = kbin.AppendInt64(w.b, stable)
	if v >= 5 {
		w.b = kbin.AppendInt64(w.b, start)
	}
	w.aborted(p)
	if v >= 11 {
		near := metadata.NoBroker
		if p.steered {
			near = p.near
		}
		w.b = kbin.AppendInt32(w.b, int32(near))
	}
	if w.f.flexible() {
		w.b = kbin.AppendUvarint(w.b, uint32(p.answer.bytes)+1)
	} else {
		w.b = kbin.AppendInt32(w.b, int32(p.answer.bytes))
	}
	if p.answer.bytes > 0 {
		w.flush()
		w.out = append(w.out, p.answer.records...)
	}
	if w.f.flexible() {
		w.partTags(p)
	}
}

// aborted lists the aborted transactions among the records; to a reader of
// uncommitted ones, and where a batch is withheld, it is null, and empty where the
// partition is not known, as in Kafka.
func (w *fetchWriter) aborted(p *fetchPart) {
	n := len(p.answer.aborted)
	switch {
	case (p.committed && !p.withheld || n > 0) && p.code == errNone || p.code == errUnknownTopic || p.code == errUnknownTopicID || p.code == errInconsistentID:
		w.b = w.f.arrayLen(w.b, n)
	case w.f.flexible():
		w.b = append(w.b, 0)
	default:
		w.b = kbin.AppendInt32(w.b, -1)
	}
	for _, a := range p.answer.aborted {
		w.b = kbin.AppendInt64(w.b, int64(a.Producer))
		w.b = kbin.AppendInt64(w.b, int64(a.First))
		if w.f.flexible() {
			w.b = append(w.b, 0)
		}
	}
}

// partTags names the current leader beside error 6 (KIP-951).
func (w *fetchWriter) partTags(p *fetchPart) {
	if p.code == errNotLeader {
		if leader, epoch, ok := w.hints.leader(p.name, p.id, p.index); ok {
			w.b = append(w.b, 1, 1, 9)
			w.b = kbin.AppendInt32(w.b, int32(leader))
			w.b = kbin.AppendInt32(w.b, int32(epoch))
			w.b = append(w.b, 0)
			return
		}
	}
	w.b = append(w.b, 0)
}

// flush moves the header bytes written so far behind what is already out.
func (w *fetchWriter) flush() {
	if w.first == nil {
		w.first = w.b
	} else if len(w.b) > 0 {
		w.out = append(w.out, w.b)
	}
	w.b = make([]byte, 0, 128)
}
