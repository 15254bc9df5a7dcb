//go:build integration

package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/zonewise/zonewise/s3stream/bucket"
	"github.com/zonewise/zonewise/s3stream/bucket/buckettest"
	"github.com/zonewise/zonewise/s3stream/bucket/s3"
	"github.com/zonewise/zonewise/test/testenv/s3server"
)

func open(t *testing.T, server *s3server.Server, prefix string) *s3.Store {
	t.Helper()
	config, err := s3.ParseURL(server.URL(prefix))
	if err != nil {
		t.Fatal(err)
	}
	config.AccessKey, config.SecretKey = server.AccessKey, server.SecretKey
	store, err := s3.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}

func TestS3IsABucket(t *testing.T) {
	server := s3server.Start(t, s3server.Options{})
	var n atomic.Int64
	buckettest.Accept(t, func(t *testing.T) bucket.Bucket {
		return open(t, server, fmt.Sprintf("accept/%d", n.Add(1)))
	})
}

func TestS3KeepsItsPromises(t *testing.T) {
	server := s3server.Start(t, s3server.Options{})
	store := open(t, server, "cluster/1")
	if err := bucket.Probe(t.Context(), store, "nonce-1"); err != nil {
		t.Fatal(err)
	}
	if left, err := store.List(t.Context(), "", "", 0); err != nil || len(left) != 0 {
		t.Errorf("after the probe: %v, %v; want nothing left", left, err)
	}
}

// versitygw takes bodies that no signature covers, and compares them with their
// checksums.
func TestS3TakesBodiesWithoutTheirHash(t *testing.T) {
	server := s3server.Start(t, s3server.Options{})
	store := open(t, server, "cluster/2")
	if err := store.SkipBodyHash(t.Context(), "nonce-2"); err != nil {
		t.Fatal(err)
	}
	if left, err := store.List(t.Context(), "", "", 0); err != nil || len(left) != 0 {
		t.Errorf("afterwards: %v, %v; want nothing left", left, err)
	}
	body := make([]byte, 9<<20)
	for i := range body {
		body[i] = byte(i * 7)
	}
	if err := store.Put(t.Context(), "x", body); err != nil {
		t.Fatal(err)
	}
	if got, err := store.Get(t.Context(), "x", 0, -1); err != nil || !bytes.Equal(got, body) {
		t.Errorf("read back %d bytes, %v", len(got), err)
	}
}

// The server's access log is the witness: it has seen as many requests of each
// kind as were reported.
func TestS3AttemptsAreWhatTheServerSaw(t *testing.T) {
	server := s3server.Start(t, s3server.Options{})
	store := open(t, server, "counted")
	reported := map[string]int{}
	ctx := bucket.WithObserver(t.Context(), func(a bucket.Attempt) {
		reported[fmt.Sprintf("%v %d", a.Op, a.Status)]++
	})
	for i := range 20 {
		name := fmt.Sprintf("o/%02d", i)
		if err := store.Put(ctx, name, []byte("0123456789")); err != nil {
			t.Fatal(err)
		}
		if i%4 == 0 {
			_ = store.Put(ctx, name, []byte("0123456789"))
			_, _ = store.Get(ctx, name+"-absent", 0, -1)
			_, _ = store.Get(ctx, name, 3, 4)
		}
	}
	if _, err := store.List(ctx, "", "", 0); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Delete(ctx, "o/00", "o/01", "o/02"); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Delete(ctx, "o/03"); err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"put 200": 20, "put 412": 5, "get 404": 5, "get 206": 5, "list 200": 1, "delete 200": 1, "delete 204": 1}
	if fmt.Sprint(reported) != fmt.Sprint(want) {
		t.Errorf("reported %v, want %v", reported, want)
	}
	seen := map[string]int{}
	for _, request := range server.Requests() {
		seen[fmt.Sprintf("%s %d", request.Operation, request.Status)]++
	}
	// This server logs ranges and deletions as 200, whatever it answers.
	want = map[string]int{"PutObject 200": 20, "PutObject 412": 5, "GetObject 404": 5, "GetObject 200": 5,
		"ListObjectsV2 200": 1, "DeleteObjects 200": 1, "DeleteObject 200": 1}
	if fmt.Sprint(seen) != fmt.Sprint(want) {
		t.Errorf("the server saw %v, want %v", seen, want)
	}
}

func TestS3WrongSecretIsDeniedAtOnce(t *testing.T) {
	server := s3server.Start(t, s3server.Options{})
	config, err := s3.ParseURL(server.URL(""))
	if err != nil {
		t.Fatal(err)
	}
	config.AccessKey, config.SecretKey = server.AccessKey, "wrong"
	store, err := s3.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	attempts := 0
	ctx := bucket.WithObserver(t.Context(), func(a bucket.Attempt) {
		attempts++
		if a.Status != http.StatusForbidden {
			t.Errorf("status %d, want 403", a.Status)
		}
	})
	if err := store.Put(ctx, "x", []byte("y")); !errors.Is(err, bucket.ErrDenied) {
		t.Errorf("put: %v, want ErrDenied", err)
	}
	if attempts != 1 {
		t.Errorf("%d attempts, want 1", attempts)
	}
}

// A server that goes away and comes back, and one that freezes: puts fail as
// busy or go on, nothing is lost, nothing is written twice.
func TestS3OutageIsBusyAndPasses(t *testing.T) {
	server := s3server.Start(t, s3server.Options{})
	config, err := s3.ParseURL(server.URL("outage"))
	if err != nil {
		t.Fatal(err)
	}
	config.AccessKey, config.SecretKey = server.AccessKey, server.SecretKey
	config.Retry = bucket.RetryConfig{Attempts: 3, Base: time.Millisecond, Cap: 10 * time.Millisecond, Timeout: time.Second, PerSecond: 1 << 20}
	store, err := s3.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := store.Put(t.Context(), "before", []byte("1")); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	var statuses []int
	ctx := bucket.WithObserver(t.Context(), func(a bucket.Attempt) { statuses = append(statuses, a.Status) })
	if err := store.Put(ctx, "during", []byte("2")); !errors.Is(err, bucket.ErrBusy) {
		t.Errorf("put while the server is down: %v, want ErrBusy", err)
	}
	if !slices.Equal(statuses, []int{0, 0, 0}) {
		t.Errorf("attempts %v, want three without an answer", statuses)
	}
	server.Restart()
	server.Pause()
	if err := store.Put(ctx, "frozen", []byte("3")); !errors.Is(err, bucket.ErrBusy) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("put while the server is frozen: %v, want ErrBusy", err)
	}
	server.Resume()
	for _, name := range []string{"during", "frozen"} {
		if err := store.Put(t.Context(), name, []byte("late")); err != nil && !errors.Is(err, bucket.ErrExists) {
			t.Errorf("put %s afterwards: %v", name, err)
		}
	}
	infos, err := store.List(t.Context(), "", "", 0)
	if err != nil || len(infos) != 3 {
		t.Errorf("afterwards: %v, %v; want three objects", infos, err)
	}
}

// Uploads that another program began below our prefix are found and removed; those of
// a neighbour are left alone.
func TestS3AbortsUploadsOfOthers(t *testing.T) {
	server := s3server.Start(t, s3server.Options{})
	store := open(t, server, "cluster")
	client := awss3.New(awss3.Options{Region: server.Region, BaseEndpoint: aws.String(server.Endpoint), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(server.AccessKey, server.SecretKey, "")})
	for _, name := range []string{"cluster/wal/1", "cluster/wal/2", "cluster2/wal/1"} {
		if _, err := client.CreateMultipartUpload(t.Context(), &awss3.CreateMultipartUploadInput{Bucket: &server.Bucket, Key: &name}); err != nil {
			t.Fatal(err)
		}
	}
	if young, err := store.ListUploads(t.Context(), "", time.Hour); err != nil || len(young) != 0 {
		t.Errorf("uploads older than an hour: %v, %v; want none", young, err)
	}
	found, err := store.ListUploads(t.Context(), "", -time.Minute)
	if err != nil || len(found) != 2 || found[0].Name != "wal/1" || found[1].Name != "wal/2" {
		t.Fatalf("uploads: %v, %v; want the two below the prefix", found, err)
	}
	if aborted, err := store.AbortUploads(t.Context(), append(found, found[0])...); err != nil || aborted != 3 {
		t.Errorf("aborted %d, %v; want 3, an absent one being fine", aborted, err)
	}
	if left, err := open(t, server, "").ListUploads(t.Context(), "", -time.Minute); err != nil || len(left) != 1 || left[0].Name != "cluster2/wal/1" {
		t.Errorf("left: %v, %v; want the neighbour's", left, err)
	}
}

func TestS3TellsItsVersioning(t *testing.T) {
	store := open(t, s3server.Start(t, s3server.Options{}), "")
	if v, err := store.Versioning(t.Context()); v != s3.VersioningOff {
		t.Errorf("versioning of a server without it: %q, %v", v, err)
	} else {
		t.Logf("%q, %v", v, err)
	}
}

func BenchmarkS3Put4KiB(b *testing.B) {
	server := s3server.Start(b, s3server.Options{})
	config, err := s3.ParseURL(server.URL("bench"))
	if err != nil {
		b.Fatal(err)
	}
	config.AccessKey, config.SecretKey = server.AccessKey, server.SecretKey
	store, err := s3.Open(b.Context(), config)
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	body := make([]byte, 4096)
	var worker atomic.Int64
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		id := worker.Add(1)
		for i := 0; pb.Next(); i++ {
			if err := store.Put(b.Context(), fmt.Sprintf("%d/%d", id, i), body); err != nil {
				b.Error(err)
			}
		}
	})
}
