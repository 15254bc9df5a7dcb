package groups

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// Client is the sender of a request.
type Client struct {
	ID, Host  string
	Zone      metadata.ZoneID
	Principal string
}

// Writer appends commands on the control lane and waits for their outcome. It
// submits them in the order of the calls.
type Writer interface {
	Submit(ctx context.Context, cmds []metadata.Command, guard *metadata.Guard) (metadata.Outcome, error)
}

// Replica gives read access to the applied state (metadata.Replica).
type Replica interface {
	View(func(*metadata.State))
	Barrier(ctx context.Context) error
}

// Config configures a Coordinator. Zero fields take DefaultConfig's values.
type Config struct {
	Writer  Writer
	Replica Replica
	Log     *slog.Logger
	Rand    *rand.Rand     // member ids; used under the coordinator's mutex
	Clock   metadata.Clock // for commit timestamps

	// InitialRebalanceDelay is how long an empty group waits for further
	// members before its first generation (group.initial.rebalance.delay.ms). A
	// negative value is none.
	InitialRebalanceDelay time.Duration
	MinSessionTimeout     time.Duration // group.min.session.timeout.ms
	MaxSessionTimeout     time.Duration // group.max.session.timeout.ms
	MaxGroupSize          int           // members, promised ids included (group.max.size)
	MaxConsumers          int           // members of a group of the consumer protocol (group.consumer.max.size)
	MaxGroupBytes         int           // of a group's members in memory
	MaxMemberBytes        int           // of the members of all groups of this broker in memory
	MaxLiveGroups         int           // groups with a goroutine at this broker
	// Timeouts of the consumer protocol for groups without configs of their own
	// (group.consumer.session.timeout.ms, group.consumer.heartbeat.interval.ms).
	ConsumerSessionTimeout    time.Duration
	ConsumerHeartbeatInterval time.Duration
	// OffsetRetention is how long offsets are kept after the last member left,
	// or after the last commit to a group that never had members
	// (offsets.retention.minutes).
	OffsetRetention   time.Duration
	MaxOffsetMetadata int           // bytes of a commit's text (offset.metadata.max.bytes)
	WriteTimeout      time.Duration // of one write, as the client sees it (offsets.commit.timeout.ms)
}

// DefaultConfig returns Kafka's defaults, and limits that Kafka does not have.
func DefaultConfig() Config {
	return Config{
		InitialRebalanceDelay: 3 * time.Second,
		MinSessionTimeout:     6 * time.Second,
		MaxSessionTimeout:     30 * time.Minute,
		MaxGroupSize:          5_000, // more do not fit one log entry even with empty subscriptions
		MaxConsumers:          10_000,
		MaxGroupBytes:         64 << 20,
		MaxMemberBytes:        256 << 20, // 400 consumers of 2,500 topics, in two protocols each
		MaxLiveGroups:         100_000,   // as metadata.MaxGroups
		MaxOffsetMetadata:     4096,
		WriteTimeout:          5 * time.Second,

		ConsumerSessionTimeout:    45 * time.Second,
		ConsumerHeartbeatInterval: 5 * time.Second,
		OffsetRetention:           7 * 24 * time.Hour,
	}
}

// Fixed limits.
const (
	maxStoredBytes   = metadata.MaxEntryBytes - 4<<10  // of a written generation or member: an entry without its frame
	maxPackedBytes   = metadata.MaxEntryBytes - 64<<10 // estimated bytes of the commands that share an entry
	maxCommitBytes   = 128 << 10                       // of one CommitOffsets command; more are split
	maxProtocols     = 1000                            // of one member: clients list a handful
	maxMailbox       = 256                             // closures queued for a group's goroutine; then callers wait
	maxClientPrefix  = 255                             // bytes of the client id at the start of a member id
	maxMemberID      = maxClientPrefix + 37            // bytes of a generated member id
	groupIdleTimeout = 5 * time.Second                 // an empty, unused group keeps its goroutine that long
	writeRetryDelay  = time.Second                     // until the write of an empty group is retried
	limitLogInterval = time.Minute                     // at most one log line per interval for members rejected by a limit

	// Estimated overhead in memory in addition to strings and bytes.
	memberOverheadBytes   = 512
	protocolOverheadBytes = 128
	topicOverheadBytes    = 16
)

// WithDefaults sets fields that are zero to DefaultConfig's values.
func (c Config) WithDefaults() Config {
	d := DefaultConfig()
	setDefault(&c.InitialRebalanceDelay, d.InitialRebalanceDelay)
	setDefault(&c.MinSessionTimeout, d.MinSessionTimeout)
	setDefault(&c.MaxSessionTimeout, d.MaxSessionTimeout)
	setDefault(&c.MaxGroupSize, d.MaxGroupSize)
	setDefault(&c.MaxConsumers, d.MaxConsumers)
	setDefault(&c.MaxGroupBytes, d.MaxGroupBytes)
	setDefault(&c.MaxMemberBytes, d.MaxMemberBytes)
	setDefault(&c.MaxLiveGroups, d.MaxLiveGroups)
	setDefault(&c.MaxOffsetMetadata, d.MaxOffsetMetadata)
	setDefault(&c.WriteTimeout, d.WriteTimeout)
	setDefault(&c.ConsumerSessionTimeout, d.ConsumerSessionTimeout)
	setDefault(&c.ConsumerHeartbeatInterval, d.ConsumerHeartbeatInterval)
	setDefault(&c.OffsetRetention, d.OffsetRetention)
	c.InitialRebalanceDelay = max(c.InitialRebalanceDelay, 0)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate returns an error that names the first invalid field.
func (c Config) Validate() error {
	switch {
	case c.Writer == nil || c.Replica == nil || c.Rand == nil:
		return errors.New("open group coordinator: Writer, Replica and Rand are needed")
	case c.MinSessionTimeout < 0 || c.MaxSessionTimeout < c.MinSessionTimeout:
		return errors.New("open group coordinator: MaxSessionTimeout is below MinSessionTimeout")
	case c.MaxGroupSize < 0 || c.MaxConsumers < 0 || c.MaxMemberBytes < 0 || c.MaxGroupBytes < 0 || c.MaxLiveGroups < 0 ||
		c.MaxOffsetMetadata < 0 || c.WriteTimeout < 0 || c.OffsetRetention < 0 ||
		c.ConsumerSessionTimeout < 0 || c.ConsumerHeartbeatInterval < 0:
		return errors.New("open group coordinator: a limit is negative")
	}
	return nil
}
