package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/zonewise/zonewise/internal/cli"
	"github.com/zonewise/zonewise/internal/recovery"
	"github.com/zonewise/zonewise/internal/verify"
	"github.com/zonewise/zonewise/metadata/etcdlog"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// Exit codes of `zonewise verify`.
const (
	exitDamage  = 3 // objects are missing, damaged or condemned
	exitOrphans = 4 // only orphans, with --fail-on orphans
)

type verifyOptions struct {
	etcd            etcdOptions
	cluster, bucket string
	deep, json      bool
	concurrency     int
	limit           int64
	failOn          string
	log             logOptions
}

func verifyCommand() cli.Command {
	return cli.Command{
		Name:  "verify",
		Short: "Compare the bucket with the state: what is missing, damaged, or nobody's",
		Long: `
Lists the bucket and follows the log in etcd by itself; the cluster may run, and
nothing is changed. With --deep it also reads every object that records, a start
or a recovery need: every batch's checksum, every archive's digest, every
checkpoint's hash. Each object has one status:

  live       in use, there, and of the right size
  dead       no longer in use: it is deleted after its grace
  in_flight  of a broker that runs, and not committed yet
  leftover   of a broker that ended: it is searched for and deleted later
  orphaned   nothing will ever use or delete it: it costs money, nothing else
  condemned  in use, and yet marked for deletion
  damaged    in use, and not what was written
  missing    in use, and not there

Of what is missing or damaged it names the topics, partitions and offsets that
cannot be read. The summary goes to standard output, progress to standard error.

Exit codes: 0 nothing is missing or damaged; 1 it could not be verified (etcd or
the bucket does not answer, or they do not belong together); 2 wrong usage;
3 something is missing, damaged or condemned (without a report where that is what
every start reads: the error names it); 4 there are orphans and nothing worse,
with --fail-on orphans.

Without etcd there is no state to compare with: zonewise recover makes a new etcd
of the bucket, and zonewise dump state --bucket shows what it would find.`,
		Examples: []string{
			"zonewise verify --etcd http://10.0.1.5:2379 --bucket s3://events",
			"zonewise verify --deep --limit 100MiB --json --etcd http://10.0.1.5:2379 --bucket s3://events",
		},
		New: func(s *cli.Set) func(context.Context, cli.Env) error {
			o := &verifyOptions{}
			o.etcd.declareEtcd(s)
			s.String(&o.bucket, "bucket", "", "URL", bucketHelp+" (required)")
			s.String(&o.cluster, "cluster", "main", "NAME", "of the cluster")
			s.Bool(&o.deep, "deep", false, "read every object that is in use, and check all of it")
			s.Int(&o.concurrency, "concurrency", verify.DefaultConcurrency, "N", "objects that are read at a time; each is whole in memory")
			s.Bytes(&o.limit, "limit", 0, "bytes read per second, at most; 0: no limit")
			s.String(&o.failOn, "fail-on", "damage", "WHAT", "damage: orphans alone exit 0; orphans: they exit 4")
			s.Bool(&o.json, "json", false, "print the report as JSON, with every finding")
			o.log.declareLog(s, "warn")
			return func(ctx context.Context, env cli.Env) error { return runVerify(ctx, o, env) }
		},
	}
}

func runVerify(ctx context.Context, o *verifyOptions, env cli.Env) error {
	if o.failOn != "damage" && o.failOn != "orphans" {
		return cli.Usagef("--fail-on %q: want damage or orphans", o.failOn)
	}
	if o.concurrency < 1 {
		return cli.Usagef("--concurrency %d: want at least 1", o.concurrency)
	}
	logger, err := o.log.newLogger(env.Stderr)
	if err != nil {
		return err
	}
	c, err := openStoredCluster(ctx, &o.etcd, o.bucket, o.cluster, logger)
	if err != nil {
		return err
	}
	defer c.close()
	if err := recovery.CheckStart(ctx, c.log, c.objects); err != nil {
		return err
	}
	r, err := o.verifyBucket(ctx, c.log, c.objects, env, logger)
	if errors.Is(err, verify.ErrStart) {
		return cli.Exitf(exitDamage, "verify: %v", err)
	}
	if err != nil {
		return err
	}
	if err := o.printReport(env.Stdout, r); err != nil {
		return err
	}
	switch {
	case r.Result == verify.HasDamage:
		return cli.Exitf(exitDamage, "verify: objects are missing or damaged")
	case r.Result == verify.HasOrphans && o.failOn == "orphans":
		return cli.Exitf(exitOrphans, "verify: there are orphans")
	}
	return nil
}

// verifyBucket follows the log with a replica of its own and verifies the bucket
// against it.
func (o *verifyOptions) verifyBucket(ctx context.Context, log *etcdlog.Log, objects bucket.Bucket, env cli.Env, logger *slog.Logger) (*verify.Report, error) {
	fmt.Fprintln(env.Stderr, "reading the log")
	f, err := verify.Follow(ctx, verify.FollowConfig{Log: log, Bucket: objects, Logger: logger})
	if err != nil {
		return nil, err
	}
	defer f.Stop()
	return verify.Run(ctx, verify.Config{Bucket: objects, Log: log, State: f.State, Deep: o.deep,
		Concurrency: o.concurrency, BytesPerSecond: o.limit, Progress: func(p verify.Progress) { printVerifyProgress(env.Stderr, p) }})
}

func printVerifyProgress(w io.Writer, p verify.Progress) {
	of := ""
	if p.Total > 0 {
		of = fmt.Sprintf(" of %d", p.Total)
	}
	fmt.Fprintf(w, "%4.0f s  %s: %d%s, %s read\n", p.Elapsed.Seconds(), p.Stage, p.Done, of, humanBytes(float64(p.Bytes)))
}

func (o *verifyOptions) printReport(out io.Writer, r *verify.Report) error {
	if o.json {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	fmt.Fprintf(out, "state at revision %d, of %s; %d LIST and %d GET requests, %s read, %.1f s\n\n", r.Revision, formatTime(r.StateTimeMs), r.Lists, r.Gets,
		humanBytes(float64(r.BytesRead)), r.Seconds)
	if err := printTable(out, func(w io.Writer) { printTotals(w, r) }); err != nil {
		return err
	}
	printFindings(out, r)
	switch r.Result {
	case verify.HasDamage:
		fmt.Fprintln(out, "\nDAMAGE: see \"Verify the bucket\" in docs/operations.md")
	case verify.HasOrphans:
		fmt.Fprintln(out, "\nnothing is missing or damaged; orphans may be deleted")
	default:
		depth := "names and sizes are as they should be; --deep reads the bytes"
		if r.Deep {
			depth = "every byte in use is as it was written"
		}
		fmt.Fprintf(out, "\nclean: %s\n", depth)
	}
	return nil
}

func printTotals(w io.Writer, r *verify.Report) {
	fmt.Fprintln(w, "CLASS\tSTATUS\tOBJECTS\tBYTES")
	for _, t := range r.Totals {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\n", t.Class, t.Status, t.Objects, t.Bytes)
	}
}

// Findings and ranges that are printed; --json has more.
const (
	maxPrintedFindings = 100
	maxPrintedRanges   = 20
)

// printFindings prints what is worse than in flight.
func printFindings(out io.Writer, r *verify.Report) {
	printed, left := 0, r.LeftOut
	for _, f := range r.Findings {
		if f.Status == verify.InFlight || f.Status == verify.Leftover {
			continue
		}
		if printed++; printed > maxPrintedFindings {
			left++
			continue
		}
		fmt.Fprintf(out, "\n%s %s %s, %d bytes: %s\n", f.Status, f.Class, orNone(f.Key), f.Size, f.What)
		for _, l := range f.Lost[:min(len(f.Lost), maxPrintedRanges)] {
			fmt.Fprintf(out, "    cannot be read: %s partition %d, offsets %d to %d\n", l.Topic, l.Partition, l.First, l.Last)
		}
		if more := len(f.Lost) + f.LostLeftOut - maxPrintedRanges; more > 0 {
			fmt.Fprintf(out, "    and %s more: --json\n", formatCount(more, "range"))
		}
	}
	if left > 0 {
		fmt.Fprintf(out, "\nand %s more: --json\n", formatCount(left, "finding"))
	}
}
