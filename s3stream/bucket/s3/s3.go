package s3

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/zonewise/zonewise/s3stream/bucket"
)

// requests makes one request per call (a page of a listing, a batch of
// deletions): Retry above it turns pages and makes the attempts.
type requests struct {
	client *s3.Client
	bucket string
	// unsigned: the body's hash is not part of the signature. The CRC32C guards
	// it, and TLS where there is any (SkipBodyHash).
	unsigned atomic.Bool
	// noBatches: the store has refused to delete several names at once.
	noBatches atomic.Bool
}

// Put implements bucket.Bucket.
func (r *requests) Put(ctx context.Context, name string, body []byte) error {
	if err := checkRequest(ctx, bucket.OpPut, name, bucket.CheckName(name)); err != nil {
		return err
	}
	if int64(len(body)) > bucket.MaxBody {
		return fmt.Errorf("put %q: BUG: body of %d bytes is over the limit of %d", name, len(body), int64(bucket.MaxBody))
	}
	how := bodyGuard{unsigned: r.unsigned.Load()}
	if sum, ok := bucket.ChecksumOf(ctx); ok {
		how.crc = encodeCRC(sum)
	} else {
		how.crc = crc32c(body)
	}
	return r.putObject(ctx, name, body, how)
}

// bodyGuard is how a body is guarded.
type bodyGuard struct {
	crc      string
	unsigned bool
}

func (r *requests) putObject(ctx context.Context, name string, body []byte, how bodyGuard) error {
	ctx, x := withExchange(ctx)
	content := newPayload(body)
	defer content.close()
	_, err := r.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket:            &r.bucket,
		Key:               &name,
		Body:              content,
		ContentLength:     aws.Int64(int64(len(body))),
		IfNoneMatch:       aws.String("*"),
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c,
		ChecksumCRC32C:    aws.String(how.crc),
	}, func(o *s3.Options) {
		if how.unsigned {
			o.APIOptions = append(o.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
		}
	})
	return r.reportResult(ctx, bucket.Attempt{Op: bucket.OpPut, Name: name, Bytes: int64(len(body))}, x, err)
}

func crc32c(body []byte) string {
	return encodeCRC(crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
}

// encodeCRC is the header's form: big-endian, base64.
func encodeCRC(sum uint32) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum))
}

// Get implements bucket.Bucket.
func (r *requests) Get(ctx context.Context, name string, off, length int64) ([]byte, error) {
	if err := checkRequest(ctx, bucket.OpGet, name, bucket.CheckName(name)); err != nil {
		return nil, err
	}
	if length == 0 && off >= 0 {
		return []byte{}, nil
	}
	input := &s3.GetObjectInput{Bucket: &r.bucket, Key: &name}
	whole := off == 0 && length < 0
	switch {
	case whole:
		input.ChecksumMode = types.ChecksumModeEnabled // a range has no checksum of its own
	case off < 0:
		input.Range = aws.String(fmt.Sprintf("bytes=%d", off))
	case length < 0:
		input.Range = aws.String(fmt.Sprintf("bytes=%d-", off))
	default:
		input.Range = aws.String(fmt.Sprintf("bytes=%d-%d", off, off+length-1))
	}
	ctx, x := withExchange(ctx)
	output, err := r.client.GetObject(ctx, input)
	var body []byte
	if err == nil {
		body, err = readBody(ctx, output)
	}
	a := bucket.Attempt{Op: bucket.OpGet, Name: name, Bytes: int64(len(body))}
	// A suffix that holds the whole object may be answered as the whole object.
	entire := whole || off < 0 && int64(len(body)) <= -off
	if err == nil && !entire && x.status != http.StatusPartialContent {
		reportAttempt(ctx, a, x)
		return nil, fmt.Errorf("get %q: the store did not keep to the Range header, it answered %d with %d bytes; use one that does", name, x.status, len(body))
	}
	err = r.reportResult(ctx, a, x, err)
	if off < 0 && errors.Is(err, bucket.ErrRange) {
		return []byte{}, nil // the last bytes of an empty object
	}
	if err != nil {
		return nil, err
	}
	return body, nil
}

// readBody returns what has come, also where that is not all.
func readBody(ctx context.Context, output *s3.GetObjectOutput) (body []byte, err error) {
	defer func() { err = errors.Join(err, output.Body.Close()) }()
	content := progressReader{ctx, output.Body}
	if output.ContentLength == nil || *output.ContentLength < 0 {
		body, err = io.ReadAll(io.LimitReader(content, bucket.MaxBody+1))
	} else if *output.ContentLength <= bucket.MaxBody {
		body = make([]byte, *output.ContentLength)
		n := 0
		n, err = io.ReadFull(content, body)
		body = body[:n]
		if err == nil {
			// A checksum is compared at the end, which has to be read.
			_, err = io.Copy(io.Discard, output.Body)
		}
		return body, err
	}
	if err == nil && (len(body) > bucket.MaxBody || body == nil) {
		return nil, fmt.Errorf("object is over the limit of %d bytes", int64(bucket.MaxBody))
	}
	return body, err
}

// progressReader reports what arrives, so that Retry lets a large body go on.
type progressReader struct {
	ctx  context.Context
	body io.Reader
}

// Read implements io.Reader.
func (r progressReader) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	bucket.ReportProgress(r.ctx, n)
	return n, err
}

// List implements bucket.Bucket for what fits a page. A store may return less
// than a page and a continuation: the listing is then continued.
func (r *requests) List(ctx context.Context, prefix, after string, limit int) ([]bucket.Info, error) {
	if err := checkRequest(ctx, bucket.OpList, prefix); err != nil {
		return nil, err
	}
	var found []bucket.Info
	for {
		page, more, err := r.listPage(ctx, prefix, after, min(limit-len(found), bucket.PageNames))
		if err != nil {
			return nil, err
		}
		found = append(found, page...)
		if !more || len(page) == 0 || len(found) >= limit {
			return found, nil
		}
		after = page[len(page)-1].Name
	}
}

func (r *requests) listPage(ctx context.Context, prefix, after string, limit int) (infos []bucket.Info, more bool, err error) {
	input := &s3.ListObjectsV2Input{Bucket: &r.bucket, Prefix: &prefix, MaxKeys: aws.Int32(int32(limit))}
	if after != "" {
		input.StartAfter = &after
	}
	ctx, x := withExchange(ctx)
	output, err := r.client.ListObjectsV2(ctx, input)
	if err := r.reportResult(ctx, bucket.Attempt{Op: bucket.OpList, Name: prefix}, x, err); err != nil {
		return nil, false, err
	}
	for _, object := range output.Contents {
		infos = append(infos, bucket.Info{
			Name:     aws.ToString(object.Key),
			Size:     aws.ToInt64(object.Size),
			Modified: aws.ToTime(object.LastModified).UnixMilli(),
		})
	}
	return infos, aws.ToBool(output.IsTruncated), nil
}

// reportResult reports the attempt, if there was one, and names the error.
func (r *requests) reportResult(ctx context.Context, a bucket.Attempt, x *exchange, err error) error {
	reportAttempt(ctx, a, x)
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %q in bucket %s: %w", a.Op, a.Name, r.bucket, translateError(ctx, a.Op, x, err))
}

// reportAttempt reports the request, and those before it that met a closed
// connection; none if nothing was sent.
func reportAttempt(ctx context.Context, a bucket.Attempt, x *exchange) {
	if !x.sent {
		return
	}
	for range x.conns.Load() - 1 {
		bucket.Report(ctx, bucket.Attempt{Op: a.Op, Name: a.Name})
	}
	a.Status = x.status
	if a.Op == bucket.OpGet && x.status >= 300 {
		a.Bytes = 0
	}
	bucket.Report(ctx, a)
}

// checkRequest returns what stops a request before it is sent.
func checkRequest(ctx context.Context, op bucket.Op, name string, fault ...error) error {
	for _, err := range append(fault, ctx.Err()) {
		if err != nil {
			return fmt.Errorf("%s %q: %w", op, name, err)
		}
	}
	return nil
}
