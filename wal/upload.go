package wal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream"
	"github.com/zonewise/zonewise/s3stream/bucket"
	"github.com/zonewise/zonewise/s3stream/hedge"
)

// attempt is an object that is in the bucket.
type attempt struct {
	ref metadata.ObjectRef
	at  []s3stream.Location
}

// upload makes a sealed buffer durable in a goroutine of its own. Until the
// last attempt has ended nobody else touches its items' bytes, and no memory
// of it is used again.
func (l *lane) upload(b *buffer) {
	b.state = bufferUploading
	l.uploads++
	l.w.meters.objectsInFlight.Add(1)
	u := &uploading{lane: l, buffer: b, parts: b.objectParts()}
	l.w.tasks.Go(u.run)
}

// uploading is one buffer on its way to the bucket.
type uploading struct {
	lane   *lane
	buffer *buffer
	parts  []s3stream.ObjectPart
	tries  [hedge.MaxTries]attempt
	failed []metadata.ObjectRef // tried before the object was there
	copies int                  // bodies beside the one that the batches are slices of
	stored bool
}

// run puts the object, and again under another name while that takes longer
// than nearly all PUTs before it. The first to succeed is the object; the
// others are losers, whatever becomes of them.
func (u *uploading) run() {
	w := u.lane.w
	ctx, cancel := context.WithTimeout(w.uploadCtx, w.cfg.UploadTimeout)
	defer cancel()
	name := u.buffer.name
	w.hedger.Run(ctx, hedge.Race{Op: bucket.OpPut, Bytes: u.buffer.bytes, Phase: name.Number*uint64(metadata.LaneCount) + uint64(name.Lane),
		Try: u.try, Ended: u.ended})
}

// try prepares one attempt.
func (u *uploading) try(n int) (func(context.Context) error, error) {
	name := u.buffer.name
	name.Try = uint8(n)
	body, at, err := s3stream.EncodeWAL(name, u.parts)
	if err != nil {
		return nil, err
	}
	u.alias(body, at)
	u.tries[n] = attempt{metadata.ObjectRef{Name: name, Size: int64(len(body))}, at}
	if n > 0 {
		u.copies++
		u.lane.w.budget.charge(int64(len(body)))
	}
	return func(ctx context.Context) (err error) {
		u.tries[n].ref.Puts, err = u.lane.w.cfg.Uploader.Upload(ctx, name, body)
		return err
	}, nil
}

// ended reports an attempt. What won is reported at once, what lost when it
// has ended: only then it is known what it cost.
func (u *uploading) ended(e hedge.Ended) {
	l, a := u.lane, u.tries[e.Try]
	if hook := l.w.cfg.OnUpload; hook != nil && e.Err == nil {
		hook(l.id, int(a.ref.Size), e.Took)
	}
	if e.Decides && e.Err == nil {
		u.stored = true
		l.box.post(func() { l.uploaded(u.buffer, a, u.failed) })
		return
	}
	if u.copies > 0 { // one body less
		u.copies--
		l.w.budget.release(a.ref.Size)
	}
	if u.stored {
		l.box.post(func() { l.lose(a.ref) })
		return
	}
	if !a.ref.Name.IsZero() { // it could be encoded
		u.failed = append(u.failed, a.ref)
	}
	if e.Decides {
		l.box.post(func() { l.uploadFailed(u.buffer, e.Err, u.failed) })
	}
}

// alias lets the batches be slices of the body, so that what the clients'
// connections read is free while the object is on its way.
func (u *uploading) alias(body []byte, at []s3stream.Location) {
	for i := range u.parts {
		pos := at[i].Position
		for j, batch := range u.parts[i].Batches {
			end := pos + int64(len(batch))
			u.parts[i].Batches[j] = body[pos:end:end]
			pos = end
		}
	}
	for i, p := range u.buffer.parts {
		j := 0
		for r := range p.runs {
			for _, it := range p.runs[r].items {
				it.Bytes = u.parts[i].Batches[j]
				j++
			}
		}
	}
}

// uploaded makes a buffer ready to commit.
func (l *lane) uploaded(b *buffer, a attempt, failed []metadata.ObjectRef) {
	l.uploadEnded()
	l.lose(failed...)
	if l.refuse != nil {
		return // the session's successor finds the object by its name
	}
	if !b.live() {
		l.unseal(b)
		l.lose(a.ref)
		return
	}
	b.state, b.ref = bufferReady, a.ref
	for i, p := range b.parts {
		p.at = a.at[i]
	}
}

// uploadFailed fails a buffer's batches, and what is behind them.
func (l *lane) uploadFailed(b *buffer, err error, failed []metadata.ObjectRef) {
	l.uploadEnded()
	l.lose(failed...)
	if l.refuse != nil {
		return
	}
	l.w.meters.failedObjects.Add(1)
	l.w.cfg.Logger.Warn("object failed", "object", b.name.Key(), "bytes", b.bytes, "partitions", len(b.parts), "err", err)
	if why := l.w.refused(); why != nil && errors.Is(err, context.Canceled) {
		err = why
	} else {
		err = fmt.Errorf("%w: %w", ErrStorage, err)
	}
	l.unseal(b)
	l.failPartitions(b.parts, err)
}

func (l *lane) uploadEnded() {
	l.uploads--
	l.w.meters.objectsInFlight.Add(-1)
}

// unseal takes a buffer out of the queue to commit.
func (l *lane) unseal(b *buffer) {
	l.sealed = slices.DeleteFunc(l.sealed, func(o *buffer) bool { return o == b })
}

// lose notes objects that no entry will refer to: the next one names them as
// garbage, with what they cost. A loser may not exist, so it has no size.
func (l *lane) lose(refs ...metadata.ObjectRef) {
	if l.refuse != nil || len(refs) == 0 {
		return // the next session finds them by their names
	}
	l.w.count(0, len(refs))
	for _, r := range refs {
		if len(l.orphans) == 0 {
			l.orphansAt = time.Now()
		}
		r.Size = 0
		l.orphans = append(l.orphans, r)
	}
}
