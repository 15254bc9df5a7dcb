package bucket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// probeCleanup bounds the removal of the probe's own objects, which happens
// even where the caller's context has ended.
const probeCleanup = 10 * time.Second

// Probe checks whether b can keep our promises: a second put under a name is
// refused (promise 6), reads by range and suffix, listing in order, deletion.
// nonce distinguishes this probe from any other, for example the name of a
// session. The error names the promise that cannot be kept and what to do. The
// probe removes what it has written.
func Probe(ctx context.Context, b Bucket, nonce string) error {
	ctx = WithCause(ctx, CauseProbe)
	p := prober{b: b, first: "probe/" + nonce + "/first", second: "probe/" + nonce + "/second"}
	for _, step := range []func(context.Context) error{p.probePut, p.probeSecondPut, p.probeRanges, p.probeList, p.probeDelete} {
		if err := step(ctx); err != nil {
			clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeCleanup)
			defer cancel()
			if _, left := b.Delete(clean, p.first, p.second); left != nil {
				err = fmt.Errorf("%w (and %s was left behind: %w)", err, "probe/"+nonce+"/", left)
			}
			return fmt.Errorf("probe bucket: %w", err)
		}
	}
	return nil
}

type prober struct {
	b             Bucket
	first, second string
}

const (
	probeBody  = "zonewise: first body, 0123456789"
	probeOther = "zonewise: other body, abcdefghij"
)

// explainError adds what to do about an error that a broken promise does not explain.
func explainError(action, permission string, err error) error {
	switch {
	case errors.Is(err, ErrDenied):
		return fmt.Errorf("%s: %w; check the credentials and grant %s on this prefix", action, err, permission)
	case errors.Is(err, ErrBusy):
		return fmt.Errorf("%s: %w; check the endpoint, the region and the network", action, err)
	}
	return fmt.Errorf("%s: %w", action, err)
}

func (p prober) probePut(ctx context.Context) error {
	_, err := p.b.Get(ctx, p.first, 0, -1)
	switch {
	case err == nil:
		return fmt.Errorf("object %q exists already: another probe used the same nonce", p.first)
	case errors.Is(err, ErrDenied):
		return fmt.Errorf("read an absent object: %w; check the credentials and grant s3:GetObject and s3:ListBucket on this prefix (S3 answers 403 instead of 404 to callers without s3:ListBucket)", err)
	case !errors.Is(err, ErrNotFound):
		return explainError("read an absent object", "s3:GetObject", err)
	}
	for _, name := range []string{p.first, p.second} {
		if err := p.b.Put(ctx, name, []byte(probeBody)); err != nil {
			return explainError("write an object", "s3:PutObject", err)
		}
	}
	return nil
}

func (p prober) probeSecondPut(ctx context.Context) error {
	err := p.b.Put(ctx, p.first, []byte(probeOther))
	if err == nil {
		return errors.New("a second put of one name was accepted: this store ignores If-None-Match, so that objects could be overwritten (promise 6); use one with conditional writes (Amazon S3, MinIO, versitygw and others have them)")
	}
	if !errors.Is(err, ErrExists) {
		return explainError("put an object a second time (want 412)", "s3:PutObject", err)
	}
	body, err := p.b.Get(ctx, p.first, 0, -1)
	if err != nil {
		return explainError("read back an object", "s3:GetObject", err)
	}
	if string(body) != probeBody {
		return fmt.Errorf("a second put was refused, and yet the object has changed to %q: this store's conditional writes do not hold (promise 6); use another store or release", body)
	}
	return nil
}

func (p prober) probeRanges(ctx context.Context) error {
	for _, want := range []struct{ off, length, from, to int64 }{
		{10, 5, 10, 15},
		{10, -1, 10, int64(len(probeBody))},
		{-4, -1, int64(len(probeBody)) - 4, int64(len(probeBody))},
	} {
		body, err := p.b.Get(ctx, p.first, want.off, want.length)
		if err != nil {
			return explainError("read a range", "s3:GetObject", err)
		}
		if !bytes.Equal(body, []byte(probeBody)[want.from:want.to]) {
			return fmt.Errorf("a read of range %d+%d gave %q: this store, or a proxy before it, does not keep to the Range header, so every small read would cost a whole object; use one that does",
				want.off, want.length, body)
		}
	}
	return nil
}

func (p prober) probeList(ctx context.Context) error {
	folder := strings.TrimSuffix(p.first, "first")
	for _, want := range []struct {
		after string
		names string
	}{{"", p.first + " " + p.second}, {p.first, p.second}} {
		infos, err := p.b.List(ctx, folder, want.after, 0)
		if err != nil {
			return explainError("list the prefix", "s3:ListBucket", err)
		}
		names := make([]string, len(infos))
		for i, info := range infos {
			names[i] = info.Name
		}
		if got := strings.Join(names, " "); got != want.names {
			return fmt.Errorf("a listing of %s after %q gave [%s], want [%s]: this store's listings are not in order or not up to date, so leftovers could not be found; use one with read-after-write listings",
				folder, want.after, got, want.names)
		}
	}
	return nil
}

func (p prober) probeDelete(ctx context.Context) error {
	if _, err := p.b.Delete(ctx, p.first, p.second); err != nil {
		return explainError("delete objects", "s3:DeleteObject", err)
	}
	for _, name := range []string{p.first, p.second} {
		if _, err := p.b.Get(ctx, name, 0, -1); !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("a deleted object is still there (get says %v): garbage would be billed for ever; check object lock, retention and versioning of the bucket", err)
		}
	}
	// What is absent must be fine to delete, or a clean-up could never be repeated.
	if _, err := p.b.Delete(ctx, p.first); err != nil {
		return explainError("delete an absent object", "s3:DeleteObject", err)
	}
	return nil
}
