package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/zonewise/zonewise/internal/bench"
	"github.com/zonewise/zonewise/internal/cli"
)

// errVerifyFailed is how a bench ends that read something wrong.
var errVerifyFailed = errors.New("verification failed: records read differ from records written")

func benchCommand(mode bench.Mode) cli.Command {
	about := map[bench.Mode]struct{ short, long, example string }{
		bench.ModeProduce: {"Load any Kafka cluster with records, paced or flat out",
			"Sends records and measures how long each ack takes. Of a paced run the time is\ncounted from when a record was due, so that a stall is not hidden.",
			"zonewise bench produce --bootstrap 127.0.0.1:9092,127.0.0.1:9093,127.0.0.1:9094 --rate 100 --duration 5m"},
		bench.ModeConsume: {"Read what bench wrote, and verify it",
			"Reads the topic from its start to where it ended when the run began, and checks\nof every record its checksum, its producer's numbering and its offset.",
			"zonewise bench consume --bootstrap 127.0.0.1:9092 --topic bench"},
		bench.ModeE2E: {"Write and read at once, and verify that every acknowledged record arrives",
			"Sends records, reads them at the same time, and measures from when a record was\ndue to when a consumer had it. Ends once everything acknowledged was read.",
			"zonewise bench e2e --bootstrap 127.0.0.1:9092 --rate 1000 --server http://127.0.0.1:8080"},
	}[mode]
	return cli.Command{
		Name:  "bench " + string(mode),
		Short: about.short,
		Long: about.long + `

It drives any Kafka cluster. Pointed at brokers of zonewise by --server, it also
prints what they did per GiB of records: S3 requests, bytes across zones, and
seconds of processor. Exits 1 if anything read was wrong or any record failed.`,
		Examples: []string{about.example},
		New: func(s *cli.Set) func(context.Context, cli.Env) error {
			c, format, access := bench.DefaultConfig(), "", apiAccess{}
			c.Mode = mode
			s.Strings(&c.Bootstrap, "bootstrap", "HOST:PORT,...", "servers; client i uses number i modulo their count (required)")
			s.String(&c.Topic, "topic", c.Topic, "NAME", "of the topic")
			s.Duration(&c.Duration, "duration", c.Duration, "how long to send, or to read at most")
			s.Int64(&c.Records, "records", c.Records, "COUNT", "records at most; 0: no bound")
			s.Strings(&c.Servers, "server", "URL,...", "HTTP ports of brokers of zonewise to ask for what they did")
			access.declareAccess(s)
			progress := true
			s.Bool(&progress, "progress", true, "tell every five seconds, on standard error, how it goes")
			s.String(&format, "format", "text", "FORMAT", "text or json")
			s.String(&c.ClientID, "client-id", c.ClientID, "TEXT", "what client ids begin with; zone=ID in it is a tag")
			if mode != bench.ModeConsume {
				declareProduce(s, &c)
			}
			if mode != bench.ModeProduce {
				s.Int(&c.Consumers, "consumers", c.Consumers, "COUNT", "clients that read")
				s.String(&c.Group, "group", "", "NAME", "read as this group; without it consumers share the partitions out by themselves")
			}
			return func(ctx context.Context, env cli.Env) error {
				if progress {
					c.Progress = env.Stderr
				}
				return runBench(ctx, c, access, format, env)
			}
		},
	}
}

func declareProduce(s *cli.Set, c *bench.Config) {
	s.Int(&c.Producers, "producers", c.Producers, "COUNT", "clients that send")
	s.Int(&c.Partitions, "partitions", c.Partitions, "COUNT", "of the topic, if it has to be made")
	s.Int(&c.Replicas, "replicas", c.Replicas, "COUNT", "of the topic, if it has to be made; -1: the cluster's default")
	s.Bool(&c.Create, "create", c.Create, "make the topic if it is not there")
	s.Int(&c.RecordBytes, "record-bytes", c.RecordBytes, "BYTES", "of each value")
	s.Float(&c.Rate, "rate", c.Rate, "RECORDS/s", "of all producers together; 0: flat out")
	s.Duration(&c.Linger, "producer-linger", c.Linger, "how long a producer gathers a batch")
	s.Int(&c.BatchBytes, "batch-bytes", c.BatchBytes, "BYTES", "of a batch at most")
	s.String(&c.Compression, "compression", c.Compression, "CODEC", "none, gzip, snappy, lz4 or zstd")
	s.String(&c.Acks, "acks", c.Acks, "ACKS", "all, one or none; one and none need --idempotent=false")
	s.Bool(&c.Idempotent, "idempotent", c.Idempotent, "idempotent producers")
	s.Int(&c.InFlight, "in-flight", c.InFlight, "COUNT", "produce requests under way per broker; more than 1 needs --idempotent=false; 0: the client's default")
}

func runBench(ctx context.Context, c bench.Config, access apiAccess, format string, env cli.Env) error {
	if err := c.Validate(); err != nil {
		return cli.Usagef("%v", err)
	}
	if format != "text" && format != "json" {
		return cli.Usagef("--format %q: want text or json", format)
	}
	for _, url := range c.Servers {
		if err := checkServer(url); err != nil {
			return err
		}
	}
	api, err := access.openClient()
	if err != nil {
		return err
	}
	defer api.close()
	c.FetchPath = api.getPath
	r, err := bench.Run(ctx, c)
	if r == nil {
		return err
	}
	print := r.WriteText
	if format == "json" {
		print = r.WriteJSON
	}
	err = errors.Join(err, print(env.Stdout))
	if r.Faults != nil && r.Faults.Bad() {
		err = errors.Join(err, errVerifyFailed)
	}
	failed := int64(0)
	for _, n := range r.Errors {
		failed += n
	}
	if failed > 0 {
		err = errors.Join(err, fmt.Errorf("%d errors", failed))
	}
	return err
}
