package recovery

import (
	"context"
	"errors"
	"fmt"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// ErrBehind means that etcd is older than the bucket, or empty where the bucket
// is not: it was lost, or restored from a backup.
var ErrBehind = errors.New("etcd is behind the bucket")

// CheckNew returns nil where the bucket holds nothing of the cluster, so that
// a new one may begin in an empty etcd.
func CheckNew(ctx context.Context, cluster string, b bucket.Bucket) error {
	list, err := bucket.Prefix(b, cluster+"/").List(bucket.WithCause(ctx, bucket.CauseRecover), "", "", 1)
	if err != nil {
		return fmt.Errorf("look for cluster %q in the bucket: %w", cluster, err)
	}
	if len(list) > 0 {
		return fmt.Errorf("etcd has no cluster %q, but the bucket does (%s/%s): %w; "+
			"restore it with `zonewise recover`, or choose another --cluster, --etcd or --bucket", cluster, cluster, list[0].Name, ErrBehind)
	}
	return nil
}

// CheckStart refuses an etcd whose generation or head is below an archive or a
// checkpoint that the bucket (below "<cluster>/") holds of its incarnation.
func CheckStart(ctx context.Context, log metadata.Log, objects bucket.Bucket) error {
	ctx = bucket.WithCause(ctx, bucket.CauseRecover)
	from, err := log.Start(ctx)
	if err != nil {
		return err
	}
	archives, err := objects.List(ctx, fmt.Sprintf("%d/archive/", from.Incarnation), fmt.Sprintf("%d/archive/%016x", from.Incarnation, uint64(from.Extent)), 0)
	if err != nil {
		return fmt.Errorf("look for archives that etcd does not know: %w", err)
	}
	checkpoints, err := objects.List(ctx, fmt.Sprintf("%d/checkpoint/", from.Incarnation), fmt.Sprintf("%d/checkpoint/%016x", from.Incarnation, uint64(from.Head)+1), 0)
	if err != nil {
		return fmt.Errorf("look for checkpoints that etcd does not know: %w", err)
	}
	if len(archives)+len(checkpoints) == 0 {
		return nil
	}
	// What a running cluster wrote between the two reads is no fault.
	if from, err = log.Start(ctx); err != nil {
		return err
	}
	for _, o := range archives {
		if g, ok := numberIn(o.Name[len(fmt.Sprintf("%d/archive/", from.Incarnation)):]); ok && metadata.Extent(g) >= from.Extent {
			return behindError(o.Name, fmt.Sprintf("generation %d", from.Extent))
		}
	}
	for _, o := range checkpoints {
		if rev, ok := numberIn(o.Name[len(fmt.Sprintf("%d/checkpoint/", from.Incarnation)):]); ok && metadata.Revision(rev) > from.Head {
			return behindError(o.Name, fmt.Sprintf("revision %d", from.Head))
		}
	}
	return nil
}

func behindError(object, at string) error {
	return fmt.Errorf("the bucket holds %s, and etcd is only at %s: %w; it was restored from a backup: "+
		"start an empty etcd and run `zonewise recover`", object, at, ErrBehind)
}
