package verify

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream"
)

// readWAL reads the i-th WAL object with spans, and checks index, checksums and
// batches, and that each span is whole batches of its partition with as many offsets
// as it should have.
func (w *walk) readWAL(ctx context.Context, spans *objectSpans, i int) error {
	list := spans.spansOf(w.log.state, i)
	if len(list) == 0 {
		return nil
	}
	name, size, ok := w.log.state.Object(list[0].Span)
	if !ok {
		w.suspectSpans(fmt.Sprintf("revision %d, object %d", list[0].Revision, list[0].Object), metadata.ObjectWAL, list)
		return nil
	}
	var lost []lostSpan
	o := metadata.NamedObject{Class: metadata.ObjectWAL, Key: name.Key(), Size: size}
	found, err := w.readChecked(ctx, o, func(body []byte) (what string) {
		what, lost = checkWAL(body, name, list)
		return what
	})
	if err != nil || found == nil {
		return err
	}
	if found.status == Missing {
		lost = nil
		for k := range list {
			lost = append(lost, lostOf(list[k].tp, &list[k].Span))
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	found.judged, found.lost = true, lost
	return nil
}

// suspectSpans reports spans whose bytes the state does not place in an object.
func (w *walk) suspectSpans(where string, class metadata.ObjectClass, list []placedSpan) {
	s := &suspect{NamedObject: metadata.NamedObject{Class: class, Key: where}, status: Missing, certain: true, judged: true,
		what: "the state has records there, and names no object with them"}
	for i := range list {
		s.lost = append(s.lost, lostOf(list[i].tp, &list[i].Span))
	}
	w.suspectObject(s)
}

// checkWAL returns what is wrong with a WAL object, or "", and which of its spans
// cannot be read. A span whose batches are all valid can be, whatever else is wrong:
// readers find them by the span and check each batch.
func checkWAL(body []byte, name metadata.ObjectName, spans []placedSpan) (what string, lost []lostSpan) {
	d, err := s3stream.DescribeWAL(body)
	other := err == nil && d.Name != name // or its header is damaged, and says nothing
	if err != nil {
		what = err.Error()
	} else if other {
		what = "it is " + d.Key
	}
	batches := listBatches(&d)
	for i := range spans {
		sp := &spans[i]
		if !other && batches.holdSpan(sp) {
			continue
		}
		lost = append(lost, lostOf(sp.tp, &sp.Span))
		if what == "" {
			what = fmt.Sprintf("bytes %d to %d are not whole batches of %s/%d with %d offsets", sp.Position, sp.Position+int64(sp.Length),
				sp.tp.Topic, sp.tp.Partition, sp.Count)
		}
	}
	return what, lost
}

// walBatch is a batch in a WAL object; of no known partition where the object's
// index was not read.
type walBatch struct {
	*s3stream.BatchDump
	tp      metadata.TopicPartition
	scanned bool
}

type walBatches []walBatch

// listBatches returns the batches of an object by position.
func listBatches(d *s3stream.WALDump) (out walBatches) {
	for i := range d.Parts {
		p := &d.Parts[i]
		for j := range p.Batches {
			out = append(out, walBatch{&p.Batches[j], p.Partition, d.Scanned})
		}
	}
	slices.SortFunc(out, func(a, b walBatch) int { return cmp.Compare(a.Position, b.Position) })
	return out
}

// holdSpan reports whether a span is valid batches of its partition.
func (list walBatches) holdSpan(sp *placedSpan) bool {
	at, end, offsets := sp.Position, sp.Position+int64(sp.Length), int64(0)
	i, _ := slices.BinarySearchFunc(list, at, func(b walBatch, at int64) int { return cmp.Compare(b.Position, at) })
	for ; i < len(list) && at < end; i++ {
		b := &list[i]
		if b.Position != at || b.Fault != "" || !b.scanned && b.tp != sp.tp {
			return false
		}
		at += int64(b.Header.Size)
		offsets += b.Header.Offsets()
	}
	return at == end && offsets == int64(sp.Count)
}
