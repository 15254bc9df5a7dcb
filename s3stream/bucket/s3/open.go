package s3

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/zonewise/zonewise/s3stream/bucket"
)

const (
	dialTimeout = 3 * time.Second
	// idleTimeout is below the time after which S3 closes an idle connection,
	// so that a request seldom meets one that is being closed.
	idleTimeout = 15 * time.Second
	// bufferBytes of each connection and direction: objects are large, and the
	// default of 4 KiB costs a system call for each piece of that size.
	bufferBytes = 64 << 10
	// refreshBefore is how long before their end credentials are renewed.
	refreshBefore = 5 * time.Minute
)

// Store is a bucket.Bucket in S3.
type Store struct {
	bucket.Bucket        // Prefix over Retry over requests
	bucket.UploadAborter // the same
	requests             *requests
	prefix               string
	transport            *http.Transport
}

// Open makes a Store. It sends nothing to the bucket (see bucket.Probe); ctx
// bounds the reading of profiles and region only.
func Open(ctx context.Context, c Config) (*Store, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Retry == (bucket.RetryConfig{}) {
		c.Retry = bucket.DefaultRetry()
		var seed [8]byte
		_, _ = rand.Read(seed[:]) // never fails
		c.Retry.Seed = binary.BigEndian.Uint64(seed[:])
	}
	shared, err := loadShared(ctx, c)
	if err != nil {
		return nil, err
	}
	transport := newTransport(c.MaxConns)
	client := s3.NewFromConfig(shared, func(o *s3.Options) {
		if c.Endpoint != "" {
			o.BaseEndpoint = aws.String(c.Endpoint)
		}
		o.UsePathStyle = c.PathStyle
		o.Retryer = aws.NopRetryer{}
		o.HTTPClient = countingClient{&http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}}
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		o.DisableLogOutputChecksumValidationSkipped = true
		// "Expect: 100-continue" would add a round trip to every large put.
		o.ContinueHeaderThresholdBytes = -1
	})
	r := &requests{client: client, bucket: c.Bucket}
	r.unsigned.Store(c.Endpoint == "" || c.Endpoint[:5] == "https")
	b := bucket.Prefix(bucket.Retry(r, c.Retry), c.Prefix)
	return &Store{b, b.(bucket.UploadAborter), r, c.Prefix, transport}, nil
}

// Close closes idle connections. Requests under way must have ended.
func (s *Store) Close() { s.transport.CloseIdleConnections() }

// loadShared finds region and credentials.
func loadShared(ctx context.Context, c Config) (aws.Config, error) {
	options := []func(*config.LoadOptions) error{
		config.WithCredentialsCacheOptions(func(o *aws.CredentialsCacheOptions) {
			o.ExpiryWindow, o.ExpiryWindowJitterFrac = refreshBefore, 0.5
		}),
	}
	if c.Region != "" {
		options = append(options, config.WithRegion(c.Region))
	}
	if c.AccessKey != "" {
		options = append(options, config.WithCredentialsProvider(
			credentials.NewStaticCredentialsProvider(c.AccessKey, c.SecretKey, c.SessionToken)))
	}
	shared, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return aws.Config{}, fmt.Errorf("load AWS configuration: %w", err)
	}
	if shared.Region == "" && c.Endpoint == "" {
		return aws.Config{}, fmt.Errorf("open s3 bucket %s: no region; give region= in its URL or set AWS_REGION", c.Bucket)
	}
	if shared.Region == "" {
		shared.Region = defaultRegion
	}
	return shared, nil
}

func newTransport(conns int) *http.Transport {
	if conns == 0 {
		conns = DefaultConns
	}
	dialer := net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		TLSHandshakeTimeout: dialTimeout,
		MaxConnsPerHost:     conns,
		MaxIdleConns:        conns,
		MaxIdleConnsPerHost: conns,
		IdleConnTimeout:     idleTimeout,
		ReadBufferSize:      bufferBytes,
		WriteBufferSize:     bufferBytes,
		DisableCompression:  true,
	}
}
