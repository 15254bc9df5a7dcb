package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Mode is what a run does.
type Mode string

// The modes.
const (
	ModeProduce Mode = "produce"
	ModeConsume Mode = "consume"
	ModeE2E     Mode = "e2e"
)

// Config is one run.
type Config struct {
	Mode       Mode
	Bootstrap  []string // producer i and consumer i use number i modulo their count
	ClientID   string
	Topic      string
	Partitions int  // of the topic, if it is made
	Create     bool // the topic, if it is not there
	Replicas   int  // of the topic, if it is made; -1: the cluster's default

	Producers   int
	Consumers   int
	RecordBytes int
	Rate        float64 // records per second, of all producers; 0: flat out
	Records     int64   // at most; 0: no bound
	Duration    time.Duration
	Linger      time.Duration
	BatchBytes  int
	Compression string // none, gzip, snappy, lz4, zstd
	Acks        string // all, one, none
	Idempotent  bool
	InFlight    int // produce requests per broker; 0: the client's default

	Group string // consume by a group; empty: partitions are shared out here
	// Servers lists the HTTP ports of zonewise brokers whose metrics are
	// read, by Ask, which receives one of them and a path.
	Servers   []string
	FetchPath func(ctx context.Context, server, path string) ([]byte, error)
	// Progress receives a line about the run every five seconds; may be
	// nil.
	Progress io.Writer
}

// DefaultConfig returns a gentle run of half a minute.
func DefaultConfig() Config {
	return Config{ClientID: "zonewise-bench", Topic: "bench", Partitions: 12, Create: true, Replicas: -1, Producers: 3, Consumers: 3,
		RecordBytes: 1024, Duration: 30 * time.Second, Linger: 5 * time.Millisecond, BatchBytes: 1 << 20, Compression: "none", Acks: "all", Idempotent: true}
}

// maxClients bounds producers and consumers: each has its own connections.
const maxClients = 1000

// Validate returns what is wrong with c.
func (c *Config) Validate() error {
	switch {
	case len(c.Bootstrap) == 0:
		return errors.New("no bootstrap server")
	case c.Topic == "":
		return errors.New("no topic")
	case c.Partitions < 1:
		return fmt.Errorf("%d partitions: want 1 or more", c.Partitions)
	case c.Producers < 1 || c.Producers > maxClients || c.Consumers < 1 || c.Consumers > maxClients:
		return fmt.Errorf("%d producers and %d consumers: want 1 to %d of each", c.Producers, c.Consumers, maxClients)
	case c.RecordBytes < headerBytes || c.RecordBytes > 16<<20:
		return fmt.Errorf("records of %d bytes: want %d to %d", c.RecordBytes, headerBytes, 16<<20)
	case c.Rate < 0 || c.Records < 0 || c.InFlight < 0:
		return fmt.Errorf("rate %v, records %d and requests under way %d: want 0 or more", c.Rate, c.Records, c.InFlight)
	case c.Duration <= 0:
		return fmt.Errorf("duration %v: want more than 0", c.Duration)
	case c.InFlight > 1 && c.Idempotent:
		return fmt.Errorf("%d requests under way: an idempotent producer of this client (franz-go) has one", c.InFlight)
	case c.Acks != "all" && c.Idempotent:
		return fmt.Errorf("acks %q: an idempotent producer needs all", c.Acks)
	}
	return nil
}
