package wal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream"
)

// attempt is one PUT of one name, ended.
type attempt struct {
	ref  metadata.ObjectRef
	at   []s3stream.Location
	err  error
	took time.Duration
}

// upload makes a sealed buffer durable in a goroutine of its own. Until the
// last attempt has ended nobody else touches its items' bytes, and no memory
// of it is used again.
func (l *lane) upload(b *buffer) {
	b.state = bufferUploading
	l.uploads++
	l.w.meters.objectsInFlight.Add(1)
	u := &uploading{lane: l, buffer: b, name: b.name, parts: b.objectParts(), hedgeAfter: l.pace.hedgeAfter(b.bytes, l.w.cfg.HedgeAfter)}
	l.w.tasks.Go(u.run)
}

// uploading is one buffer on its way to the bucket.
type uploading struct {
	lane       *lane
	buffer     *buffer
	name       metadata.ObjectName
	parts      []s3stream.ObjectPart
	hedgeAfter time.Duration // negative: never
	ended      chan attempt
	live       int // attempts
}

// run puts the object, and again under a second name if that takes longer than
// nearly all before it. The first to succeed is the object; the other one is
// a loser, whatever becomes of it.
func (u *uploading) run() {
	w := u.lane.w
	ctx, cancel := context.WithTimeout(w.uploadCtx, w.cfg.UploadTimeout)
	defer cancel()
	u.ended = make(chan attempt, 2)
	if err := u.try(ctx, 0); err != nil {
		u.lane.box.post(func() { u.lane.uploadFailed(u.buffer, err, nil) })
		return
	}
	hedge := u.hedgeTimer()
	defer hedge.Stop()
	hedged := false
	var failed []metadata.ObjectRef
	for u.live > 0 {
		select {
		case a := <-u.ended:
			u.live--
			u.lane.noteAttempt(a)
			if a.err == nil {
				u.won(a, failed)
				return
			}
			failed = append(failed, a.ref)
			if u.live == 0 {
				err := a.err
				u.lane.box.post(func() { u.lane.uploadFailed(u.buffer, err, failed) })
			}
		case <-hedge.C:
			if !hedged && u.lane.takeHedge() {
				hedged = true
				defer u.lane.hedges.Add(-1)
				w.meters.hedges.Add(1)
				// Encoding worked a moment ago; where it does not now, the
				// first attempt still decides.
				_ = u.try(ctx, 1)
			}
		}
	}
}

func (u *uploading) hedgeTimer() *time.Timer {
	if u.hedgeAfter < 0 {
		return time.NewTimer(noWait)
	}
	return time.NewTimer(u.hedgeAfter)
}

// won reports the winner at once, and the loser when it has ended: only then
// it is known what it cost.
func (u *uploading) won(a attempt, failed []metadata.ObjectRef) {
	if a.ref.Name.Try > 0 {
		u.lane.w.meters.hedgesWon.Add(1)
	}
	u.lane.box.post(func() { u.lane.uploaded(u.buffer, a, failed) })
	if u.live == 0 {
		return
	}
	// Its body stays in memory although its batches may be acknowledged.
	u.lane.w.budget.charge(a.ref.Size)
	loser := <-u.ended
	u.lane.w.budget.release(a.ref.Size)
	u.lane.noteAttempt(loser)
	u.lane.box.post(func() { u.lane.lose(loser.ref) })
}

// try starts one attempt.
func (u *uploading) try(ctx context.Context, n uint8) error {
	name := u.name
	name.Try = n
	body, at, err := s3stream.EncodeWAL(name, u.parts)
	if err != nil {
		return err
	}
	u.alias(body, at)
	u.live++
	u.lane.w.tasks.Go(func() {
		start := time.Now()
		puts, err := u.lane.w.cfg.Uploader.Upload(ctx, name, body)
		u.ended <- attempt{metadata.ObjectRef{Name: name, Size: int64(len(body)), Puts: puts}, at, err, time.Since(start)}
	})
	return nil
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

// takeHedge takes one of the lane's permits to hedge.
func (l *lane) takeHedge() bool {
	if l.hedges.Add(1) <= int64(l.w.cfg.MaxHedges) {
		return true
	}
	l.hedges.Add(-1)
	return false
}

// noteAttempt has the lane learn how long an attempt took.
func (l *lane) noteAttempt(a attempt) {
	if a.err != nil {
		return
	}
	if hook := l.w.cfg.OnUpload; hook != nil {
		hook(l.id, int(a.ref.Size), a.took)
	}
	l.box.post(func() { l.pace.note(int(a.ref.Size), a.took) })
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
		if len(l.losers) == 0 {
			l.losersAt = time.Now()
		}
		r.Size = 0
		l.losers = append(l.losers, r)
	}
}

// pace knows how long recent PUTs took, by class of size. The lane owns it.
type pace struct {
	classes [3]paceClass
}

type paceClass struct {
	took [128]time.Duration // a ring
	n    int                // noted so far
}

// paceEnough is how many PUTs must be known before their p99 means anything;
// hedgeFloor keeps hedges away from stores so fast that their p99 is noise.
const (
	paceEnough = 32
	hedgeFloor = 20 * time.Millisecond
)

func (p *pace) class(bytes int) *paceClass {
	switch {
	case bytes <= 256<<10:
		return &p.classes[0]
	case bytes <= 2<<20:
		return &p.classes[1]
	}
	return &p.classes[2]
}

func (p *pace) note(bytes int, took time.Duration) {
	c := p.class(bytes)
	c.took[c.n%len(c.took)] = took
	c.n++
}

// hedgeAfter is the recent p99 of the size class, or the default while too
// few are known; negative never.
func (p *pace) hedgeAfter(bytes int, byDefault time.Duration) time.Duration {
	c := p.class(bytes)
	if c.n < paceEnough || byDefault < 0 {
		return byDefault
	}
	known := slices.Clone(c.took[:min(c.n, len(c.took))])
	slices.Sort(known)
	return max(known[len(known)*99/100], hedgeFloor)
}
