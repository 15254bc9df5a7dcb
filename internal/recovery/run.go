package recovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/metadata/etcdlog"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// ErrPresent means that etcd holds a cluster that needs no recovery.
var ErrPresent = errors.New("etcd holds the cluster")

// Config is what a recovery needs.
type Config struct {
	Cluster string
	Client  etcdlog.Client // of the new, empty etcd
	Bucket  bucket.Bucket  // the whole; objects are below "<cluster>/"
	Token   string         // the brokers' new secret: random, made by the caller
	Rand    *rand.Rand
	Logger  *slog.Logger
	// DiscardLost lets brokers delete at once what the lost tail left in the bucket.
	DiscardLost bool
	// Progress receives lines about the progress, for people; may be nil.
	Progress func(format string, args ...any)
}

// Report is what was recovered.
type Report struct {
	Incarnation metadata.Incarnation
	Base        metadata.Revision
	Checkpoint  string             // key; empty: every archive was replayed
	Archive     string             // the last one
	Extent      metadata.Extent    // of it
	Revision    metadata.Revision  // of its last entry: what came later is lost
	Time        metadata.UnixMilli // state time there
	Replayed    int                // archives
	Groups      int
	Partitions  []PartitionReport
	Behind      []GroupReport // groups that had not read everything, by name
	Warnings    []string
}

// GroupReport is a group that had records left to read when the last archive was
// written. On such a partition tools count the offsets that the recovery passed
// over as lag, too, until the group has read what is left.
type GroupReport struct {
	Group      string
	Partitions int   // on which it was behind
	Records    int64 // that were left on them
}

// PartitionReport is one partition that came back.
type PartitionReport struct {
	Topic     string
	Partition metadata.Partition
	LogStart  metadata.Offset
	Next      metadata.Offset // everything before it is there, nothing from it on
	Resumes   metadata.Offset // the next offset that is given out
}

// Run makes a cluster of a new, empty etcd and what the bucket holds. One that
// was interrupted is finished by calling it again. ErrPresent where etcd holds
// a cluster that is whole; ErrNothing where the bucket has no archive.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if cfg.Progress == nil {
		cfg.Progress = func(string, ...any) {}
	}
	r := &recoveryRun{Config: cfg, objects: bucket.Prefix(cfg.Bucket, cfg.Cluster+"/")}
	report, err := r.recoverCluster(bucket.WithCause(ctx, bucket.CauseRecover))
	if err != nil {
		return nil, fmt.Errorf("recover cluster %q: %w", cfg.Cluster, err)
	}
	return report, nil
}

type recoveryRun struct {
	Config
	objects bucket.Bucket
	rebuilt *RebuiltState
}

func (r *recoveryRun) recoverCluster(ctx context.Context) (*Report, error) {
	s, err := surveyBucket(ctx, r.objects)
	if err != nil {
		return nil, err
	}
	f, begun, err := r.findInterrupted(ctx)
	if err != nil {
		return nil, err
	}
	archive := ""
	if begun {
		m, ok := s.markers[f.Incarnation]
		if !ok {
			return nil, fmt.Errorf("etcd is at incarnation %d, of which the bucket has no %s: this is not its bucket", f.Incarnation, MarkerKey(f.Incarnation))
		}
		archive = m.Archive
		r.Progress("resuming the interrupted recovery into incarnation %d", f.Incarnation)
	}
	r.Progress("reading checkpoint and archives")
	if r.rebuilt, err = s.rebuildState(ctx, r.objects, archive); err != nil {
		return nil, err
	}
	for _, w := range r.rebuilt.Warnings {
		r.Logger.Warn("recover", "passed_over", w)
	}
	r.Progress("the bucket holds the log up to revision %d (generation %d)", r.rebuilt.Last.Last, r.rebuilt.Last.Extent)
	if !begun {
		if f, err = r.beginIncarnation(ctx, s.newestIncarnation()+1); err != nil {
			return nil, err
		}
	}
	report := r.buildReport(f)
	if err := r.writeFirstEntry(ctx, f); err != nil {
		return nil, err
	}
	for i := range report.Partitions {
		p := &report.Partitions[i]
		t, _ := r.rebuilt.State.TopicNamed(p.Topic)
		v, _ := r.rebuilt.State.Partition(metadata.TopicPartition{Topic: t.ID, Partition: p.Partition})
		p.Resumes = v.Next
	}
	report.Behind = groupsBehind(r.rebuilt.State, report.Partitions)
	return report, nil
}

// groupsBehind lists the groups whose positions the gap does not make the new end.
func groupsBehind(s *metadata.State, partitions []PartitionReport) (out []GroupReport) {
	last := map[metadata.TopicPartition]metadata.Offset{}
	for _, p := range partitions {
		t, _ := s.TopicNamed(p.Topic)
		last[metadata.TopicPartition{Topic: t.ID, Partition: p.Partition}] = p.Next
	}
	for _, name := range s.Groups() {
		g, _ := s.Group(name)
		r := GroupReport{Group: name}
		for tp, o := range g.Offsets.All() {
			if left := last[tp] - o.Offset; left > 0 {
				r.Partitions++
				r.Records += int64(left)
			}
		}
		if r.Partitions > 0 {
			out = append(out, r)
		}
	}
	return out
}

// findInterrupted finds out whether an earlier recovery into this etcd was interrupted.
func (r *recoveryRun) findInterrupted(ctx context.Context) (f etcdlog.Format, begun bool, err error) {
	f, present, err := etcdlog.ReadFormat(ctx, r.Client, r.Cluster)
	if err != nil || !present {
		return f, false, err
	}
	if f.Incarnation < 2 {
		return f, false, fmt.Errorf("%w, at incarnation %d: recovery is for a new, empty etcd", ErrPresent, f.Incarnation)
	}
	log, err := r.openLog(ctx)
	if err != nil {
		return f, false, err
	}
	defer log.Close()
	from, err := log.Start(ctx)
	if err == nil && from.Head > f.Base { // something was appended, and before our first entry no broker can start
		err = fmt.Errorf("%w, recovered already as incarnation %d", ErrPresent, f.Incarnation)
	}
	return f, err == nil, err
}

func (r *recoveryRun) openLog(ctx context.Context) (*etcdlog.Log, error) {
	return etcdlog.Open(ctx, etcdlog.Config{Cluster: r.Cluster, Client: r.Client, Logger: r.Logger, Rand: r.Rand})
}

// beginIncarnation takes the incarnation, in the bucket and then in etcd.
func (r *recoveryRun) beginIncarnation(ctx context.Context, n metadata.Incarnation) (etcdlog.Format, error) {
	b := r.rebuilt
	m := Marker{Incarnation: n, Base: n.Base(), Archive: b.Archive, Extent: b.Last.Extent, Revision: b.Last.Last}
	if err := m.Validate(); err != nil {
		return etcdlog.Format{}, err
	}
	body, err := json.Marshal(m)
	if err != nil {
		return etcdlog.Format{}, err
	}
	if err := r.objects.Put(ctx, MarkerKey(n), body); err != nil {
		if errors.Is(err, bucket.ErrExists) {
			err = fmt.Errorf("another recovery into incarnation %d has begun: %w", n, err)
		}
		return etcdlog.Format{}, err
	}
	r.Progress("beginning incarnation %d: its revisions start at %d", n, n.Base())
	f, err := etcdlog.Recover(ctx, r.Client, r.Cluster, etcdlog.RecoverRequest{Incarnation: n, Base: n.Base(), Level: b.State.Level(),
		Truncated: b.Last.Extent, Archive: b.Archive, Checkpoint: b.Checkpoint, Token: r.Token})
	if errors.Is(err, etcdlog.ErrClusterExists) {
		// Somebody was faster, as another incarnation: ours never was.
		_, left := r.objects.Delete(ctx, MarkerKey(n))
		err = errors.Join(err, left)
	}
	return f, err
}

// buildReport is taken before the first entry jumps what the lost tail gave out.
func (r *recoveryRun) buildReport(f etcdlog.Format) *Report {
	b := r.rebuilt
	out := &Report{Incarnation: f.Incarnation, Base: f.Base, Archive: b.Archive, Extent: b.Last.Extent, Revision: b.Last.Last,
		Time: b.State.Time(), Replayed: b.Replayed, Groups: len(b.State.Groups()), Warnings: b.Warnings}
	if b.Checkpoint != nil {
		out.Checkpoint = b.Checkpoint.Object
	}
	for _, t := range b.State.Topics() {
		for p := range metadata.Partition(t.Partitions) {
			v, _ := b.State.Partition(metadata.TopicPartition{Topic: t.ID, Partition: p})
			out.Partitions = append(out.Partitions, PartitionReport{Topic: t.Name, Partition: p, LogStart: v.LogStart, Next: v.Next})
		}
	}
	return out
}

// writeFirstEntry writes the incarnation's first entry under a session of its own.
func (r *recoveryRun) writeFirstEntry(ctx context.Context, f etcdlog.Format) error {
	log, err := r.openLog(ctx)
	if err != nil {
		return err
	}
	defer log.Close()
	zones := r.rebuilt.State.Zones()
	if len(zones) == 0 {
		return fmt.Errorf("%w: no broker was ever in this cluster", ErrNothing)
	}
	session, err := log.OpenSession(ctx, metadata.SessionInfo{Nonce: fmt.Sprintf("recovery-%016x", r.Rand.Uint64()), Zone: zones[0]})
	if err != nil {
		return fmt.Errorf("open session: %w", err)
	}
	err = r.appendFirstEntry(ctx, log, session.ID(), f)
	return errors.Join(err, session.Close(context.WithoutCancel(ctx)))
}

func (r *recoveryRun) appendFirstEntry(ctx context.Context, log *etcdlog.Log, id metadata.SessionID, f etcdlog.Format) error {
	state := r.rebuilt.State
	e := metadata.Entry{Level: state.Level(), Session: id, Lane: metadata.LaneControl, Seq: 1, Time: metadata.UnixMilli(time.Now().UnixMilli()),
		Commands: r.firstCommands(f)}
	body, err := metadata.AppendEntry(nil, &e)
	if err != nil {
		return fmt.Errorf("encode first entry: %w", err)
	}
	key := metadata.EntryKey{Session: id, Lane: metadata.LaneControl, Seq: 1}
	res, err := log.Append(ctx, metadata.AppendRequest{Key: key, Bytes: body})
	if err != nil {
		return fmt.Errorf("append first entry: %w", err)
	}
	out, _ := state.Apply(&metadata.CommittedEntry{Revision: res.Revision, Extent: res.Extent, Session: id, Lane: key.Lane, Seq: key.Seq, Bytes: body})
	if out.Code != metadata.CodeOK {
		return fmt.Errorf("apply first entry at revision %d: %w: %s", res.Revision, out.Code, out.Text)
	}
	for i, c := range out.Commands {
		if c.Code != metadata.CodeOK {
			return fmt.Errorf("apply first entry at revision %d, command %d: %w: %s", res.Revision, i, c.Code, c.Text)
		}
	}
	return nil
}

// firstCommands of the first entry. Incarnations that came and went without an
// archive may have given out what one jump passes over, so each has its own.
func (r *recoveryRun) firstCommands(f etcdlog.Format) []metadata.Command {
	b := r.rebuilt
	open := metadata.OpenSession{Want: metadata.NoBroker, Zone: b.State.Zones()[0], Kafka: metadata.Address{Host: "recovery.invalid", Port: 1},
		Version: "recovery", MinLevel: metadata.MinFeatureLevel, MaxLevel: metadata.MaxFeatureLevel}
	cmds := []metadata.Command{open, metadata.DrainSession{}}
	for i := metadata.SessionID(b.Last.Last).Incarnation(); i < f.Incarnation; i++ {
		cmds = append(cmds, metadata.RecoverCluster{Incarnation: f.Incarnation, DiscardLost: r.DiscardLost})
	}
	for _, a := range b.Unaccepted {
		cmds = append(cmds, a)
	}
	return cmds
}
