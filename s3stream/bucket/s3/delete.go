package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/zonewise/zonewise/s3stream/bucket"
)

// singleDeletes is how many DELETE requests are in flight at once where the store
// has no DeleteObjects.
const singleDeletes = 8

const deletePermission = "s3:DeleteObject"

// errNoBatches: the store does not delete several names at once.
var errNoBatches = errors.New("the store has no DeleteObjects")

// Delete implements bucket.Bucket for one batch. A store that refuses batches
// gets one request per name from then on.
func (r *requests) Delete(ctx context.Context, names ...string) (deleted []string, err error) {
	if err := checkRequest(ctx, bucket.OpDelete, names[0], bucket.CheckNames(names)); err != nil {
		return nil, err
	}
	if len(names) == 1 {
		if err := r.deleteOne(ctx, names[0]); err != nil {
			return nil, err
		}
		return slices.Clone(names), nil
	}
	if !r.noBatches.Load() {
		deleted, err := r.deleteBatch(ctx, names)
		if !errors.Is(err, errNoBatches) {
			return deleted, err
		}
		r.noBatches.Store(true)
	}
	return r.deleteEach(ctx, names)
}

func (r *requests) deleteOne(ctx context.Context, name string) error {
	call, x := withExchange(ctx)
	_, err := r.client.DeleteObject(call, &s3.DeleteObjectInput{Bucket: &r.bucket, Key: &name})
	err = r.reportResult(ctx, bucket.Attempt{Op: bucket.OpDelete, Name: name}, x, err)
	if x.status != 0 {
		bucket.ReportAnswer(ctx)
	}
	if x.status == http.StatusNotFound && !errors.Is(err, bucket.ErrDenied) {
		return nil // Amazon answers 204; some others do not
	}
	return explainDenied(err, deletePermission)
}

// deleteEach sends one DELETE per name, singleDeletes at a time. Once that many
// answers in a row are errors of the store itself, the others are not sent.
func (r *requests) deleteEach(ctx context.Context, names []string) (deleted []string, err error) {
	errs := make([]error, len(names))
	var next, busy atomic.Int64
	var wg sync.WaitGroup
	for range min(singleDeletes, len(names)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(names)); i = next.Add(1) - 1 {
				switch {
				case ctx.Err() != nil:
					errs[i] = ctx.Err()
				case busy.Load() >= singleDeletes:
					errs[i] = fmt.Errorf("%w: not sent, the store refused the names before", bucket.ErrBusy)
				default:
					errs[i] = r.deleteOne(ctx, names[i])
					if errors.Is(errs[i], bucket.ErrBusy) {
						busy.Add(1)
					} else {
						busy.Store(0)
					}
				}
			}
		})
	}
	wg.Wait()
	var failures []bucket.DeleteFailure
	for i, err := range errs {
		if err != nil {
			failures = append(failures, bucket.DeleteFailure{Name: names[i], Code: codeOf(err), Err: err})
		}
	}
	return bucket.DeleteResult(names, failures)
}

// deleteBatch sends one DeleteObjects, with a Content-MD5 in addition to the
// SDK's checksum: some stores accept no other and respond with 400 without it.
// It is not Quiet: a name is confirmed only where the store reports it as
// deleted. errNoBatches means that the store does not support such requests.
func (r *requests) deleteBatch(ctx context.Context, names []string) (deleted []string, err error) {
	batch := make([]types.ObjectIdentifier, len(names))
	for i := range names {
		batch[i].Key = &names[i]
	}
	ctx, x := withExchange(ctx)
	output, err := r.client.DeleteObjects(ctx, &s3.DeleteObjectsInput{
		Bucket:            &r.bucket,
		Delete:            &types.Delete{Objects: batch, Quiet: aws.Bool(false)},
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c,
	}, s3.WithAPIOptions(smithyhttp.AddContentChecksumMiddleware))
	if err := r.reportResult(ctx, bucket.Attempt{Op: bucket.OpDelete, Name: names[0]}, x, err); err != nil {
		if refusesBatches(x, err) {
			return nil, errNoBatches
		}
		return nil, explainDenied(err, deletePermission)
	}
	if len(output.Deleted) == 0 && len(output.Errors) == 0 {
		return nil, errNoBatches // it confirms nothing
	}
	return bucket.DeleteResult(names, listFailures(names, output))
}

// refusesBatches reports whether the error of a DeleteObjects means that the store
// has no such request. 400 is what some answer that want another checksum.
func refusesBatches(x *exchange, err error) bool {
	if x.status == http.StatusBadRequest {
		return !errors.Is(err, bucket.ErrBusy) && !errors.Is(err, bucket.ErrDenied)
	}
	return isUnsupported(x, err)
}

// listFailures returns the names that the store has not reported as deleted.
func listFailures(names []string, output *s3.DeleteObjectsOutput) []bucket.DeleteFailure {
	gone := make(map[string]bool, len(names))
	for _, deleted := range output.Deleted {
		gone[aws.ToString(deleted.Key)] = true
	}
	reasons := map[string]types.Error{}
	for _, failed := range output.Errors {
		name := aws.ToString(failed.Key)
		if aws.ToString(failed.Code) == "NoSuchKey" {
			gone[name] = true
			continue
		}
		reasons[name] = failed
	}
	var failures []bucket.DeleteFailure
	for _, name := range names {
		reason, failed := reasons[name]
		switch {
		case failed:
			code := aws.ToString(reason.Code)
			failures = append(failures, bucket.DeleteFailure{Name: name, Code: code, Err: errorOfName(code, aws.ToString(reason.Message))})
		case !gone[name]:
			failures = append(failures, bucket.DeleteFailure{Name: name, Err: fmt.Errorf("%w: the store reported it neither as deleted nor as failed", bucket.ErrBusy)})
		}
	}
	return failures
}

// errorOfName is the error of one name in the answer to a DeleteObjects.
func errorOfName(code, message string) error {
	switch code {
	case "AccessDenied":
		return fmt.Errorf("%w: %s: %s; %s is not granted there", bucket.ErrDenied, code, message, deletePermission)
	case "SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "OperationAborted",
		"Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests":
		return fmt.Errorf("%w: %s: %s", bucket.ErrBusy, code, message)
	}
	return fmt.Errorf("%s: %s", code, message)
}
