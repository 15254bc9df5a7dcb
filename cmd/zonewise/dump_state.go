package main

import (
	"context"
	"errors"
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
	server     serverOption
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
			o.server.declareServer(s, "")
			o.source.declareSource(s)
			s.String(&o.checkpoint, "checkpoint", "", "KEY", "print the state in this checkpoint")
			return func(ctx context.Context, env cli.Env) error { return runDumpState(ctx, o, env) }
		},
	}
}

func runDumpState(ctx context.Context, o *dumpStateOptions, env cli.Env) error {
	switch {
	case o.server.url != "" && o.source.bucket != "":
		return cli.Usagef("--server and --bucket: give one of them")
	case o.server.url != "":
		return dumpServed(ctx, &o.server, env.Stdout)
	case o.source.bucket == "":
		return cli.Usagef("give --bucket, or --server of a running broker")
	}
	s, err := o.source.openBucket(ctx)
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
	fmt.Fprintf(env.Stdout, "up to archive %s, the last\n", r.Archive)
	if r.Checkpoint != nil {
		fmt.Fprintf(env.Stdout, "from checkpoint %s, and %s after it\n", r.Checkpoint.Object, formatCount(r.Replayed, "archive"))
	} else {
		fmt.Fprintf(env.Stdout, "from %s, for want of a checkpoint\n", formatCount(r.Replayed, "archive"))
	}
	for _, w := range r.Warnings {
		fmt.Fprintf(env.Stdout, "skipped: %s\n", w)
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
	return printTable(out, func(w io.Writer) {
		fmt.Fprintln(w, "TOPIC\tPARTITIONS\tRECORDS\tBYTES")
		for _, t := range c.Topics {
			fmt.Fprintf(w, "%s\t%d\t%d\t%d\n", t.Name, t.Partitions, t.Records, t.Bytes)
		}
	})
}

func printState(out io.Writer, s *metadata.State) error {
	alarms, last := s.Alarms()
	fmt.Fprintf(out, "revision %d, generation %d, level %d, hash %016x, state time %s\n", s.Revision(), s.Extent(), s.Level(), s.Hash(), formatTime(s.Time()))
	fmt.Fprintf(out, "%d entries applied, %d alarms", s.Entries(), alarms)
	if alarms > 0 {
		fmt.Fprintf(out, ", the last: %s", last)
	}
	fmt.Fprintf(out, "\nzones %v\n\n", s.Zones())
	return errors.Join(printTable(out, func(w io.Writer) { printPartitions(w, s) }), printTable(out, func(w io.Writer) { printSessions(w, s) }),
		printTable(out, func(w io.Writer) { printGroups(w, s) }), printTable(out, func(w io.Writer) { printArchives(w, s) }),
		printTable(out, func(w io.Writer) { printStorage(w, s) }))
}

// printTable aligns the columns of what print writes with tabs.
func printTable(out io.Writer, print func(io.Writer)) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	print(w)
	return w.Flush()
}

func printPartitions(w io.Writer, s *metadata.State) {
	fmt.Fprintln(w, "TOPIC\tPARTITION\tLOG START\tNEXT\tEPOCH\tBYTES\tSPANS")
	for _, t := range s.Topics() {
		for p := range metadata.Partition(t.Partitions) {
			v, _ := s.Partition(metadata.TopicPartition{Topic: t.ID, Partition: p})
			fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\n", t.Name, p, v.LogStart, v.Next, v.Epoch, v.Bytes, v.Spans)
		}
	}
}

func printSessions(w io.Writer, s *metadata.State) {
	fmt.Fprintln(w, "\nSESSION\tBROKER\tZONE\tADDRESS\tDRAINING")
	for _, o := range s.Sessions() {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s:%d\t%v\n", o.ID, o.Broker, o.Open.Zone, o.Open.Kafka.Host, o.Open.Kafka.Port, o.Draining)
	}
}

func printGroups(w io.Writer, s *metadata.State) {
	fmt.Fprintln(w, "\nGROUP\tGENERATION\tMEMBERS\tOFFSETS")
	for _, name := range s.Groups() {
		g, _ := s.Group(name)
		generation, members := int32(0), 0
		if g.Group != nil {
			generation, members = g.Group.Generation, len(g.Group.Members)
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\n", name, generation, members, g.Offsets.Len())
	}
}

func printArchives(w io.Writer, s *metadata.State) {
	fmt.Fprintln(w, "\nARCHIVE\tGENERATION\tFIRST\tLAST\tENTRIES\tLIVE INLINE")
	for _, a := range s.Archives() {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\n", a.Object, a.Extent, a.First, a.Last, a.Entries, a.LiveInline)
	}
	for _, p := range s.PendingArchives() {
		fmt.Fprintf(w, "(accepted by none yet)\t%d\t%d\t%d\t%d\t-\n", p.Extent, p.First, p.Last, p.Entries)
	}
}
