package bucket

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Upload is something begun that has not become an object: a multipart upload of
// S3, a temporary file of Dir. It is stored and billed, and List does not show it.
type Upload struct {
	Name  string // of the object it was to become; "" where the store does not know
	ID    string // the store's own
	Begun int64  // unix ms, by the store's clock
}

// UploadAborter is a Bucket that can hold uploads. Put leaves none in S3 (it never
// uses multipart) and in Dir only if the process is killed; they come from other
// programs, older tools and crashes. A Retry or a Prefix over an UploadAborter is
// one too.
type UploadAborter interface {
	// ListUploads returns the uploads below prefix that were begun at least age ago,
	// of which the store's clock and this machine's are compared: give it days. The
	// error wraps errors.ErrUnsupported where the store has no such request.
	ListUploads(ctx context.Context, prefix string, age time.Duration) ([]Upload, error)
	// AbortUploads removes uploads; an absent one is fine. aborted is how many are
	// gone, also beside an error.
	AbortUploads(ctx context.Context, uploads ...Upload) (aborted int, err error)
}

// retryingUploads is a Retry over an UploadAborter.
type retryingUploads struct {
	retryingBucket
	uploads UploadAborter
}

// ListUploads implements UploadAborter.
func (r retryingUploads) ListUploads(ctx context.Context, prefix string, age time.Duration) (found []Upload, err error) {
	err = r.runAttempts(ctx, OpList, prefix, unknownSize, func(ctx context.Context) error {
		found, err = r.uploads.ListUploads(ctx, prefix, age)
		return err
	})
	return found, err
}

// AbortUploads implements UploadAborter, one after the other. One that is refused
// does not stop the others; a store that does not answer does.
func (r retryingUploads) AbortUploads(ctx context.Context, uploads ...Upload) (aborted int, err error) {
	for _, u := range uploads {
		one := r.runAttempts(ctx, OpDelete, u.Name, 0, func(ctx context.Context) error {
			_, err := r.uploads.AbortUploads(ctx, u)
			return err
		})
		if one == nil {
			aborted++
		} else if err == nil {
			err = one
		}
		if one != nil && (isRetriable(one) || ctx.Err() != nil) {
			break
		}
	}
	return aborted, explainAborted(aborted, len(uploads), err)
}

// explainAborted adds to the first error of an AbortUploads how far it came.
func explainAborted(aborted, of int, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%d of %d uploads were not aborted, first: %w", of-aborted, of, err)
}

// prefixedUploads is a Prefix over an UploadAborter.
type prefixedUploads struct {
	prefixedBucket
	uploads UploadAborter
}

// ListUploads implements UploadAborter.
func (p prefixedUploads) ListUploads(ctx context.Context, prefix string, age time.Duration) ([]Upload, error) {
	found, err := p.uploads.ListUploads(ctx, p.prefix+prefix, age)
	for i := range found {
		found[i].Name = strings.TrimPrefix(found[i].Name, p.prefix)
	}
	return found, err
}

// AbortUploads implements UploadAborter.
func (p prefixedUploads) AbortUploads(ctx context.Context, uploads ...Upload) (aborted int, err error) {
	full := make([]Upload, len(uploads))
	for i, u := range uploads {
		full[i] = u
		if u.Name != "" {
			full[i].Name = p.prefix + u.Name
		}
	}
	return p.uploads.AbortUploads(ctx, full...)
}
