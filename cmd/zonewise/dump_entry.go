package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/zonewise/zonewise/internal/cli"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/metadata/etcdlog"
)

func dumpArchiveCommand() cli.Command {
	return dumpCommand(cli.Command{
		Name:  "dump archive",
		Short: "Print an archive of the log, entry by entry",
		Long: `
Prints the entries of a closed generation and checks them against index and
digest. Of a damaged archive it says what is wrong and exits 1.`,
		Examples: []string{
			"zonewise dump archive 1/archive/0000000000000007/00000000000004b2-1 --bucket s3://events",
			"zonewise dump archive ./copy-of-an-archive",
		},
	}, printArchive)
}

func printArchive(w io.Writer, body []byte) error {
	a, err := metadata.DecodeArchive(body)
	if err != nil {
		fmt.Fprintf(w, "damaged: %v\n", err)
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	fmt.Fprintf(w, "archive of generation %d, %s, %d bytes\n", a.Extent, formatEntries(len(a.Entries)), len(body))
	fmt.Fprintf(w, "digest %x, before %x, predecessor %s\n", a.Digest[:8], a.Before[:8], orNone(a.Predecessor))
	bad := 0
	for i := range a.Entries {
		bad += printEntry(w, &a.Entries[i])
	}
	if bad > 0 {
		return fmt.Errorf("%w: %s cannot be decoded; the archive itself is what the log was", errDamaged, formatEntries(bad))
	}
	return nil
}

func formatEntries(n int) string {
	if n == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", n)
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// printEntry prints one entry, and returns 1 where it cannot be decoded.
func printEntry(w io.Writer, c *metadata.CommittedEntry) int {
	fmt.Fprintf(w, "\n%d  generation %d  %s/%s/%d  %d bytes\n", c.Revision, c.Extent, c.Session, c.Lane, c.Seq, len(c.Bytes))
	if len(c.Bytes) == 0 {
		fmt.Fprintln(w, "    empty: its guard had failed")
		return 0
	}
	var e metadata.Entry
	if err := metadata.DecodeEntry(c.Bytes, &e); err != nil {
		fmt.Fprintf(w, "    damaged: %v\n", err)
		return 1
	}
	fmt.Fprintf(w, "    level %d, sealed %s, broker in %s, member %s, leader %s\n", e.Level, formatTime(e.Time), orNone(string(e.Route.Broker)),
		orNone(string(e.Route.Member)), orNone(string(e.Route.Leader)))
	for i, o := range e.Objects {
		fmt.Fprintf(w, "    object %d: %s, %d bytes, %d puts\n", i, o.Name.Key(), o.Size, o.Puts)
	}
	for _, o := range e.Orphans {
		fmt.Fprintf(w, "    orphan: %s, %d puts\n", o.Name.Key(), o.Puts)
	}
	for i := range e.Parts {
		printPart(w, &e, &e.Parts[i])
	}
	for _, cmd := range e.Commands {
		fmt.Fprintf(w, "    %T %+v\n", cmd, cmd)
	}
	return 0
}

func printPart(w io.Writer, e *metadata.Entry, p *metadata.Part) {
	where := "inline"
	if p.Object != metadata.InlineObject {
		where = fmt.Sprintf("object %d", p.Object)
	}
	fmt.Fprintf(w, "    %s/%d: %s, bytes %d to %d\n", e.Topics[p.Topic], p.Partition, where, p.Position, p.Position+p.Length)
	for _, r := range p.Runs {
		fmt.Fprintf(w, "        producer %d epoch %d from sequence %d: %d batches, %d records, %d bytes, newest %s, of %q\n",
			r.Producer, r.Epoch, r.FirstSequence, r.Batches, r.Records, r.Bytes, formatTime(r.MaxTimestamp), e.Principals[r.Principal])
	}
}

func formatTime(t metadata.UnixMilli) string {
	if t <= 0 {
		return "never"
	}
	return time.UnixMilli(int64(t)).UTC().Format("2006-01-02T15:04:05.000Z")
}

func dumpLogCommand() cli.Command {
	return cli.Command{
		Name:  "dump log",
		Short: "Print the entries of the log that are still in etcd",
		Long: `
Prints every entry of the generations that are not truncated yet, in the order
of their revisions. It changes nothing and needs no broker. With --check it
prints only what cannot be decoded.`,
		Examples: []string{"zonewise dump log --etcd http://10.0.1.5:2379"},
		New: func(s *cli.Set) func(context.Context, cli.Env) error {
			o := &etcdOptions{}
			o.declareEtcd(s)
			var cluster string
			var check bool
			s.String(&cluster, "cluster", "main", "NAME", "of the cluster")
			s.Bool(&check, "check", false, "print only what is damaged")
			return func(ctx context.Context, env cli.Env) error { return runDumpLog(ctx, o, cluster, check, env) }
		},
	}
}

var errListed = errors.New("listed")

func runDumpLog(ctx context.Context, o *etcdOptions, cluster string, check bool, env cli.Env) error {
	client, err := o.dialAll()
	if err != nil {
		return err
	}
	defer client.Close()
	dctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	log, err := etcdlog.Open(dctx, etcdlog.Config{Cluster: cluster, Client: etcdlog.FromEtcd(client)})
	if err != nil {
		return err
	}
	defer log.Close()
	from, err := log.Start(dctx)
	if err != nil {
		return err
	}
	f := log.Format()
	fmt.Fprintf(env.Stdout, "cluster %s: layout %d, level %d, incarnation %d, base %d\n", cluster, f.Layout, f.Level, f.Incarnation, f.Base)
	fmt.Fprintf(env.Stdout, "head %d, generation %d, truncated %d, read at revision %d\n", from.Head, from.Extent, from.ArchivedUpTo, from.Revision)
	if from.ArchivedObject != "" {
		fmt.Fprintf(env.Stdout, "newest archive %s\n", from.ArchivedObject)
	}
	if p := from.Checkpoint; p != nil {
		fmt.Fprintf(env.Stdout, "checkpoint %s at revision %d, hash %016x\n", p.Object, p.Revision, p.Hash)
	}
	seen, bad := 0, 0
	err = log.Follow(ctx, from, func(batch []metadata.CommittedEntry, _ metadata.Revision, caughtUp bool) error {
		for i := range batch {
			seen++
			to := env.Stdout
			if check {
				to = io.Discard
			}
			if n := printEntry(to, &batch[i]); n > 0 {
				bad += n
				if check {
					printEntry(env.Stdout, &batch[i])
				}
			}
		}
		if caughtUp {
			return errListed
		}
		return nil
	})
	if err != nil && !errors.Is(err, errListed) {
		return fmt.Errorf("read the log: %w", err)
	}
	fmt.Fprintf(env.Stdout, "\n%s\n", formatEntries(seen))
	if bad > 0 {
		return fmt.Errorf("%w: %s cannot be decoded", errDamaged, formatEntries(bad))
	}
	return nil
}
