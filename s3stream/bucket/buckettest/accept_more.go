package buckettest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/zonewise/zonewise/s3stream/bucket"
)

func testOddNames(t *testing.T, b bucket.Bucket) {
	names := []string{
		"main/2/wal/00000000000004a1/low/0000000000000007", "dots/a..b", "dots/.hidden", "percent/%41", "percent/A",
		"space/a b", "plus/a+b", "amp/a&b=c", "utf/zürich-é-漢字", "quote/'\"", "long/" + strings.Repeat("x", 120),
		"deep/1/2/3/4/5/6/7/8/9", "tilde/~", "brackets/[1](2){3}", "hash/#?", "at/@,;:!$*",
	}
	for _, name := range names {
		mustPut(t, b, name, "body of "+name)
	}
	for _, name := range names {
		wantGet(t, b, name, 0, -1, "body of "+name)
	}
	slices.Sort(names)
	wantList(t, b, "", "", 0, names...)
	if deleted, err := b.Delete(t.Context(), names...); err != nil || !slices.Equal(deleted, names) {
		t.Fatalf("delete: confirmed %q, %v; want %q", deleted, err, names)
	}
	wantList(t, b, "", "", 0)
}

func testBadNames(t *testing.T, b bucket.Bucket) {
	for _, name := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", "a\x00b", "a\nb", "a\xffb",
		strings.Repeat("a/", 512) + "b", strings.Repeat("a", 256),
	} {
		sent := countAttempts(t.Context(), func(ctx context.Context) {
			if err := b.Put(ctx, name, []byte("x")); err == nil || isBucketError(err) {
				t.Errorf("put %q: %v, want a refusal", name, err)
			}
			if _, err := b.Get(ctx, name, 0, -1); err == nil || isBucketError(err) {
				t.Errorf("get %q: %v, want a refusal", name, err)
			}
			if deleted, err := b.Delete(ctx, "fine", name); err == nil || isBucketError(err) || len(deleted) != 0 {
				t.Errorf("delete %q: confirmed %q, %v; want a refusal", name, deleted, err)
			}
		})
		if len(sent) != 0 {
			t.Errorf("name %q was sent: %v", name, sent)
		}
	}
}

func isBucketError(err error) bool {
	for _, kind := range []error{bucket.ErrNotFound, bucket.ErrExists, bucket.ErrRange, bucket.ErrDenied, bucket.ErrBusy} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

func testBuffers(t *testing.T, b bucket.Bucket) {
	body := []byte("original")
	if err := b.Put(t.Context(), "buffer", body); err != nil {
		t.Fatal(err)
	}
	copy(body, "REWRITTEN")
	got, err := b.Get(t.Context(), "buffer", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	clear(got)
	wantGet(t, b, "buffer", 0, -1, "original")
}

func testAttempts(t *testing.T, b bucket.Bucket) {
	ctx := bucket.WithCause(t.Context(), bucket.CauseWAL)
	var got []bucket.Attempt
	var mu sync.Mutex
	ctx = bucket.WithObserver(ctx, func(a bucket.Attempt) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, a)
	})
	outer := 0
	ctx = bucket.WithObserver(ctx, func(bucket.Attempt) { outer++ })

	_ = b.Put(ctx, "r/1", []byte("12345"))
	_ = b.Put(ctx, "r/1", []byte("1234567"))
	_, _ = b.Get(ctx, "r/1", 0, -1)
	_, _ = b.Get(ctx, "r/1", 1, 3)
	_, _ = b.Get(ctx, "r/1", -2, -1)
	_, _ = b.Get(ctx, "r/1", 5, -1)
	_, _ = b.Get(bucket.WithCause(ctx, bucket.CauseFetch), "r/2", 0, -1)
	_, _ = b.Get(ctx, "r/1", 2, 0) // sends nothing
	_, _ = b.List(ctx, "r/", "", 0)
	_, _ = b.List(ctx, "s/", "", 10)
	_, _ = b.Delete(ctx, "r/1")
	_, _ = b.Delete(ctx, "r/1", "r/2")
	_, _ = b.Delete(ctx) // sends nothing

	want := []bucket.Attempt{
		{Op: bucket.OpPut, Name: "r/1", Status: 200, Bytes: 5, Cause: bucket.CauseWAL},
		{Op: bucket.OpPut, Name: "r/1", Status: 412, Bytes: 7, Cause: bucket.CauseWAL},
		{Op: bucket.OpGet, Name: "r/1", Status: 200, Bytes: 5, Cause: bucket.CauseWAL},
		{Op: bucket.OpGet, Name: "r/1", Status: 206, Bytes: 3, Cause: bucket.CauseWAL},
		{Op: bucket.OpGet, Name: "r/1", Status: 206, Bytes: 2, Cause: bucket.CauseWAL},
		{Op: bucket.OpGet, Name: "r/1", Status: 416, Cause: bucket.CauseWAL},
		{Op: bucket.OpGet, Name: "r/2", Status: 404, Cause: bucket.CauseFetch},
		{Op: bucket.OpList, Name: "r/", Status: 200, Cause: bucket.CauseWAL},
		{Op: bucket.OpList, Name: "s/", Status: 200, Cause: bucket.CauseWAL},
		{Op: bucket.OpDelete, Name: "r/1", Status: 204, Cause: bucket.CauseWAL},
		{Op: bucket.OpDelete, Name: "r/1", Status: 200, Cause: bucket.CauseWAL},
	}
	for i := range got { // what is below a prefix reports full names
		if i < len(want) && strings.HasSuffix(got[i].Name, "/"+want[i].Name) {
			got[i].Name = want[i].Name
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("attempts reported:\n got %v\nwant %v", got, want)
	}
	if outer != len(want) {
		t.Errorf("the inner observer saw %d attempts, want %d", outer, len(want))
	}
	for _, a := range got {
		if !a.Billable() {
			t.Errorf("%v is not billable", a)
		}
	}
}

func testEndedContext(t *testing.T, b bucket.Bucket) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	sent := countAttempts(ended, func(ctx context.Context) {
		_, errGet := b.Get(ctx, "x", 0, -1)
		_, errList := b.List(ctx, "", "", 0)
		_, errDelete := b.Delete(ctx, "x")
		for _, err := range []error{b.Put(ctx, "x", nil), errGet, errList, errDelete} {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("request under an ended context: %v, want context.Canceled", err)
			}
		}
	})
	if len(sent) != 0 {
		t.Errorf("requests under an ended context: %v", sent)
	}
	wantList(t, b, "", "", 0)
}

// countAttempts runs f under an observer and returns what it reported.
func countAttempts(ctx context.Context, f func(context.Context)) []bucket.Attempt {
	var mu sync.Mutex
	var seen []bucket.Attempt
	f(bucket.WithObserver(ctx, func(a bucket.Attempt) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, a)
	}))
	return seen
}

func mustPut(t *testing.T, b bucket.Bucket, name, body string) {
	t.Helper()
	if err := b.Put(t.Context(), name, []byte(body)); err != nil {
		t.Fatalf("put %q: %v", name, err)
	}
}

func wantGet(t *testing.T, b bucket.Bucket, name string, off, length int64, want string) {
	t.Helper()
	got, err := b.Get(t.Context(), name, off, length)
	if err != nil || !bytes.Equal(got, []byte(want)) {
		t.Errorf("get %q %d+%d: %q, %v; want %q", name, off, length, got, err, want)
	}
}

func wantList(t *testing.T, b bucket.Bucket, prefix, after string, limit int, want ...string) {
	t.Helper()
	infos, err := b.List(t.Context(), prefix, after, limit)
	if err != nil {
		t.Errorf("list %q after %q: %v", prefix, after, err)
		return
	}
	got := make([]string, len(infos))
	for i, info := range infos {
		got[i] = info.Name
	}
	if !slices.Equal(got, want) {
		t.Errorf("list %q after %q limit %d: %d names %.200q, want %d %.200q", prefix, after, limit, len(got), got, len(want), want)
	}
}
