package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/zonewise/zonewise/s3stream/bucket"
)

// Delete implements bucket.Bucket for one batch. A store that refuses batches
// gets one request per name from then on.
func (r *requests) Delete(ctx context.Context, names ...string) error {
	if err := checkRequest(ctx, bucket.OpDelete, names[0], bucket.CheckNames(names)); err != nil {
		return err
	}
	if len(names) > 1 && !r.noBatches.Load() {
		refused, err := r.deleteBatch(ctx, names)
		if !refused {
			return err
		}
		r.noBatches.Store(true)
	}
	for _, name := range names {
		if err := r.deleteOne(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (r *requests) deleteOne(ctx context.Context, name string) error {
	ctx, x := withExchange(ctx)
	_, err := r.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &r.bucket, Key: &name})
	err = r.reportResult(ctx, bucket.Attempt{Op: bucket.OpDelete, Name: name}, x, err)
	if x.status == http.StatusNotFound && !errors.Is(err, bucket.ErrDenied) {
		return nil // Amazon answers 204; some others do not
	}
	return err
}

// deleteBatch sends one DeleteObjects, with a Content-MD5 in addition to the
// SDK's checksum: some stores accept no other and respond with 400 without it.
// refused reports that the store does not support such requests at all.
func (r *requests) deleteBatch(ctx context.Context, names []string) (refused bool, err error) {
	batch := make([]types.ObjectIdentifier, len(names))
	for i := range names {
		batch[i].Key = &names[i]
	}
	ctx, x := withExchange(ctx)
	output, err := r.client.DeleteObjects(ctx, &s3.DeleteObjectsInput{
		Bucket:            &r.bucket,
		Delete:            &types.Delete{Objects: batch, Quiet: aws.Bool(true)},
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c,
	}, s3.WithAPIOptions(smithyhttp.AddContentChecksumMiddleware))
	if err := r.reportResult(ctx, bucket.Attempt{Op: bucket.OpDelete, Name: names[0]}, x, err); err != nil {
		switch x.status {
		case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusNotImplemented:
			return true, err
		}
		return false, err
	}
	for _, failed := range output.Errors {
		code, name := aws.ToString(failed.Code), aws.ToString(failed.Key)
		switch code {
		case "NoSuchKey":
		case "AccessDenied":
			return false, fmt.Errorf("delete %q: %w: %s", name, bucket.ErrDenied, aws.ToString(failed.Message))
		default:
			return false, fmt.Errorf("delete %q: %w: %s: %s", name, bucket.ErrBusy, code, aws.ToString(failed.Message))
		}
	}
	return false, nil
}
