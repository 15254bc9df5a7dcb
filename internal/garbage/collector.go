package garbage

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// Role is the name of the role whose holder collects garbage.
const Role = "garbage"

// Bucket is what the collector does in the bucket; keys are below "<cluster>/".
type Bucket interface {
	Delete(ctx context.Context, names ...string) (deleted []string, err error)
	List(ctx context.Context, prefix, after string, limit int) ([]bucket.Info, error)
}

// Config is what a Collector needs.
type Config struct {
	Bucket    Bucket
	Replica   *metadata.Replica
	Submitter metadata.Submitter
	Logger    *slog.Logger
	// Grace is how long an object stays after its death, in state time and by this
	// broker's monotonic clock.
	Grace time.Duration
	// LeftoverGrace is how long after a session's end its leftovers are searched for.
	LeftoverGrace time.Duration
	// SetFullness, where not nil, is told how full each pass was, in percent.
	SetFullness func(percent int)
	Stats       *Stats
	// Uploads, where not nil, aborts multipart uploads that somebody left below the
	// cluster's prefix; zonewise makes none.
	Uploads bucket.UploadAborter
}

// Collector deletes dead objects while its session holds the role. One goroutine
// uses it.
type Collector struct {
	cfg    Config
	epoch  metadata.RoleEpoch
	deaths []observedDeaths // oldest first
	retry  map[metadata.GarbageID]retryTime
	// uploadsListed is when uploads were listed last, or the role was taken.
	uploadsListed time.Time
}

// observedDeaths is a time, and the id of the first death that this broker had not
// applied then. Deaths are counted from when the role was taken: what is older was
// perhaps applied in a replay.
type observedDeaths struct {
	at   time.Time
	next metadata.GarbageID
}

// retryTime is when a deletion that failed is tried again.
type retryTime struct {
	at   time.Time
	wait time.Duration
}

// Limits of one pass. At full load the brokers of a cluster write some hundred
// objects a second, which die as fast: 1,000 a pass of ten seconds. A pass deletes
// up to twenty times as many.
const (
	batchObjects   = 1_000 // in one DeleteObjects and one ConfirmDeleted
	passBatches    = 20
	parallelCalls  = 4
	maxRetries     = 10_000 // failed deletions whose time is remembered
	firstRetryWait = 30 * time.Second
	maxRetryWait   = 10 * time.Minute
)

// New returns a collector.
func New(cfg Config) *Collector {
	if cfg.Stats == nil {
		cfg.Stats = &Stats{}
	}
	return &Collector{cfg: cfg}
}

// Task returns the collector's role task.
func (c *Collector) Task(interval time.Duration) metadata.RoleTask {
	return metadata.RoleTask{Name: Role, Interval: interval, Run: c.Run}
}

// Run is one pass: it deletes what may be deleted, and searches for leftovers.
func (c *Collector) Run(ctx context.Context, role metadata.Role) error {
	ctx = bucket.WithCause(ctx, bucket.CauseGC)
	if c.epoch != role.Epoch {
		c.epoch, c.deaths, c.retry = role.Epoch, nil, map[metadata.GarbageID]retryTime{}
		c.uploadsListed = time.Now()
	}
	if err := c.cfg.Replica.Barrier(ctx); err != nil {
		c.cfg.Stats.holdBack(HeldBehind)
		return err
	}
	limit := c.observeDeaths()
	reason, p := c.plan(limit)
	c.cfg.Stats.holdBack(reason)
	if reason != HeldNot {
		return nil
	}
	if err := c.deleteDead(ctx, role, p); err != nil {
		return err
	}
	if err := c.searchLeftovers(ctx, role); err != nil {
		return err
	}
	return c.abortUploads(ctx)
}

// Multipart uploads are looked for once a day, and aborted when they are days old: the
// age is the store's clock against ours.
const (
	uploadInterval = 24 * time.Hour
	uploadAge      = 3 * 24 * time.Hour
)

func (c *Collector) abortUploads(ctx context.Context) error {
	if c.cfg.Uploads == nil || time.Since(c.uploadsListed) < uploadInterval {
		return nil
	}
	c.uploadsListed = time.Now()
	list, err := c.cfg.Uploads.ListUploads(ctx, "", uploadAge)
	if errors.Is(err, errors.ErrUnsupported) || err == nil && len(list) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	n, err := c.cfg.Uploads.AbortUploads(ctx, list...)
	c.cfg.Logger.Info("aborted multipart uploads that were left in the bucket", "uploads", n, "of", len(list))
	return err
}

// observeDeaths returns the id below which this broker has known every death for the
// grace.
func (c *Collector) observeDeaths() (limit metadata.GarbageID) {
	now := time.Now()
	var next metadata.GarbageID
	c.cfg.Replica.View(func(s *metadata.State) { next = s.NextGarbage() })
	for len(c.deaths) > 1 && now.Sub(c.deaths[1].at) >= c.cfg.Grace {
		c.deaths = c.deaths[1:]
	}
	c.deaths = append(c.deaths, observedDeaths{now, next})
	if first := c.deaths[0]; now.Sub(first.at) >= c.cfg.Grace {
		return first.next
	}
	return 0
}

// passPlan says which deaths are old enough in this pass.
type passPlan struct {
	below metadata.GarbageID // by the monotonic clock
	upTo  metadata.Revision  // of the older recovery base
	at    metadata.UnixMilli // in state time
}

// maxUnarchived is how many closed extents wait for their archive before archiving is
// taken to fail.
const maxUnarchived = 6

// plan returns why nothing is deleted now, or what may be.
func (c *Collector) plan(below metadata.GarbageID) (reason HeldReason, p passPlan) {
	if c.cfg.Replica.InDispute() {
		return HeldDispute, p
	}
	c.cfg.Replica.View(func(s *metadata.State) {
		closed := 0
		for _, e := range s.PendingArchives() {
			if e.Closed {
				closed++
			}
		}
		p = passPlan{below, s.DeletableUpTo(), s.Time() - metadata.UnixMilli(c.cfg.Grace.Milliseconds())}
		switch {
		case closed > maxUnarchived:
			reason = HeldArchive
		case p.upTo == 0:
			reason = HeldBase
		}
	})
	return reason, p
}

// deleteDead deletes the dead objects of the plan, a batch at a time in each of a few
// goroutines, and confirms what the bucket confirmed.
func (c *Collector) deleteDead(ctx context.Context, role metadata.Role, p passPlan) error {
	var after metadata.GarbageID
	batches := 0
	for batches < passBatches {
		var round [][]metadata.GarbageObject
		for len(round) < parallelCalls && batches < passBatches {
			var batch []metadata.GarbageObject
			batch, after = c.nextBatch(after, p)
			if len(batch) == 0 {
				break
			}
			round = append(round, batch)
			batches++
		}
		if len(round) == 0 {
			break
		}
		if err := c.deleteRound(ctx, role, round); err != nil {
			return err
		}
	}
	if c.cfg.SetFullness != nil {
		c.cfg.SetFullness(batches * 100 / passBatches)
	}
	return nil
}

// nextBatch returns the next objects to delete after an id, without those that failed
// a short while ago.
func (c *Collector) nextBatch(after metadata.GarbageID, p passPlan) (batch []metadata.GarbageObject, last metadata.GarbageID) {
	now := time.Now()
	for last = after; len(batch) < batchObjects; {
		var list []metadata.GarbageObject
		c.cfg.Replica.View(func(s *metadata.State) { list = s.Garbage(nil, last, p.upTo, p.at, batchObjects-len(batch)) })
		if len(list) == 0 {
			return batch, last
		}
		for _, g := range list {
			if g.ID >= p.below {
				return batch, last
			}
			last = g.ID
			if r, failed := c.retry[g.ID]; !failed || !now.Before(r.at) {
				batch = append(batch, g)
			}
		}
	}
	return batch, last
}

// deleteRound deletes batches, all at once, and then confirms them.
func (c *Collector) deleteRound(ctx context.Context, role metadata.Role, round [][]metadata.GarbageObject) error {
	deleted := make([][]string, len(round))
	failures := make([]error, len(round))
	var wg sync.WaitGroup
	for i, batch := range round {
		keys := make([]string, len(batch))
		for j, g := range batch {
			keys[j] = g.Key
		}
		wg.Go(func() { deleted[i], failures[i] = c.cfg.Bucket.Delete(ctx, keys...) })
	}
	wg.Wait()
	for i, batch := range round {
		if err := c.confirm(ctx, role, batch, deleted[i]); err != nil {
			return err
		}
	}
	return errors.Join(failures...)
}

// confirm commits which of a batch's objects are gone, and sets the retry time of the
// others.
func (c *Collector) confirm(ctx context.Context, role metadata.Role, batch []metadata.GarbageObject, deleted []string) error {
	gone := make(map[string]bool, len(deleted))
	for _, key := range deleted {
		gone[key] = true
	}
	var cmd metadata.ConfirmDeleted
	var bytes int64
	for _, g := range batch {
		if !gone[g.Key] {
			c.setRetry(g.ID)
			continue
		}
		delete(c.retry, g.ID)
		cmd.IDs = append(cmd.IDs, g.ID)
		bytes += g.Size
	}
	c.cfg.Stats.count(len(cmd.IDs), len(batch)-len(cmd.IDs), bytes)
	if len(cmd.IDs) == 0 {
		return nil
	}
	out, err := c.cfg.Submitter.Submit(ctx, []metadata.Command{cmd}, &metadata.Guard{Role: role.Name, RoleEpoch: role.Epoch})
	if err != nil {
		return err
	}
	if out.Code != metadata.CodeOK {
		return errRoleLost
	}
	return nil
}

// errRoleLost ends a pass whose role another broker has by now.
var errRoleLost = errors.New("the garbage role is lost: what was deleted is deleted again by its new holder")

// setRetry doubles the wait before a failed deletion is tried again.
func (c *Collector) setRetry(id metadata.GarbageID) {
	wait := min(max(2*c.retry[id].wait, firstRetryWait), maxRetryWait)
	if len(c.retry) < maxRetries || c.retry[id].wait > 0 {
		c.retry[id] = retryTime{time.Now().Add(wait), wait}
	}
}
