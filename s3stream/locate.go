package s3stream

import (
	"context"
	"fmt"

	"github.com/zonewise/zonewise/metadata"
)

// locatedSpan is a span and the place of its bytes.
type locatedSpan struct {
	span   metadata.Span
	memory []byte // the span's bytes, where they are in memory
	source Source // of memory

	object   object              // of a span whose place in an object is known
	position int64               // where in that object the span begins
	archived bool                // an inline span whose entry is in ref
	ref      metadata.ArchiveRef // of an archived one
	unknown  bool                // the state has no place for it
	err      error               // of reading the archive's index
}

// key names the object in errors.
func (p *locatedSpan) key() string {
	switch {
	case p.span.Inline() && !p.archived:
		return ""
	case p.archived:
		return p.ref.Object
	}
	return p.object.key()
}

// locateSpans looks up the spans that hold offsets from From on, below Until,
// until they are want bytes together. ErrTrimmed where From was deleted: what
// follows would not be what was asked for.
func (s *Store) locateSpans(req *ReadRequest, want int64) ([]locatedSpan, error) {
	var spans []metadata.Span
	var places []locatedSpan
	trimmed := false
	s.config.Replica.View(func(st *metadata.State) {
		p, ok := st.Partition(req.Partition)
		if trimmed = !ok || req.From < p.LogStart; trimmed {
			return
		}
		next := req.From
		for total := int64(0); total < want && len(places) < MaxReadSpans; {
			spans = st.Spans(spans[:0], req.Partition, next, 64)
			for _, sp := range spans {
				if sp.First >= req.Until || total >= want {
					return
				}
				places = append(places, locateSpan(st, req.Partition, sp))
				total += int64(sp.Length)
				next = sp.End()
			}
			if len(spans) < 64 {
				return
			}
		}
	})
	if trimmed {
		return nil, fmt.Errorf("offset %d: %w", req.From, ErrTrimmed)
	}
	for i := range places {
		if err := s.loadFromMemory(&places[i]); err != nil {
			return nil, err
		}
	}
	return places, nil
}

func locateSpan(st *metadata.State, tp metadata.TopicPartition, sp metadata.Span) locatedSpan {
	if sp.Marker() {
		return locatedSpan{span: sp, memory: metadata.MarkerBatch(sp, st.UsesLogAppendTime(tp.Topic)), source: FromInline}
	}
	p := locatedSpan{span: sp, position: sp.Position}
	if sp.Inline() {
		p.ref, p.archived = st.Archive(sp.Revision)
		return p
	}
	var ok bool
	if p.object.name, p.object.size, ok = st.Object(sp); !ok {
		p.unknown = true
	}
	return p
}

// loadFromMemory loads a place's bytes from memory, if they are there.
func (s *Store) loadFromMemory(p *locatedSpan) error {
	if p.span.Marker() {
		return nil
	}
	from, to := p.span.Position, p.span.Position+int64(p.span.Length)
	whole, ok := []byte(nil), false
	if p.span.Inline() {
		if !p.archived {
			p.source = FromInline
			// Where it is archived meanwhile, the next look-up finds it there.
			whole, ok = s.config.Replica.InlineBytes(p.span.Revision)
			p.unknown = !ok
		}
	} else {
		p.source = FromTail
		whole, ok = s.tail.get(p.object.name)
	}
	if !ok {
		return nil
	}
	if to > int64(len(whole)) {
		return &CorruptError{p.key(), fmt.Sprintf("offsets %d to %d lie at bytes %d to %d of %d (revision %d)",
			p.span.First, p.span.End()-1, from, to, len(whole), p.span.Revision)}
	}
	p.memory = whole[from:to:to]
	return nil
}

// inObject reports whether the span's bytes are read as blocks of an object.
func (p *locatedSpan) inObject() bool {
	return p.memory == nil && !p.unknown && p.err == nil && p.object != object{}
}

// prefetch starts the GETs that a reader will need of a place, in bytes of its
// span.
func (s *Store) prefetch(ctx context.Context, p *locatedSpan, from, to int64) {
	switch {
	case p.inObject():
		s.requestBlocks(ctx, p.object, p.position+from, p.position+to)
	case p.memory == nil && !p.unknown && p.archived && s.archiveLocator == nil:
		s.requestInline(ctx, p)
	}
}
