package s3

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/zonewise/zonewise/s3stream/bucket"
)

// versioningTimeout bounds the one request of Store.Versioning: its answer is
// only advice.
const versioningTimeout = 3 * time.Second

// Versioning is whether a bucket keeps what is deleted from it.
type Versioning string

const (
	VersioningOff       Versioning = ""
	VersioningEnabled   Versioning = "Enabled"
	VersioningSuspended Versioning = "Suspended" // since then nothing more is kept; earlier versions are
)

// Warning says what the operator pays for and how to end it; "" if nothing is kept.
func (v Versioning) Warning() string {
	const remedy = ": set a lifecycle rule with NoncurrentVersionExpiration and ExpiredObjectDeleteMarker on this prefix, or use a bucket without versioning"
	switch v {
	case VersioningEnabled:
		return "the bucket keeps versions: deleted objects stay and are billed" + remedy
	case VersioningSuspended:
		return "versioning of the bucket is suspended: versions from before that stay and are billed, and each deletion leaves a marker" + remedy
	}
	return ""
}

// Versioning asks the bucket whether it keeps versions, with one request. An error
// is no reason not to use the bucket: the permission (s3:GetBucketVersioning) may
// be missing, and many stores have no such request.
func (s *Store) Versioning(ctx context.Context) (Versioning, error) {
	ctx, cancel := context.WithTimeout(bucket.WithCause(ctx, bucket.CauseProbe), versioningTimeout)
	defer cancel()
	r := s.requests
	call, x := withExchange(ctx)
	output, err := r.client.GetBucketVersioning(call, &s3.GetBucketVersioningInput{Bucket: &r.bucket})
	if err := r.reportResult(ctx, bucket.Attempt{Op: bucket.OpGet, Name: "?versioning"}, x, err); err != nil {
		return VersioningOff, explainDenied(err, "s3:GetBucketVersioning")
	}
	switch output.Status {
	case types.BucketVersioningStatusEnabled:
		return VersioningEnabled, nil
	case types.BucketVersioningStatusSuspended:
		return VersioningSuspended, nil
	}
	return VersioningOff, nil
}
