package bucket

import (
	"context"
	"errors"
	"slices"
	"strings"
)

// Prefix returns the part of b below a folder: names go in and come out
// without the prefix, to which a '/' is added if it has none at its end.
// Attempts are reported with the full name.
func Prefix(b Bucket, prefix string) Bucket {
	if prefix == "" {
		return b
	}
	p := prefixedBucket{b, strings.TrimSuffix(prefix, "/") + "/"}
	if uploads, ok := b.(UploadAborter); ok {
		return prefixedUploads{p, uploads}
	}
	return p
}

type prefixedBucket struct {
	b      Bucket
	prefix string
}

func (p prefixedBucket) Put(ctx context.Context, name string, body []byte) error {
	if err := checkRequest(ctx, OpPut, name, CheckName(name)); err != nil {
		return err
	}
	return p.b.Put(ctx, p.prefix+name, body)
}

func (p prefixedBucket) Get(ctx context.Context, name string, off, length int64) ([]byte, error) {
	if err := checkRequest(ctx, OpGet, name, CheckName(name)); err != nil {
		return nil, err
	}
	return p.b.Get(ctx, p.prefix+name, off, length)
}

func (p prefixedBucket) List(ctx context.Context, prefix, after string, limit int) ([]Info, error) {
	if after != "" {
		after = p.prefix + after
	}
	infos, err := p.b.List(ctx, p.prefix+prefix, after, limit)
	for i := range infos {
		infos[i].Name = strings.TrimPrefix(infos[i].Name, p.prefix)
	}
	return infos, err
}

func (p prefixedBucket) Delete(ctx context.Context, names ...string) (deleted []string, err error) {
	full := make([]string, len(names))
	for i, name := range names {
		if err := checkRequest(ctx, OpDelete, name, CheckName(name)); err != nil {
			return nil, err
		}
		full[i] = p.prefix + name
	}
	deleted, err = p.b.Delete(ctx, full...)
	for i := range deleted {
		deleted[i] = strings.TrimPrefix(deleted[i], p.prefix)
	}
	return deleted, p.trimFailures(err)
}

// trimFailures returns the error of a Delete with the caller's names.
func (p prefixedBucket) trimFailures(err error) error {
	var partial *DeleteError
	if !errors.As(err, &partial) {
		return err
	}
	trimmed := &DeleteError{Of: partial.Of, Failures: slices.Clone(partial.Failures)}
	for i := range trimmed.Failures {
		trimmed.Failures[i].Name = strings.TrimPrefix(trimmed.Failures[i].Name, p.prefix)
	}
	return trimmed
}
