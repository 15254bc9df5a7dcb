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

// attempt is one name under which an object is uploaded, and where its parts
// are.
type attempt struct {
	ref       metadata.ObjectRef
	locations []s3stream.Location
}

// startUpload stores a sealed buffer in its own goroutine. Until the last
// attempt has ended, the bytes of its batches are not touched elsewhere, and no
// memory of it is reused.
func (l *lane) startUpload(b *buffer) {
	b.state = bufferUploading
	l.uploads++
	l.w.meters.objectsInFlight.Add(1)
	u := &upload{lane: l, buffer: b, parts: b.objectParts()}
	l.w.tasks.Go(u.run)
}

// upload is one buffer being uploaded.
type upload struct {
	lane           *lane
	buffer         *buffer
	parts          []s3stream.ObjectPart
	attempts       [hedge.MaxTries]attempt
	failedAttempts []metadata.ObjectRef // failed before the object was stored
	extraBodies    int                  // bodies in addition to the one that the batches are slices of
	stored         bool
}

// run stores the object, and sends it again under another name when the PUT
// takes longer than nearly all before it. The first to succeed is the object;
// the others are orphans, whether they succeed or not.
func (u *upload) run() {
	w := u.lane.w
	ctx, cancel := context.WithTimeout(w.uploadCtx, w.cfg.UploadTimeout)
	defer cancel()
	name := u.buffer.name
	w.hedger.Run(ctx, hedge.Race{Op: bucket.OpPut, Bytes: u.buffer.bytes, Phase: name.Number*uint64(metadata.LaneCount) + uint64(name.Lane),
		Try: u.prepareAttempt, OnTryEnd: u.handleAttemptEnd})
}

// prepareAttempt prepares one attempt.
func (u *upload) prepareAttempt(n int) (func(context.Context) error, error) {
	name := u.buffer.name
	name.Try = uint8(n)
	body, at, err := s3stream.EncodeWAL(name, u.parts)
	if err != nil {
		return nil, err
	}
	u.aliasBatches(body, at)
	u.attempts[n] = attempt{metadata.ObjectRef{Name: name, Size: int64(len(body))}, at}
	if n > 0 {
		u.extraBodies++
		u.lane.w.budget.Charge(int64(len(body)))
	}
	return func(ctx context.Context) (err error) {
		u.attempts[n].ref.Puts, err = u.lane.w.cfg.Uploader.Upload(ctx, name, body)
		return err
	}, nil
}

// handleAttemptEnd reports an attempt. The winner is reported at once, the
// others when they have ended: only then their cost is known.
func (u *upload) handleAttemptEnd(e hedge.TryResult) {
	l, a := u.lane, u.attempts[e.Try]
	if hook := l.w.cfg.OnUpload; hook != nil && e.Err == nil {
		hook(l.id, int(a.ref.Size), e.Took)
	}
	if e.Decides && e.Err == nil {
		u.stored = true
		l.box.postCall(func() { l.finishUpload(u.buffer, a, u.failedAttempts) })
		return
	}
	if u.extraBodies > 0 { // one body less
		u.extraBodies--
		l.w.budget.Release(a.ref.Size)
	}
	if errors.Is(e.Err, bucket.ErrDenied) {
		a.ref.Size = 0 // nothing is there to be billed
	}
	if u.stored {
		l.box.postCall(func() { l.rememberOrphans(a.ref) })
		return
	}
	if !a.ref.Name.IsZero() { // it could be encoded
		u.failedAttempts = append(u.failedAttempts, a.ref)
	}
	if e.Decides {
		l.box.postCall(func() { l.failUpload(u.buffer, e.Err, u.failedAttempts) })
	}
}

// aliasBatches makes the batches slices of the body, so that the buffers that
// the clients' connections read into are free during the upload.
func (u *upload) aliasBatches(body []byte, at []s3stream.Location) {
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

// finishUpload makes a buffer ready to commit.
func (l *lane) finishUpload(b *buffer, a attempt, failed []metadata.ObjectRef) {
	l.countUploadEnd()
	l.rememberOrphans(failed...)
	if l.refuseErr != nil {
		l.countUnbookedPuts(a.ref)
		return
	}
	if !b.hasLiveParts() {
		l.removeSealed(b)
		l.rememberOrphans(a.ref)
		return
	}
	b.state, b.ref = bufferReady, a.ref
	for i, p := range b.parts {
		p.location = a.locations[i]
	}
}

// failUpload fails a buffer's batches, and those behind them.
func (l *lane) failUpload(b *buffer, err error, failed []metadata.ObjectRef) {
	l.countUploadEnd()
	l.rememberOrphans(failed...)
	if l.refuseErr != nil {
		return
	}
	l.w.meters.failedObjects.Add(1)
	l.w.cfg.Logger.Warn("object upload failed", "object", b.name.Key(), "bytes", b.bytes, "partitions", len(b.parts), "err", err)
	if why := l.w.refusalError(); why != nil && errors.Is(err, context.Canceled) {
		err = why
	} else {
		err = fmt.Errorf("%w: %w", ErrStorage, err)
	}
	l.removeSealed(b)
	l.failPartitions(b.parts, err)
}

func (l *lane) countUploadEnd() {
	l.uploads--
	l.w.meters.objectsInFlight.Add(-1)
}

// removeSealed removes a buffer from the queue of sealed ones.
func (l *lane) removeSealed(b *buffer) {
	l.sealed = slices.DeleteFunc(l.sealed, func(o *buffer) bool { return o == b })
}

// rememberOrphans keeps objects to which no entry will refer: the next entry
// names them as orphans, with their cost and their size: they are in the bucket, or
// may be, and are billed until they are deleted. Only what the store refused is
// taken not to be there.
func (l *lane) rememberOrphans(refs ...metadata.ObjectRef) {
	if l.refuseErr != nil {
		l.countUnbookedPuts(refs...)
		return
	}
	if len(refs) == 0 {
		return
	}
	l.w.adjustPending(0, len(refs))
	for _, r := range refs {
		if len(l.orphans) == 0 {
			l.orphansAt = time.Now()
		}
		l.orphans = append(l.orphans, r)
	}
}

// countUnbookedPuts counts the PUTs of objects that no entry can name any more.
func (l *lane) countUnbookedPuts(refs ...metadata.ObjectRef) {
	l.w.meters.unbookedPuts.Add(sumPuts(refs))
}

func sumPuts(refs []metadata.ObjectRef) (puts uint64) {
	for i := range refs {
		puts += uint64(refs[i].Puts)
	}
	return puts
}
