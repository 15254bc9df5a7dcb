package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/smithy-go"

	"github.com/zonewise/zonewise/s3stream/bucket"
)

// The codes below are those of Amazon's "Error responses" reference; stores
// that are not Amazon's use a subset of them.

// translateError translates an error of the SDK into one of package bucket.
func translateError(ctx context.Context, op bucket.Op, x *exchange, err error) error {
	switch {
	case !x.sent && ctx.Err() != nil:
		return ctx.Err()
	case !x.sent:
		return fmt.Errorf("%w: request could not be signed, check the credentials: %w", bucket.ErrDenied, err)
	case x.status == 0 || x.status < 300:
		return noAnswerError(ctx, err)
	}
	return errorOfStatus(op, x.status, codeOf(err), err)
}

// noAnswerError is no answer, or one that broke off.
func noAnswerError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err() // Retry distinguishes the attempt's from the caller's
	}
	return fmt.Errorf("%w: incomplete response: %w", bucket.ErrBusy, err)
}

// errorOfStatus decides by status, and by code where one status means several things.
func errorOfStatus(op bucket.Op, status int, code string, err error) error {
	switch code {
	case "NoSuchBucket":
		return fmt.Errorf("%w: no such bucket: %w", bucket.ErrDenied, err)
	case "ExpiredToken", "InvalidToken", "TokenRefreshRequired", "InvalidAccessKeyId", "SignatureDoesNotMatch":
		return fmt.Errorf("%w: check the credentials: %w", bucket.ErrDenied, err)
	case "RequestTimeTooSkewed":
		return fmt.Errorf("%w: check this machine's clock: %w", bucket.ErrDenied, err)
	case "RequestTimeout", "BadDigest", "IncompleteBody", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch":
		// 400: the body came too slowly, or not as it was sent.
		return fmt.Errorf("%w: %w", bucket.ErrBusy, err)
	}
	switch {
	case status == http.StatusNotFound && op == bucket.OpGet:
		return bucket.ErrNotFound
	case status == http.StatusPreconditionFailed && op == bucket.OpPut:
		return bucket.ErrExists
	case status == http.StatusRequestedRangeNotSatisfiable && op == bucket.OpGet:
		return bucket.ErrRange
	case status == http.StatusForbidden || status == http.StatusUnauthorized:
		return fmt.Errorf("%w: %w", bucket.ErrDenied, err)
	case status == http.StatusConflict, status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status >= 500:
		// 409 of a conditional put: another one, or a deletion, is under way.
		return fmt.Errorf("%w: status %d: %w", bucket.ErrBusy, status, err)
	case status >= 300 && status < 400:
		return fmt.Errorf("status %d: the bucket is in another region: check region and endpoint: %w", status, err)
	}
	return fmt.Errorf("status %d: %w", status, err)
}

// explainDenied adds the permission that is missing to an error of access.
func explainDenied(err error, permission string) error {
	if codeOf(err) != "AccessDenied" {
		return err
	}
	return fmt.Errorf("%w; %s is not granted there", err, permission)
}

// isUnsupported reports whether the store does not have the request that err is of.
func isUnsupported(x *exchange, err error) bool {
	switch codeOf(err) {
	case "MethodNotAllowed", "NotImplemented":
		return true
	}
	return x.status == http.StatusMethodNotAllowed || x.status == http.StatusNotImplemented
}

// codeOf returns the store's code of an error, "" if it has none.
func codeOf(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}
