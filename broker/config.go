package broker

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zonewise/zonewise/broker/groups"
	"github.com/zonewise/zonewise/metadata"
)

// Limits of one broker's Kafka listener. At a limit the broker applies back
// pressure or closes the connection; its memory does not grow.
const (
	// MaxFrameBytes is Kafka's socket.request.max.bytes.
	MaxFrameBytes = 100 << 20
	// MaxNonProduceFrameBytes bounds every request except Produce: none needs more,
	// and one byte can decode to a hundred bytes of memory.
	MaxNonProduceFrameBytes = 8 << 20
	// MaxProducePartitions bounds the partitions of one Produce request.
	MaxProducePartitions = 50_000
	// MaxPipelined is how many unanswered requests a connection may have.
	MaxPipelined = 64
	// MaxPipelinedBytes is how many bytes of unanswered frames a connection may
	// have; a single larger frame is read when there are no others.
	MaxPipelinedBytes = 8 << 20
	// MaxFetchBytes bounds one Fetch response, as Kafka's fetch.max.bytes.
	MaxFetchBytes = 55 << 20
	// MaxFetchSessions is Kafka's max.incremental.fetch.session.cache.slots.
	MaxFetchSessions = 1000
	// MaxConnections bounds sockets, and so goroutines.
	MaxConnections = 20_000
	// MaxInflatedBytes bounds the decompressed size of a batch while it is
	// checked (a zip bomb is refused before it is decompressed).
	MaxInflatedBytes = 128 << 20
)

// Config configures a broker. Zero limits mean their defaults.
type Config struct {
	Zone metadata.ZoneID // this broker's zone
	// Self returns this broker's id, or metadata.NoBroker between sessions.
	Self func() metadata.BrokerID

	Replica  Replica
	Writer   Writer
	Reader   Reader
	Resolver Resolver
	// Healthy reports whether a peer responds (router.Prober); nil: all do.
	Healthy func(metadata.BrokerID) bool
	// MetadataDelay delays a Metadata response that the client may have
	// requested because a broker has just left (metadata_delay.go); 0: none.
	MetadataDelay time.Duration
	Groups        Groups // nil: group APIs are not served
	// GroupSettings is the config of Groups: DescribeConfigs shows it.
	GroupSettings groups.Config

	// AutoCreate creates topics on first use by Metadata, as Kafka does.
	AutoCreate bool
	// KeepTopics refuses deletion of topics (Kafka's
	// delete.topic.enable=false).
	KeepTopics bool
	// CheckReplication refuses topics with more replicas than brokers, as Kafka
	// does. Replicas exist for tools only: without the check a cluster that has
	// become smaller still accepts the clients' requests.
	CheckReplication bool
	// DefaultPartitions is the number for topics that are created without one.
	DefaultPartitions int32
	// RetentionCheck is how long records stay after their commit, whatever their age.
	RetentionCheck time.Duration
	// OffsetsPartitions is the number of partitions of __consumer_offsets,
	// which clients look up (offsets.topic.num.partitions).
	OffsetsPartitions int32

	// FrameBytes is the memory for request frames not yet answered, of all
	// connections; at the limit no more is read. MaxFrameBytes of it are
	// reserved for one large frame at a time, so that partly read frames cannot
	// wait for each other; an eighth is for large frames of requests other than
	// Produce.
	FrameBytes int64
	// RequestBytes is the memory for decoded requests.
	RequestBytes int64
	// PollBytes is the memory for waiting fetches and for fetch sessions. If it
	// is short, fetches get a response at once, with a throttle time and
	// without a session.
	PollBytes int64
	// ResponseBytes is the memory for responses that are not written yet. If it
	// is short, Fetch responses become smaller, but not empty.
	ResponseBytes int64
	// IdleTimeout closes a connection without requests (Kafka's
	// connections.max.idle.ms).
	IdleTimeout time.Duration
	// WriteTimeout closes a connection whose client does not read.
	WriteTimeout time.Duration

	// Rand makes topic ids and session ids; the broker guards it.
	Rand *rand.Rand
	// Clock gives LogAppendTime.
	Clock   metadata.Clock
	Log     *slog.Logger
	Metrics *prometheus.Registry
	// LogLevel is Log's minimum level, which clients may change; nil: fixed.
	LogLevel *slog.LevelVar
}

// DefaultConfig returns a Config with the limits, but without the interfaces.
func DefaultConfig() Config {
	return Config{
		AutoCreate:        true,
		DefaultPartitions: 1,
		RetentionCheck:    metadata.DefaultMaintenanceTimes().RetentionCheck,
		OffsetsPartitions: internalPartitions,
		FrameBytes:        512 << 20,
		RequestBytes:      256 << 20,
		PollBytes:         256 << 20,
		ResponseBytes:     512 << 20,
		IdleTimeout:       10 * time.Minute,
		WriteTimeout:      30 * time.Second,
	}
}

// Validate returns an error for what is missing or contradictory.
func (c *Config) Validate() error {
	switch {
	case c.Self == nil || c.Replica == nil || c.Writer == nil || c.Reader == nil || c.Resolver == nil:
		return errors.New("broker config: self, replica, writer, reader and resolver must be set")
	case c.Rand == nil || c.Log == nil || c.Metrics == nil:
		return errors.New("broker config: rand, log and metrics must be given")
	case c.DefaultPartitions < 1 || c.DefaultPartitions > metadata.MaxPartitionsPerTopic:
		return errors.New("broker config: default partitions out of range")
	case c.OffsetsPartitions < 1 || c.OffsetsPartitions > metadata.MaxPartitionsPerTopic:
		return errors.New("broker config: partitions of the offsets topic out of range")
	case c.FrameBytes < 2*MaxFrameBytes:
		return errors.New("broker config: frame memory must hold two frames of maximum size")
	case c.RequestBytes < 16*MaxNonProduceFrameBytes:
		return errors.New("broker config: request memory must hold one request of maximum size")
	case c.PollBytes < 16<<20:
		return errors.New("broker config: poll memory must be 16 MiB or more")
	case c.ResponseBytes < 2*MaxFrameBytes:
		return errors.New("broker config: response memory must hold two batches of maximum size")
	case c.IdleTimeout <= 0 || c.WriteTimeout <= 0:
		return errors.New("broker config: timeouts must be positive")
	}
	return nil
}
