package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/zonewise/zonewise/internal/cli"
	"github.com/zonewise/zonewise/internal/recovery"
	"github.com/zonewise/zonewise/metadata"
)

type recoverOptions struct {
	from, cluster string
	discardLost   bool
	etcd          etcdOptions
	log           logOptions
}

func recoverCommand() cli.Command {
	return cli.Command{
		Name:  "recover",
		Short: "Make a cluster again of a new, empty etcd and what the bucket holds",
		Long: `
For the day on which etcd is lost for good. Stop every broker, start a new etcd
with empty folders, run this, then start the brokers. What was committed up to
the last archive (ten to twenty seconds before the loss) comes back: records,
topics, committed offsets, the ledger. What came later is lost, and this says
per partition up to which offset there are records. Offsets, producer ids and
leader epochs go on well past everything that may have been given out, so that
none is given out twice: consumers pass the gap of 1,073,741,824 offsets by
themselves, and tools show no lag for groups that had read everything. It names
the groups that had not. If it is interrupted, run it again.`,
		Examples: []string{
			"zonewise recover --from s3://events --etcd http://10.0.1.5:2379",
		},
		New: func(s *cli.Set) func(context.Context, cli.Env) error {
			o := &recoverOptions{}
			s.String(&o.from, "from", "", "URL", bucketHelp+" (required)")
			o.etcd.declareEtcd(s)
			s.String(&o.cluster, "cluster", "main", "NAME", "of the cluster")
			s.Bool(&o.discardLost, "discard-lost", false, "let brokers delete at once, and not after seven days, the objects in the bucket whose records are lost")
			o.log.declareLog(s, "warn")
			return func(ctx context.Context, env cli.Env) error { return runRecover(ctx, o, env) }
		},
	}
}

func runRecover(ctx context.Context, o *recoverOptions, env cli.Env) error {
	logger, err := o.log.newLogger(env.Stderr)
	if err != nil {
		return err
	}
	if o.from == "" {
		return cli.Usagef("no --from: say which bucket")
	}
	b, err := openExisting(ctx, "from", o.from)
	if err != nil {
		return err
	}
	defer b.close()
	etcd, err := o.etcd.openMembers(metadata.UnknownZone, logger)
	if err != nil {
		return err
	}
	defer etcd.Close()
	if err := etcd.checkMembers(ctx, o.cluster); err != nil {
		return err
	}
	r, err := recovery.Run(ctx, recovery.Config{Cluster: o.cluster, Client: etcd, Bucket: b, DiscardLost: o.discardLost, Token: newSecret(), Rand: newRand(), Logger: logger,
		Progress: func(format string, args ...any) { fmt.Fprintf(env.Stdout, format+"\n", args...) }})
	if err != nil {
		return err
	}
	return printRecovery(env, r)
}

// maxBehind is how many groups are named that were behind.
const maxBehind = 20

// printBehind prints what tools will show of groups after the gap.
func printBehind(env cli.Env, groups []recovery.GroupReport) {
	fmt.Fprint(env.Stdout, "\nconsumers pass the offsets between the last and the next by themselves; groups that had read everything have no lag\n")
	if len(groups) == 0 {
		return
	}
	fmt.Fprintf(env.Stdout, "%s had records left: tools count the gap as lag there, too, until they have read them\n", formatCount(len(groups), "group"))
	for _, g := range groups[:min(len(groups), maxBehind)] {
		fmt.Fprintf(env.Stdout, "  %s: %s on %s\n", g.Group, formatCount(int(g.Records), "record"), formatCount(g.Partitions, "partition"))
	}
	if more := len(groups) - maxBehind; more > 0 {
		fmt.Fprintf(env.Stdout, "  and %d more\n", more)
	}
}

func printRecovery(env cli.Env, r *recovery.Report) error {
	fmt.Fprintf(env.Stdout, "recovered as incarnation %d, up to revision %d of generation %d", r.Incarnation, r.Revision, r.Extent)
	if r.Time > 0 {
		fmt.Fprintf(env.Stdout, ", about %s", time.UnixMilli(int64(r.Time)).UTC().Format(time.RFC3339))
	}
	from := "no checkpoint"
	if r.Checkpoint != "" {
		from = "checkpoint " + r.Checkpoint
	}
	fmt.Fprintf(env.Stdout, "\nfrom %s and %s; %s\n\n", from, formatCount(r.Replayed, "archive"), formatCount(r.Groups, "group"))
	w := tabwriter.NewWriter(env.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TOPIC\tPARTITION\tFIRST OFFSET\tLAST OFFSET\tGOES ON AT")
	for _, p := range r.Partitions {
		last := "none"
		if p.Next > p.LogStart {
			last = fmt.Sprint(p.Next - 1)
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%d\n", p.Topic, p.Partition, p.LogStart, last, p.Resumes)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	printBehind(env, r.Behind)
	for _, warning := range r.Warnings {
		fmt.Fprintln(env.Stdout, "passed over:", warning)
	}
	fmt.Fprintln(env.Stdout, "\nthe brokers may be started now")
	return nil
}
