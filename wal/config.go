package wal

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// Limits that are not configurable.
const (
	// BatchOverheadBytes is charged to the memory budget for each batch in
	// addition to its own bytes: what the WAL and the connection retain of
	// it.
	BatchOverheadBytes = 1 << 10
	// MaxWaiting bounds how many batches of one producer and partition wait
	// for a missing sequence; a client has five requests in flight.
	MaxWaiting = 64
	// MaxUnapplied bounds the entries of a lane that are committed but not
	// applied here: where the replica lags, lanes stop.
	MaxUnapplied = 64
)

// Log is the part of metadata.Log that the WAL needs.
type Log interface {
	Append(ctx context.Context, r metadata.AppendRequest) (metadata.AppendResult, error)
}

// Uploader makes objects durable (s3stream.Store). Upload stores a body under a
// name never used before, with retries of its own, and returns how many
// billable requests that took, also with an error. Body is not used any more
// after it returned. After an error the object may or may not exist.
type Uploader interface {
	Upload(ctx context.Context, name metadata.ObjectName, body []byte) (puts uint32, err error)
}

// Cost is an entry's share of the cluster's rates. Its inline bytes were taken
// by InlineAllowed before.
type Cost = metadata.Cost

// Governor shares the cluster's commit budget between brokers and lanes.
type Governor interface {
	// Acquire waits until the lane may spend the cost, or ctx ends.
	Acquire(ctx context.Context, lane metadata.Lane, cost Cost) error
	// InlineAllowed takes n record bytes from the inline budget if they are
	// available now. It never waits.
	InlineAllowed(n int) bool
	// Settle reports that what was taken for an entry, by either method,
	// has been spent and is applied at this broker, or never will be.
	Settle(cost Cost)
}

// Config configures a WAL. Session, Log, Replica, Uploader, Governor and Rand
// must be set; zero values of the rest mean the default.
type Config struct {
	Session metadata.SessionID

	Log      Log
	Replica  Replica
	Uploader Uploader
	Governor Governor
	Route    func() metadata.Route // zones of broker, etcd member and leader; nil: unknown
	Rand     *rand.Rand            // phases and jitter
	Clock    metadata.Clock        // of the times in entries
	Logger   *slog.Logger

	// BudgetBytes bounds what is not yet acknowledged; default
	// DefaultBudgetBytes.
	BudgetBytes int64
	// Linger is how long the standard lane gathers before a PUT; default
	// 100 ms. The low lane does not linger.
	Linger time.Duration
	// MaxBufferBytes is the size at which a buffer is full; default 8 MiB.
	// A larger batch is stored in an object of its own.
	MaxBufferBytes int
	// MaxUploads is how many objects a lane has in flight; default 8.
	MaxUploads int
	// InlineLimit is the largest buffer that is cheaper inside its entry than
	// as an object, in bytes, by the price book; nil or 0: nothing goes
	// inline. metadata.MaxInlineBytes caps it.
	InlineLimit func() int
	// BlockedAfter is how long a connection with unanswered batches sends
	// nothing before it is considered window-blocked; default 7 ms.
	BlockedAfter time.Duration
	// EarlyPuts is how many PUTs a second a lane may spend on sealing for
	// window-blocked connections before its linger or, where that is more,
	// one for every 64 KiB in full batches and 768 KiB in others; default
	// 20 (about 260 dollars a month at 5 dollars a million), negative:
	// none.
	EarlyPuts float64
	// GapWait is how long a batch waits for the sequence before it; default
	// 500 ms.
	GapWait time.Duration
	// UploadTimeout bounds one PUT with all its retries; default 30 s.
	UploadTimeout time.Duration
	// HedgeAfter is the time after which a PUT is late, and is sent again
	// under another name, while too few were measured for a p99; default
	// 500 ms, at most hedge.MaxWait. Negative: never.
	HedgeAfter time.Duration
	// MaxHedges is how many such PUTs may be in flight whose object is not
	// stored yet; default 4.
	MaxHedges int

	// OnCommit, OnUpload and OnAck receive durations (append to resolved,
	// PUT, Append call to ack), for histograms. They must not block.
	OnCommit func(lane metadata.Lane, d time.Duration)
	OnUpload func(lane metadata.Lane, bytes int, d time.Duration)
	OnAck    func(lane metadata.Lane, d time.Duration)

	hooks metadata.Hooks
}

// SetHooks sets the hooks of the WAL's lanes.
func (c *Config) SetHooks(h metadata.Hooks) { c.hooks = h }

// DefaultBudgetBytes is Config.BudgetBytes where that is 0.
const DefaultBudgetBytes = 256 << 20

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// withDefaults replaces zero values.
func (c Config) withDefaults() Config {
	setDefault(&c.BudgetBytes, DefaultBudgetBytes)
	setDefault(&c.Linger, 100*time.Millisecond)
	setDefault(&c.MaxBufferBytes, 8<<20)
	setDefault(&c.MaxUploads, 8)
	setDefault(&c.BlockedAfter, 7*time.Millisecond)
	setDefault(&c.EarlyPuts, 20)
	setDefault(&c.GapWait, 500*time.Millisecond)
	setDefault(&c.UploadTimeout, 30*time.Second)
	setDefault(&c.HedgeAfter, 500*time.Millisecond)
	setDefault(&c.MaxHedges, 4)
	if c.Route == nil {
		c.Route = func() metadata.Route { return metadata.Route{} }
	}
	if c.InlineLimit == nil {
		c.InlineLimit = func() int { return 0 }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate returns what is missing or out of range.
func (c Config) Validate() error {
	switch {
	case c.Session <= 0:
		return fmt.Errorf("check wal config: session %d", c.Session)
	case c.Log == nil || c.Replica == nil || c.Uploader == nil || c.Governor == nil || c.Rand == nil:
		return fmt.Errorf("check wal config: log, replica, uploader, governor and rand must be set")
	case c.BudgetBytes < 0 || c.Linger < 0 || c.MaxBufferBytes < 0 || c.MaxUploads < 0 || c.BlockedAfter < 0 || c.GapWait < 0 || c.UploadTimeout < 0:
		return fmt.Errorf("wal config: a limit is negative")
	case c.MaxBufferBytes > metadata.MaxObjectBytes/2:
		return fmt.Errorf("check wal config: buffers of %d bytes, at most %d", c.MaxBufferBytes, metadata.MaxObjectBytes/2)
	}
	return nil
}
