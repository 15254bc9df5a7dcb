package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/zonewise/zonewise/s3stream/bucket"
)

// ListUploads implements bucket.UploadAborter with as many requests as there are
// pages. MinIO lists the uploads of one key only, hence none here; it removes
// old ones by itself.
func (r *requests) ListUploads(ctx context.Context, prefix string, age time.Duration) ([]bucket.Upload, error) {
	if err := checkRequest(ctx, bucket.OpList, prefix); err != nil {
		return nil, err
	}
	begunBy := time.Now().Add(-age).UnixMilli()
	var found []bucket.Upload
	input := &s3.ListMultipartUploadsInput{Bucket: &r.bucket, Prefix: &prefix, MaxUploads: aws.Int32(bucket.PageNames)}
	for {
		output, err := r.listUploadsPage(ctx, input)
		if err != nil {
			return nil, err
		}
		for _, u := range output.Uploads {
			upload := bucket.Upload{Name: aws.ToString(u.Key), ID: aws.ToString(u.UploadId), Begun: aws.ToTime(u.Initiated).UnixMilli()}
			if u.Initiated != nil && upload.Begun <= begunBy {
				found = append(found, upload)
			}
		}
		if !aws.ToBool(output.IsTruncated) || len(output.Uploads) == 0 {
			return found, nil
		}
		input.KeyMarker, input.UploadIdMarker = output.NextKeyMarker, output.NextUploadIdMarker
	}
}

func (r *requests) listUploadsPage(ctx context.Context, input *s3.ListMultipartUploadsInput) (*s3.ListMultipartUploadsOutput, error) {
	call, x := withExchange(ctx)
	output, err := r.client.ListMultipartUploads(call, input)
	err = r.reportResult(ctx, bucket.Attempt{Op: bucket.OpList, Name: *input.Prefix}, x, err)
	switch {
	case err != nil && isUnsupported(x, err):
		return nil, fmt.Errorf("list uploads %q: %w by this store", *input.Prefix, errors.ErrUnsupported)
	case err != nil:
		return nil, explainDenied(err, "s3:ListBucketMultipartUploads")
	}
	bucket.ReportAnswer(ctx)
	return output, nil
}

// AbortUploads implements bucket.UploadAborter; Retry above it gives it one upload.
func (r *requests) AbortUploads(ctx context.Context, uploads ...bucket.Upload) (aborted int, err error) {
	for _, u := range uploads {
		if err := r.abortUpload(ctx, u); err != nil {
			return aborted, err
		}
		aborted++
	}
	return aborted, nil
}

func (r *requests) abortUpload(ctx context.Context, u bucket.Upload) error {
	if err := checkRequest(ctx, bucket.OpDelete, u.Name); err != nil {
		return err
	}
	call, x := withExchange(ctx)
	_, err := r.client.AbortMultipartUpload(call, &s3.AbortMultipartUploadInput{Bucket: &r.bucket, Key: &u.Name, UploadId: &u.ID})
	err = r.reportResult(ctx, bucket.Attempt{Op: bucket.OpDelete, Name: u.Name}, x, err)
	if x.status == http.StatusNotFound && !errors.Is(err, bucket.ErrDenied) {
		return nil // ended by someone else
	}
	return explainDenied(err, "s3:AbortMultipartUpload")
}
