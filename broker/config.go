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

// Limits of one broker's Kafka door. At a limit the service pushes back or
// closes the connection; it does not grow.
const (
	// MaxFrameBytes is Kafka's socket.request.max.bytes.
	MaxFrameBytes = 100 << 20
	// MaxNonProduceFrameBytes bounds every request but Produce: none needs more,
	// and a decoder may make a hundred bytes of memory out of one byte of it.
	MaxNonProduceFrameBytes = 8 << 20
	// MaxProducePartitions bounds the partitions of one Produce request.
	MaxProducePartitions = 50_000
	// MaxPipelined is how many unanswered requests a connection may have.
	MaxPipelined = 64
	// MaxPipelinedBytes is how many bytes of unanswered frames a connection
	// may have; a single larger frame travels alone.
	MaxPipelinedBytes = 8 << 20
	// MaxFetchBytes caps one fetch answer, as Kafka's fetch.max.bytes does.
	MaxFetchBytes = 55 << 20
	// MaxFetchSessions is Kafka's max.incremental.fetch.session.cache.slots.
	MaxFetchSessions = 1000
	// MaxConnections bounds sockets, hence goroutines.
	MaxConnections = 20_000
	// MaxInflatedBytes bounds what a compressed batch may unpack to while it
	// is checked (a zip bomb is refused, not unpacked).
	MaxInflatedBytes = 128 << 20
)

// Config is what a broker needs. Zero values of the limits mean their
// defaults.
type Config struct {
	Zone metadata.ZoneID // where this broker stands
	// Self returns this broker's id, or metadata.NoBroker between sessions.
	Self func() metadata.BrokerID

	Replica  Replica
	Writer   Writer
	Reader   Reader
	Resolver Resolver
	// Healthy tells whether a peer answers (router.Prober); nil: all do.
	Healthy func(metadata.BrokerID) bool
	// MetadataDelay is how long a Metadata answer waits that may have been asked for
	// because a broker has just gone (metadata_delay.go); 0: not at all.
	MetadataDelay time.Duration
	Groups        Groups // nil: group APIs are not served
	// GroupSettings are what Groups was made with: configs say them.
	GroupSettings groups.Config

	// AutoCreate makes topics on first use by Metadata, as Kafka does.
	AutoCreate bool
	// KeepTopics refuses to delete topics (Kafka's delete.topic.enable=false).
	KeepTopics bool
	// CheckReplication refuses topics that ask for more replicas than there are
	// brokers, as Kafka does. Replicas are named for tools alone, so that without
	// it a cluster that has become smaller still takes what clients ask for.
	CheckReplication bool
	// DefaultPartitions of a topic created without a count.
	DefaultPartitions int32
	// OffsetsPartitions of __consumer_offsets, a name that clients look for
	// (offsets.topic.num.partitions).
	OffsetsPartitions int32

	// FrameBytes is the memory for request frames not yet answered, of all
	// connections; at the limit they are not read further. MaxFrameBytes of it
	// are kept for one large frame at a time, so that frames that have come in
	// part cannot wait for each other; an eighth is for large frames of other
	// requests than Produce.
	FrameBytes int64
	// RequestBytes is the memory for decoded requests under way.
	RequestBytes int64
	// PollBytes is the memory for fetches that wait and for fetch sessions.
	// Where it runs short they are answered at once, with a throttle time, and
	// without a session.
	PollBytes int64
	// ResponseBytes is the memory for answers that are not written yet. Where it
	// runs short fetch answers get smaller, never empty.
	ResponseBytes int64
	// IdleTimeout closes a connection on which nothing is asked (Kafka's
	// connections.max.idle.ms).
	IdleTimeout time.Duration
	// WriteTimeout closes a connection whose client does not read.
	WriteTimeout time.Duration

	// Rand makes topic ids and session ids; the broker guards it.
	Rand *rand.Rand
	// Clock gives records their times where the topic wants it.
	Clock   metadata.Clock
	Log     *slog.Logger
	Metrics *prometheus.Registry
	// LogLevel is Log's least level, which clients may change; nil: fixed.
	LogLevel *slog.LevelVar
}

// DefaultConfig returns a Config with the limits set and the doors missing.
func DefaultConfig() Config {
	return Config{
		AutoCreate:        true,
		DefaultPartitions: 1,
		OffsetsPartitions: internalPartitions,
		FrameBytes:        512 << 20,
		RequestBytes:      256 << 20,
		PollBytes:         256 << 20,
		ResponseBytes:     512 << 20,
		IdleTimeout:       10 * time.Minute,
		WriteTimeout:      30 * time.Second,
	}
}

// Validate says what is missing or contradictory.
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
