package main

import (
	"context"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/zonewise/zonewise/internal/cli"
	"github.com/zonewise/zonewise/internal/etcdserver"
	"github.com/zonewise/zonewise/internal/recovery"
	"github.com/zonewise/zonewise/metadata/etcdlog"
)

type repairOptions struct {
	etcd    etcdOptions
	cluster string
	bucket  string
	log     logOptions
}

func (o *repairOptions) declareRepair(s *cli.Set) {
	o.etcd.declareEtcd(s)
	s.String(&o.cluster, "cluster", "main", "NAME", "of the cluster")
	o.log.declareLog(s, "warn")
}

func repairNospaceCommand() cli.Command {
	return cli.Command{
		Name:  "repair nospace",
		Short: "Lead etcd out of a full database",
		Long: `
For etcd's NOSPACE alarm, under which it takes no more writes. Deletes the log's
keys that lie in accepted archives, compacts, defragments every member (each does
not answer for a moment), and takes the alarm back. It deletes nothing that is
not in the bucket, and may be run at any time and again.`,
		Examples: []string{"zonewise repair nospace --etcd http://10.0.1.5:2379,http://10.0.2.5:2379,http://10.0.3.5:2379"},
		New: func(s *cli.Set) func(context.Context, cli.Env) error {
			o := &repairOptions{}
			o.declareRepair(s)
			return func(ctx context.Context, env cli.Env) error { return runRepairNospace(ctx, o, env) }
		},
	}
}

// repairPause lets commits of others pass between deletes.
const repairPause = 5 * time.Millisecond

func runRepairNospace(ctx context.Context, o *repairOptions, env cli.Env) error {
	client, err := o.etcd.dialAll()
	if err != nil {
		return err
	}
	defer client.Close()
	before, err := etcdSize(ctx, client)
	if err != nil {
		return err
	}
	deleted, err := deleteArchived(ctx, client, o.cluster)
	if err != nil {
		return err
	}
	fmt.Fprintf(env.Stdout, "deleted %s that lie in archives\n", formatCount(deleted, "key"))
	r, err := client.Get(ctx, etcdlog.Root)
	if err != nil {
		return fmt.Errorf("read etcd's revision: %w", err)
	}
	if _, err := client.Compact(ctx, r.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		return fmt.Errorf("compact etcd: %w", err)
	}
	fmt.Fprintf(env.Stdout, "compacted behind revision %d\n", r.Header.Revision)
	if err := etcdserver.Defragment(ctx, client); err != nil {
		return err
	}
	after, err := etcdSize(ctx, client)
	if err != nil {
		return err
	}
	fmt.Fprintf(env.Stdout, "defragmented: %s before, %s now\n", humanBytes(float64(before)), humanBytes(float64(after)))
	n, err := etcdserver.DisarmAlarms(ctx, client)
	if err != nil {
		return err
	}
	fmt.Fprintf(env.Stdout, "took %s back\n", formatCount(n, "alarm"))
	return nil
}

// etcdSize is the largest member's database.
func etcdSize(ctx context.Context, c *clientv3.Client) (int64, error) {
	s, err := etcdlog.FromEtcd(c).Status(ctx)
	return s.SizeBytes, err
}

// deleteArchived deletes the log's keys of generations up to `truncated`. They
// are read from the bucket whatever is still here, and `truncated` never falls,
// so no fence is needed; under the alarm none could be had, since that takes a
// lease.
func deleteArchived(ctx context.Context, c *clientv3.Client, cluster string) (int, error) {
	log, err := etcdlog.Open(ctx, etcdlog.Config{Cluster: cluster, Client: etcdlog.FromEtcd(c)})
	if err != nil {
		return 0, err
	}
	defer log.Close()
	from, err := log.Start(ctx)
	if err != nil {
		return 0, err
	}
	prefix := etcdlog.Root + cluster + "/log/"
	end := fmt.Sprintf("%s%016x/", prefix, uint64(from.ArchivedUpTo)+1)
	total := 0
	for {
		page, err := c.Get(ctx, prefix, clientv3.WithRange(end), clientv3.WithKeysOnly(), clientv3.WithLimit(200))
		if err != nil {
			return total, fmt.Errorf("list archived keys: %w", err)
		}
		if len(page.Kvs) == 0 {
			return total, nil
		}
		last := string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
		r, err := c.Delete(ctx, prefix, clientv3.WithRange(last))
		if err != nil {
			return total, fmt.Errorf("delete archived keys: %w", err)
		}
		total += int(r.Deleted)
		select {
		case <-time.After(repairPause):
		case <-ctx.Done():
			return total, ctx.Err()
		}
	}
}

func repairArchiveCommand() cli.Command {
	return cli.Command{
		Name:  "repair archive",
		Short: "Decide about a generation whose archive is refused again and again",
		Long: `
Every broker refuses an archive that is not exactly the log. After three tries
the brokers wait for this. It follows the log by itself, writes the archive of
the oldest closed generation, reads it back, and has it accepted if it is what
this program applied. If not, etcd's keys are not what the brokers applied: it
says so and changes nothing; then stop the brokers and run zonewise recover.`,
		Examples: []string{"zonewise repair archive --etcd http://10.0.1.5:2379 --bucket s3://events"},
		New: func(s *cli.Set) func(context.Context, cli.Env) error {
			o := &repairOptions{}
			o.declareRepair(s)
			s.String(&o.bucket, "bucket", "", "URL", bucketHelp+" (required)")
			return func(ctx context.Context, env cli.Env) error { return runRepairArchive(ctx, o, env) }
		},
	}
}

func runRepairArchive(ctx context.Context, o *repairOptions, env cli.Env) error {
	logger, err := o.log.newLogger(env.Stderr)
	if err != nil {
		return err
	}
	c, err := openStoredCluster(ctx, &o.etcd, o.bucket, o.cluster, logger)
	if err != nil {
		return err
	}
	defer c.close()
	return recovery.RepairArchive(ctx, recovery.ArchiveRepair{Log: c.log, Bucket: c.objects, Rand: newRand(), Logger: logger,
		Progress: func(format string, args ...any) { fmt.Fprintf(env.Stdout, format+"\n", args...) }})
}
