package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/zonewise/zonewise/dashboards"
	"github.com/zonewise/zonewise/internal/cli"
	"github.com/zonewise/zonewise/internal/recovery"
	"github.com/zonewise/zonewise/metadata"
)

type dumpStateOptions struct {
	source     dumpSource
	server     string
	checkpoint string
}

func dumpStateCommand() cli.Command {
	return cli.Command{
		Name:  "dump state",
		Short: "Print the applied state: from a broker, or rebuilt from the bucket",
		Long: `
With --bucket it reads a checkpoint and the archives after it, as a recovery
would, changes nothing, and prints the state at the end of the last archive;
with --checkpoint KEY the state in that checkpoint alone. Two brokers, or a
broker and the bucket, agree if their hash at one revision is the same.
With --server it prints what a running broker tells of its state.`,
		Examples: []string{
			"zonewise dump state --bucket s3://events",
			"zonewise dump state --bucket s3://events --checkpoint 1/checkpoint/0000000000002710-00000000000004b2",
			"zonewise dump state --server http://10.0.1.7:8080",
		},
		New: func(s *cli.Set) func(context.Context, cli.Env) error {
			o := &dumpStateOptions{}
			s.String(&o.server, "server", "", "URL", "a running broker's HTTP port")
			o.source.declare(s)
			s.String(&o.checkpoint, "checkpoint", "", "KEY", "print the state in this checkpoint")
			return func(ctx context.Context, env cli.Env) error { return runDumpState(ctx, o, env) }
		},
	}
}

func runDumpState(ctx context.Context, o *dumpStateOptions, env cli.Env) error {
	switch {
	case o.server != "" && o.source.bucket != "":
		return cli.Usagef("--server and --bucket: give one of them")
	case o.server != "":
		return dumpServed(ctx, &serverOption{o.server}, env.Stdout)
	case o.source.bucket == "":
		return cli.Usagef("give --bucket, or --server of a running broker")
	}
	s, err := o.source.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if o.checkpoint != "" {
		state, err := metadata.LoadCheckpoint(ctx, s, strings.TrimPrefix(o.checkpoint, o.source.cluster+"/"))
		if err != nil {
			return err
		}
		return printState(env.Stdout, state)
	}
	r, err := recovery.Rebuild(ctx, s)
	if err != nil {
		return err
	}
	fmt.Fprintf(env.Stdout, "rebuilt from %s of archives up to %s\n", count(r.Replayed, "replay"), r.Archive)
	if r.Checkpoint != nil {
		fmt.Fprintf(env.Stdout, "and checkpoint %s\n", r.Checkpoint.Object)
	}
	for _, w := range r.Warnings {
		fmt.Fprintf(env.Stdout, "passed over: %s\n", w)
	}
	return printState(env.Stdout, r.State)
}

func dumpServed(ctx context.Context, server *serverOption, out io.Writer) error {
	var c dashboards.Cluster
	if err := server.getJSON(ctx, "/api/v1/zones", &c); err != nil {
		return err
	}
	if err := printZones(out, &c); err != nil {
		return err
	}
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TOPIC\tPARTITIONS\tRECORDS\tBYTES")
	for _, t := range c.Topics {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\n", t.Name, t.Partitions, t.Records, t.Bytes)
	}
	return w.Flush()
}

func printState(out io.Writer, s *metadata.State) error {
	alarms, last := s.Alarms()
	fmt.Fprintf(out, "revision %d, generation %d, level %d, hash %016x, state time %s\n", s.Revision(), s.Generation(), s.Level(), s.Hash(), stamp(s.Time()))
	fmt.Fprintf(out, "%d entries applied, %d alarms", s.Entries(), alarms)
	if alarms > 0 {
		fmt.Fprintf(out, ", the last: %s", last)
	}
	fmt.Fprintf(out, "\nzones %v\n\n", s.Zones())
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TOPIC\tPARTITION\tLOG START\tNEXT\tEPOCH\tBYTES\tSPANS")
	for _, t := range s.Topics() {
		for p := range metadata.Partition(t.Partitions) {
			v, _ := s.Partition(metadata.TopicPartition{Topic: t.ID, Partition: p})
			fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\n", t.Name, p, v.LogStart, v.Next, v.Epoch, v.Bytes, v.Spans)
		}
	}
	fmt.Fprintln(w, "\nSESSION\tBROKER\tZONE\tADDRESS\tDRAINING\t\t")
	for _, o := range s.Sessions() {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s:%d\t%v\t\t\n", o.ID, o.Broker, o.Open.Zone, o.Open.Kafka.Host, o.Open.Kafka.Port, o.Draining)
	}
	fmt.Fprintln(w, "\nGROUP\tGENERATION\tMEMBERS\tOFFSETS\t\t\t")
	for _, name := range s.Groups() {
		g, _ := s.Group(name)
		generation, members := int32(0), 0
		if g.Group != nil {
			generation, members = g.Group.Generation, len(g.Group.Members)
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t\t\t\n", name, generation, members, len(g.Offsets))
	}
	fmt.Fprintln(w, "\nARCHIVE\tGENERATION\tFIRST\tLAST\tENTRIES\tLIVE INLINE\t")
	for _, a := range s.Archives() {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t\n", a.Object, a.Generation, a.First, a.Last, a.Entries, a.LiveInline)
	}
	for _, p := range s.PendingArchives() {
		fmt.Fprintf(w, "(not archived)\t%d\t%d\t%d\t%d\t\t\n", p.Generation, p.First, p.Last, p.Entries)
	}
	return w.Flush()
}
