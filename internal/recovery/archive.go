package recovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// ErrDiffers means that the log's keys are not what brokers applied.
var ErrDiffers = errors.New("the log in etcd differs from what was applied")

// ArchiveRepair is what RepairArchive needs.
type ArchiveRepair struct {
	Log interface {
		metadata.Log
		metadata.LogAdmin
	}
	Bucket   bucket.Bucket // below "<cluster>/"
	Rand     *rand.Rand
	Logger   *slog.Logger
	Progress func(format string, args ...any)
}

// RepairArchive archives the oldest closed extent that is not archived, if its
// keys are exactly what this program applied; otherwise it returns ErrDiffers
// and changes nothing. It needs no role: apply accepts only an archive that is
// exactly the log. The holder of the archive role deletes the keys.
func RepairArchive(ctx context.Context, r ArchiveRepair) error {
	ctx, cancel := context.WithCancelCause(bucket.WithCause(ctx, bucket.CauseArchive))
	defer cancel(nil)
	replica := metadata.NewReplica(metadata.ReplicaConfig{Log: r.Log, Store: r.Bucket, Logger: r.Logger, Fatal: func(err error) { cancel(err) }})
	if l, ok := r.Log.(interface{ UseApplied(metadata.Applied) }); ok {
		l.UseApplied(replica)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel(nil)
	wg.Go(func() {
		if err := replica.Run(ctx); err != nil {
			cancel(err)
		}
	})
	for !replica.CaughtUp() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("follow the log: %w", context.Cause(ctx))
		}
	}
	return r.repairOldest(ctx, replica)
}

func (r *ArchiveRepair) repairOldest(ctx context.Context, replica *metadata.Replica) error {
	var pending []metadata.PendingArchive
	var predecessor string
	var zones []metadata.ZoneID
	var level metadata.FeatureLevel
	replica.View(func(s *metadata.State) {
		pending, zones, level = s.PendingArchives(), s.Zones(), s.Level()
		if a := s.Archives(); len(a) > 0 {
			predecessor = a[len(a)-1].Object
		}
	})
	start, err := r.Log.Start(ctx)
	if err != nil {
		return err
	}
	if len(pending) == 0 || pending[0].Extent >= start.Extent || len(zones) == 0 {
		r.Progress("no closed generation is waiting for its archive: nothing to do")
		return nil
	}
	p := pending[0]
	r.Progress("generation %d: %d entries of revisions %d to %d", p.Extent, p.Entries, p.First, p.Last)
	w := metadata.NewArchiveWriter(p.Extent, p.Before, predecessor)
	if err := r.Log.ReadExtent(ctx, p.Extent, w.Add); err != nil {
		return err
	}
	body := w.Finish()
	a, err := metadata.DecodeArchive(body)
	if err != nil {
		return err
	}
	if a.Digest != p.Digest || uint64(len(a.Entries)) != p.Entries {
		return fmt.Errorf("generation %d has %d entries with digest %x in the log, and %d with digest %x were applied: %w; "+
			"stop every broker and run `zonewise recover` into a new etcd", p.Extent, len(a.Entries), a.Digest[:8], p.Entries, p.Digest[:8], ErrDiffers)
	}
	session, err := r.Log.OpenSession(ctx, metadata.SessionInfo{Nonce: fmt.Sprintf("repair-%016x", r.Rand.Uint64()), Zone: zones[0]})
	if err != nil {
		return fmt.Errorf("open session: %w", err)
	}
	key := metadata.ArchiveKey(start.Incarnation, p.Extent, session.ID(), 1)
	err = r.storeArchive(ctx, replica, newArchive{session.ID(), zones[0], level, key, body})
	return errors.Join(err, session.Close(context.WithoutCancel(ctx)))
}

type newArchive struct {
	session metadata.SessionID
	zone    metadata.ZoneID
	level   metadata.FeatureLevel
	key     string
	body    []byte
}

// storeArchive stores the archive, reads it back and appends what accepts it.
func (r *ArchiveRepair) storeArchive(ctx context.Context, replica *metadata.Replica, x newArchive) error {
	if err := r.Bucket.Put(ctx, x.key, x.body); err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	a, size, err := readArchive(ctx, r.Bucket, x.key)
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if len(a.Entries) == 0 {
		return fmt.Errorf("archive %s: %w: it is empty", x.key, metadata.ErrCorrupt)
	}
	open := metadata.OpenSession{Want: metadata.NoBroker, Zone: x.zone, Kafka: metadata.Address{Host: "repair.invalid", Port: 1},
		Version: "repair", MinLevel: metadata.MinFeatureLevel, MaxLevel: metadata.MaxFeatureLevel}
	e := metadata.Entry{Level: x.level, Session: x.session, Lane: metadata.LaneControl, Seq: 1, Time: metadata.UnixMilli(time.Now().UnixMilli()),
		Commands: []metadata.Command{open, metadata.DrainSession{}, archivedOf(x.key, a, size)}}
	body, err := metadata.AppendEntry(nil, &e)
	if err != nil {
		return fmt.Errorf("encode entry: %w", err)
	}
	res, err := r.Log.Append(ctx, metadata.AppendRequest{Key: metadata.EntryKey{Session: x.session, Lane: metadata.LaneControl, Seq: 1}, Bytes: body})
	if err != nil {
		return fmt.Errorf("append entry: %w", err)
	}
	if err := replica.WaitApplied(ctx, res.Revision); err != nil {
		return err
	}
	accepted := false
	replica.View(func(s *metadata.State) {
		for _, have := range s.Archives() {
			accepted = accepted || have.Object == x.key
		}
	})
	if !accepted {
		return fmt.Errorf("archive %s at revision %d was not accepted: another broker archived it first, or see `zonewise dump log`", x.key, res.Revision)
	}
	r.Progress("accepted %s: the brokers continue archiving", x.key)
	return nil
}
