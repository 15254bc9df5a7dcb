package bucket_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/zonewise/zonewise/s3stream/bucket"
)

// broken is a bucket with one promise broken.
type broken struct {
	*bucket.Mem
	put    func(context.Context, string, []byte) error
	get    func(context.Context, string, int64, int64) ([]byte, error)
	list   func(context.Context, string, string, int) ([]bucket.Info, error)
	delete func(context.Context, ...string) ([]string, error)
}

func (b *broken) Put(ctx context.Context, name string, body []byte) error {
	if b.put != nil {
		return b.put(ctx, name, body)
	}
	return b.Mem.Put(ctx, name, body)
}

func (b *broken) Get(ctx context.Context, name string, off, length int64) ([]byte, error) {
	if b.get != nil {
		return b.get(ctx, name, off, length)
	}
	return b.Mem.Get(ctx, name, off, length)
}

func (b *broken) List(ctx context.Context, prefix, after string, limit int) ([]bucket.Info, error) {
	if b.list != nil {
		return b.list(ctx, prefix, after, limit)
	}
	return b.Mem.List(ctx, prefix, after, limit)
}

func (b *broken) Delete(ctx context.Context, names ...string) ([]string, error) {
	if b.delete != nil {
		return b.delete(ctx, names...)
	}
	return b.Mem.Delete(ctx, names...)
}

func TestProbePassesOnAGoodBucketAndLeavesNothing(t *testing.T) {
	for name, b := range map[string]bucket.Bucket{"mem": bucket.NewMem(), "dir": openDir(t, t.TempDir()), "prefix": bucket.Prefix(bucket.NewMem(), "main/1")} {
		ctx := bucket.WithObserver(t.Context(), func(a bucket.Attempt) {
			if a.Cause != bucket.CauseProbe {
				t.Errorf("%s: %v is not on the probe's account", name, a)
			}
		})
		for range 2 { // its nonce may be used again once it has cleaned up
			if err := bucket.Probe(ctx, b, "nonce"); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if left, err := b.List(t.Context(), "", "", 0); err != nil || len(left) != 0 {
			t.Errorf("%s: %v, %v left", name, left, err)
		}
	}
}

func TestProbeNamesThePromiseThatIsBrokenAndCleansUp(t *testing.T) {
	denied := errors.Join(bucket.ErrDenied)
	for name, c := range map[string]struct {
		breakIt func(*broken)
		want    string
		leaves  bool // it cannot clean up
	}{
		"If-None-Match is ignored and the object overwritten": {func(b *broken) {
			b.put = func(ctx context.Context, name string, body []byte) error {
				_, _ = b.Mem.Delete(ctx, name)
				return b.Mem.Put(ctx, name, body)
			}
		}, "If-None-Match", false},
		"a put is refused and overwrites all the same": {func(b *broken) {
			b.put = func(ctx context.Context, name string, body []byte) error {
				err := b.Mem.Put(ctx, name, body)
				if err != nil {
					_, _ = b.Mem.Delete(ctx, name)
					_ = b.Mem.Put(ctx, name, body)
				}
				return err
			}
		}, "promise 6", false},
		"writing is denied": {func(b *broken) { b.put = func(context.Context, string, []byte) error { return denied } }, "s3:PutObject", false},
		"reading what is absent is denied": {func(b *broken) {
			b.get = func(context.Context, string, int64, int64) ([]byte, error) { return nil, denied }
		}, "s3:ListBucket", false},
		"the store is not there": {func(b *broken) {
			b.get = func(context.Context, string, int64, int64) ([]byte, error) { return nil, bucket.ErrBusy }
		}, "endpoint", false},
		"ranges are ignored": {func(b *broken) {
			b.get = func(ctx context.Context, name string, _, _ int64) ([]byte, error) { return b.Mem.Get(ctx, name, 0, -1) }
		}, "Range", false},
		"suffixes are read from the start": {func(b *broken) {
			b.get = func(ctx context.Context, name string, off, length int64) ([]byte, error) {
				if off < 0 {
					off, length = 0, -off
				}
				return b.Mem.Get(ctx, name, off, length)
			}
		}, "Range", false},
		"a listing is behind": {func(b *broken) {
			b.list = func(context.Context, string, string, int) ([]bucket.Info, error) { return nil, nil }
		}, "read-after-write", false},
		"a listing ignores after": {func(b *broken) {
			b.list = func(ctx context.Context, prefix, _ string, limit int) ([]bucket.Info, error) {
				return b.Mem.List(ctx, prefix, "", limit)
			}
		}, "listing", false},
		"listing is denied": {func(b *broken) {
			b.list = func(context.Context, string, string, int) ([]bucket.Info, error) { return nil, denied }
		}, "s3:ListBucket", false},
		"deleting is denied": {func(b *broken) { b.delete = func(context.Context, ...string) ([]string, error) { return nil, denied } }, "s3:DeleteObject", true},
		"deleting does nothing": {func(b *broken) {
			b.delete = func(_ context.Context, names ...string) ([]string, error) { return names, nil }
		}, "still there", true},
	} {
		t.Run(name, func(t *testing.T) {
			b := &broken{Mem: bucket.NewMem()}
			c.breakIt(b)
			err := bucket.Probe(t.Context(), b, "nonce")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("probe: %v, want an error about %q", err, c.want)
			}
			if left, err := b.Mem.List(t.Context(), "", "", 0); err != nil || (len(left) > 0) != c.leaves {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

func TestProbeCleansUpWhenItsContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	mem := bucket.NewMem()
	b := &broken{Mem: mem}
	b.list = func(ctx context.Context, _, _ string, _ int) ([]bucket.Info, error) {
		cancel()
		return nil, ctx.Err()
	}
	if err := bucket.Probe(ctx, b, "nonce"); !errors.Is(err, context.Canceled) {
		t.Errorf("probe: %v, want context.Canceled", err)
	}
	if left, err := mem.List(t.Context(), "", "", 0); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
