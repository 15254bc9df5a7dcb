package s3stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
	"github.com/zonewise/zonewise/s3stream/hedge"
)

// Replica is the part of metadata.Replica that reads need.
type Replica interface {
	// View gives read access to the applied state for the time of f.
	View(f func(*metadata.State))
	// Barrier returns when this broker has applied what was committed before
	// the call.
	Barrier(ctx context.Context) error
	// InlineBytes returns the inline bytes of an entry that is not archived
	// yet; false once it is.
	InlineBytes(rev metadata.Revision) ([]byte, bool)
	// ArchivedInline reads length of an archived entry's inline bytes from pos.
	ArchivedInline(ctx context.Context, ref metadata.ArchiveRef, rev metadata.Revision, pos, length int64) ([]byte, error)
}

// Decompress decodes one of Kafka's codecs (1 gzip, 2 snappy, 3 lz4, 4 zstd);
// it must fail rather than return more than max bytes.
type Decompress func(codec int, in []byte, max int) ([]byte, error)

// Config configures a Store.
type Config struct {
	Bucket  bucket.Bucket // below "<cluster>/" already
	Replica Replica
	// TailBytes bounds the bodies kept of objects that this broker wrote.
	TailBytes int64
	// BlockBytes bounds the block cache.
	BlockBytes int64
	Decompress Decompress // for searches by timestamp; nil: batches must be uncompressed
	Logger     *slog.Logger
	Metrics    Metrics
	hooks      metadata.Hooks
}

// SetHooks sets the store's hooks.
func (c *Config) SetHooks(h metadata.Hooks) { c.hooks = h }

// Sizes of the caches where Config has 0, in bytes.
const (
	DefaultTailBytes  = 256 << 20
	DefaultBlockBytes = 256 << 20
	// MinBlockBytes keeps a merged GET and a read-ahead from evicting
	// themselves.
	MinBlockBytes = 4 * maxReadAhead
)

// Validate returns what is wrong with the configuration.
func (c Config) Validate() error {
	switch {
	case c.Bucket == nil || c.Replica == nil:
		return errors.New("store: BUG: bucket and replica are needed")
	case c.TailBytes < 0:
		return fmt.Errorf("store: tail cache of %d bytes: want 0 (default) or more", c.TailBytes)
	case c.BlockBytes != 0 && c.BlockBytes < MinBlockBytes:
		return fmt.Errorf("store: block cache of %d bytes: want 0 (default) or at least %d", c.BlockBytes, MinBlockBytes)
	}
	return nil
}

// Metrics are called as things happen, from many goroutines; nil ones are
// skipped. They must not block.
type Metrics struct {
	// Served: record bytes returned to a reader, by source.
	Served func(from Source, bytes int64)
	// Unclaimed: GETs that no reader used: of read-ahead, of a reader that
	// left, the losing request of a hedge, or to compare an object with an
	// upload. Every other GET is in some ReadStats.
	Unclaimed func(gets uint32)
}

// Store uploads and reads the objects of one broker. All methods may be called
// from any number of goroutines. Close it after use.
type Store struct {
	config         Config
	log            *slog.Logger
	tail           *tailCache
	blocks         *blockCache
	cursors        *cursorCache
	archiveLocator archiveLocator // the replica, if it is one

	getLimiter getLimiter

	lifeCtx    context.Context // of GETs; ends with Close
	cancelLife context.CancelFunc
	mu         sync.Mutex
	closed     bool           // guarded by mu
	fetches    sync.WaitGroup // GETs in flight; Add under mu, not after closed

	unclaimed atomic.Uint64 // GETs
}

func (s *Store) runReadHook(tp metadata.TopicPartition, from metadata.Offset) {
	if during := s.config.hooks.DuringRead; during != nil {
		during(tp, from)
	}
}

// NewStore returns the store of one broker. Config must be valid.
func NewStore(c Config) *Store {
	if c.TailBytes == 0 {
		c.TailBytes = DefaultTailBytes
	}
	if c.BlockBytes == 0 {
		c.BlockBytes = DefaultBlockBytes
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{config: c, log: c.Logger, tail: newTailCache(c.TailBytes), cursors: newCursorCache()}
	s.blocks = newBlockCache(c.BlockBytes, s.reportUnused)
	s.archiveLocator, _ = c.Replica.(archiveLocator)
	s.lifeCtx, s.cancelLife = context.WithCancel(context.Background())
	return s
}

// Close ends what is in flight and waits for it. Reads fail from then on.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancelLife()
	s.fetches.Wait()
	s.reportUnused(s.blocks.takeAllUnclaimed())
	return nil
}

// reportUnused records GETs whose bytes no reader used.
func (s *Store) reportUnused(gets uint32) {
	if gets == 0 {
		return
	}
	s.unclaimed.Add(uint64(gets))
	if s.config.Metrics.Unclaimed != nil {
		s.config.Metrics.Unclaimed(gets)
	}
}

// Upload puts an object that EncodeWAL made for this name. puts is how many
// billable PUT requests it took, also where err is not nil; a GET to compare
// what an earlier attempt left is reported as unclaimed. On success the body
// belongs to the tail cache, unless ctx is of a race that another upload has
// won (hedge.Lost), and must not be changed any more. After an error the object
// may exist all the same (bucket.ErrBusy), except where the error is
// bucket.ErrExists: then another object has the name.
func (s *Store) Upload(ctx context.Context, name metadata.ObjectName, body []byte) (puts uint32, err error) {
	if found, err := decodeWALHeader(body); err != nil || found != name {
		return 0, fmt.Errorf("upload object %s: BUG: the body is of %s (%v)", name.Key(), found.Key(), err)
	}
	sum, err := checksumWAL(body)
	if err != nil {
		return 0, fmt.Errorf("upload object %s: BUG: %w", name.Key(), err)
	}
	var billed atomic.Uint32
	ctx = bucket.WithChecksum(bucket.WithCause(ctx, bucket.CauseWAL), sum)
	ctx = bucket.WithObserver(ctx, func(a bucket.Attempt) {
		switch {
		case !a.Billable():
		case a.Op == bucket.OpPut:
			billed.Add(1)
		default:
			s.reportUnused(1)
		}
	})
	if err := s.config.Bucket.Put(ctx, name.Key(), body); err != nil {
		return billed.Load(), fmt.Errorf("upload object %s: %w", name.Key(), err)
	}
	if !hedge.Lost(ctx) {
		s.tail.put(name, body)
	}
	return billed.Load(), nil
}

// Usage is what a store holds and has done since its start.
type Usage struct {
	TailBytes, BlockBytes int64
	TailObjects, Blocks   int
	UnclaimedGETs         uint64
}

// Usage returns the present values, for metrics.
func (s *Store) Usage() Usage {
	u := Usage{UnclaimedGETs: s.unclaimed.Load()}
	u.TailObjects, u.TailBytes = s.tail.size()
	u.Blocks, u.BlockBytes = s.blocks.size()
	return u
}
