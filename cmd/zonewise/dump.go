package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/zonewise/zonewise/internal/cli"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// dumpSource is where stored things are: the bucket, or a file.
type dumpSource struct{ bucket, cluster string }

func (o *dumpSource) declareSource(s *cli.Set) {
	s.String(&o.bucket, "bucket", "", "URL", bucketHelp+"; without it KEY is a file")
	s.String(&o.cluster, "cluster", "main", "NAME", "of the cluster: keys are below it")
}

// openBucket returns the bucket below "<cluster>/".
func (o *dumpSource) openBucket(ctx context.Context) (*openedBucket, error) {
	s, err := openExisting(ctx, "bucket", o.bucket)
	if err != nil {
		return nil, err
	}
	s.Bucket = bucket.Prefix(s.Bucket, o.cluster+"/")
	return s, nil
}

// maxDumpBytes bounds a file that is dumped: the largest object there is.
const maxDumpBytes = bucket.MaxBody

// readObject returns a stored thing, whole. key may have the cluster's name before
// it, as errors and listings print it.
func (o *dumpSource) readObject(ctx context.Context, key string) ([]byte, error) {
	if o.bucket == "" {
		f, err := os.Open(key)
		if err != nil {
			return nil, fmt.Errorf("%w (give --bucket to read a key of the bucket)", err)
		}
		defer f.Close()
		return io.ReadAll(io.LimitReader(f, maxDumpBytes))
	}
	s, err := o.openBucket(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	return s.Get(ctx, strings.TrimPrefix(key, o.cluster+"/"), 0, -1)
}

// errDamaged is the error of a dump of a damaged object: what could be read is
// printed, and the exit code shows that it is incomplete.
var errDamaged = errors.New("damaged")

// dumpCommand makes a command that prints one stored thing by its key.
func dumpCommand(c cli.Command, print func(w io.Writer, body []byte) error) cli.Command {
	c.Args, c.MinArgs, c.MaxArgs = "KEY", 1, 1
	c.New = func(s *cli.Set) func(context.Context, cli.Env) error {
		o := &dumpSource{}
		o.declareSource(s)
		return func(ctx context.Context, env cli.Env) error {
			body, err := o.readObject(ctx, env.Args[0])
			if err != nil {
				return fmt.Errorf("dump %s: %w", env.Args[0], err)
			}
			if err := print(env.Stdout, body); err != nil {
				return fmt.Errorf("dump %s: %w", env.Args[0], err)
			}
			return nil
		}
	}
	return c
}
