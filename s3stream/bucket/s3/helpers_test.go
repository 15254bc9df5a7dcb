package s3

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// clientOf is a plain client for tests that look below a Store.
func clientOf(t *testing.T, endpoint string) *s3.Client {
	t.Helper()
	transport := newTransport(1)
	t.Cleanup(transport.CloseIdleConnections)
	return s3.New(s3.Options{
		Region: "eu-west-1", BaseEndpoint: aws.String(endpoint), UsePathStyle: true, Retryer: aws.NopRetryer{},
		Credentials:                credentials.NewStaticCredentialsProvider("access", "secret", ""),
		HTTPClient:                 countingClient{&http.Client{Transport: transport}},
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
	})
}

// dialTo makes every connection go to one address.
func dialTo(transport *http.Transport, address string) {
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}
}

func TestAPayloadIsNotReadOnceClosed(t *testing.T) {
	body := []byte("0123456789")
	p := newPayload(body)
	into := make([]byte, 4)
	if n, err := p.Read(into); n != 4 || err != nil || string(into) != "0123" {
		t.Fatalf("read: %q, %v", into[:n], err)
	}
	if at, err := p.Seek(-3, io.SeekEnd); at != 7 || err != nil {
		t.Fatalf("seek: %d, %v", at, err)
	}
	if rest, err := io.ReadAll(p); string(rest) != "789" || err != nil {
		t.Fatalf("read: %q, %v", rest, err)
	}
	if _, err := p.Seek(-1, io.SeekStart); err == nil {
		t.Error("seek before the start")
	}
	if _, err := p.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	p.close()
	if n, err := p.Read(into); n != 0 || err == nil || err == io.EOF {
		t.Errorf("read after close: %d, %v; want an error that is not the end", n, err)
	}
	if _, err := p.Seek(0, io.SeekStart); err == nil {
		t.Error("seek after close")
	}
}

// A request that the caller has given up may still be sending: what the server
// gets is the body as it was, or not all of it.
func TestABufferUsedAgainNeverReachesTheServer(t *testing.T) {
	begun, release, got := make(chan struct{}), make(chan struct{}), make(chan []byte, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(begun) // the head is here, the body is on its way
		<-release
		body, _ := io.ReadAll(r.Body)
		got <- body
	}))
	defer server.Close()
	r := &requests{client: clientOf(t, server.URL), bucket: "unit-test"}
	body := bytes.Repeat([]byte{'a'}, 32<<20)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-begun
		cancel()
	}()
	if err := r.Put(ctx, "x", body); err == nil {
		t.Error("put ended well though it was given up")
	}
	for i := range body {
		body[i] = 'b'
	}
	close(release)
	if read := <-got; bytes.IndexByte(read, 'b') >= 0 {
		t.Error("the buffer was read after Put had returned")
	}
}
