// Package buckettest holds the acceptance test of any bucket.Bucket: what an
// implementation, or a stack of wrappers, must do to be one.
package buckettest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/zonewise/zonewise/s3stream/bucket"
)

// Accept runs the acceptance test. open is called once per part and returns a
// bucket that is empty; it cleans up with t.Cleanup.
func Accept(t *testing.T, open func(t *testing.T) bucket.Bucket) {
	parts := []struct {
		name string
		run  func(*testing.T, bucket.Bucket)
	}{
		{"put once, read back, and a second put is refused", testPutOnce},
		{"of racing creates exactly one wins", testRacingCreates},
		{"ranges and suffixes are those asked for", testRanges},
		{"what is absent is ErrNotFound", testAbsent},
		{"list is sorted, after, by prefix, and limited", testListing},
		{"list turns pages by itself", testManyNames},
		{"delete removes, and what is absent is confirmed", testDeleting},
		{"a big object comes back as it went", testBigObject},
		{"an empty object is an object", testEmptyObject},
		{"names with segments and odd characters are kept", testOddNames},
		{"names that cannot be kept are refused unsent", testBadNames},
		{"buffers belong to the caller before and after", testBuffers},
		{"each request is reported once with its status", testAttempts},
		{"a context that has ended sends nothing", testEndedContext},
	}
	for _, part := range parts {
		t.Run(part.name, func(t *testing.T) { part.run(t, open(t)) })
	}
}

func testPutOnce(t *testing.T, b bucket.Bucket) {
	mustPut(t, b, "a/one", "first")
	if err := b.Put(t.Context(), "a/one", []byte("second")); !errors.Is(err, bucket.ErrExists) {
		t.Fatalf("second put: %v, want ErrExists", err)
	}
	if err := b.Put(t.Context(), "a/one", []byte("first")); !errors.Is(err, bucket.ErrExists) {
		t.Fatalf("second put of the same bytes: %v, want ErrExists", err)
	}
	wantGet(t, b, "a/one", 0, -1, "first")
}

func testRacingCreates(t *testing.T, b bucket.Bucket) {
	const racers = 16
	for round := range 4 {
		name := fmt.Sprintf("race/%d", round)
		errs := make([]error, racers)
		var wg sync.WaitGroup
		for i := range racers {
			wg.Go(func() { errs[i] = b.Put(t.Context(), name, fmt.Appendf(nil, "racer %d", i)) })
		}
		wg.Wait()
		winner := -1
		for i, err := range errs {
			switch {
			case err == nil && winner >= 0:
				t.Fatalf("racers %d and %d both won", winner, i)
			case err == nil:
				winner = i
			case !errors.Is(err, bucket.ErrExists):
				t.Fatalf("racer %d: %v, want ErrExists", i, err)
			}
		}
		if winner < 0 {
			t.Fatal("nobody won")
		}
		wantGet(t, b, name, 0, -1, fmt.Sprintf("racer %d", winner))
	}
}

func testRanges(t *testing.T, b bucket.Bucket) {
	mustPut(t, b, "digits", "0123456789")
	for _, c := range []struct {
		off, length int64
		want        string
	}{
		{0, -1, "0123456789"}, {0, 10, "0123456789"}, {0, 99, "0123456789"},
		{0, 1, "0"}, {3, 4, "3456"}, {9, 1, "9"}, {7, 99, "789"}, {7, -1, "789"},
		{-3, -1, "789"}, {-3, 1, "789"}, {-10, -1, "0123456789"}, {-99, -1, "0123456789"},
		{3, 0, ""}, {0, 0, ""},
	} {
		wantGet(t, b, "digits", c.off, c.length, c.want)
	}
	for _, off := range []int64{10, 11, 1 << 40} {
		if _, err := b.Get(t.Context(), "digits", off, 1); !errors.Is(err, bucket.ErrRange) {
			t.Errorf("get from %d of 10 bytes: %v, want ErrRange", off, err)
		}
		if _, err := b.Get(t.Context(), "digits", off, -1); !errors.Is(err, bucket.ErrRange) {
			t.Errorf("get from %d to the end of 10 bytes: %v, want ErrRange", off, err)
		}
	}
}

func testAbsent(t *testing.T, b bucket.Bucket) {
	mustPut(t, b, "folder/file", "x")
	for _, name := range []string{"nothing", "folder", "folder/nothing", "folder/file/below"} {
		for _, off := range []int64{0, 5, -5} {
			if body, err := b.Get(t.Context(), name, off, -1); !errors.Is(err, bucket.ErrNotFound) || body != nil {
				t.Errorf("get %q from %d: %q, %v, want ErrNotFound", name, off, body, err)
			}
		}
	}
	wantList(t, b, "nothing", "", 0)
	wantList(t, b, "nothing/", "", 0)
}

func testListing(t *testing.T, b bucket.Bucket) {
	// In byte order, where '-' and '.' sort before '/', '0' after it.
	names := []string{"a-b", "a.b", "a/b", "a/c-1", "a/c/1", "a/c/2", "a/c0", "a0", "b/x", "c"}
	for i, name := range slices.Backward(names) {
		mustPut(t, b, name, "12345678901234567890"[:i])
	}
	wantList(t, b, "", "", 0, names...)
	wantList(t, b, "", "", -1, names...)
	wantList(t, b, "a", "", 0, names[:8]...)
	wantList(t, b, "a/", "", 0, names[2:7]...)
	wantList(t, b, "a/c", "", 0, names[3:7]...)
	wantList(t, b, "a/c/", "", 0, names[4:6]...)
	wantList(t, b, "a/c/1", "", 0, "a/c/1")
	wantList(t, b, "z", "", 0)
	for i := range names {
		wantList(t, b, "", names[i], 0, names[i+1:]...)
		wantList(t, b, "", names[i], 3, names[i+1:min(i+4, len(names))]...)
		wantList(t, b, "", "", i+1, names[:i+1]...)
	}
	wantList(t, b, "a/", "a", 0, names[2:7]...)
	wantList(t, b, "a/", "a/c", 0, names[3:7]...)
	wantList(t, b, "a/", "a/c/", 0, names[4:7]...)
	wantList(t, b, "a/", "a/c/zzz", 0, "a/c0")
	wantList(t, b, "a/", "b", 0)

	infos, err := b.List(t.Context(), "", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, info := range infos {
		if info.Size != int64(i) || info.Modified <= 0 {
			t.Errorf("%q: size %d, modified %d; want size %d and a time", info.Name, info.Size, info.Modified, i)
		}
	}
}

func testManyNames(t *testing.T, b bucket.Bucket) {
	const n = 2*bucket.PageNames + 7
	names := make([]string, n)
	work := make(chan string)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for name := range work {
				if err := b.Put(t.Context(), name, nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range names {
		names[i] = fmt.Sprintf("many/%06d", i)
		work <- names[i]
	}
	close(work)
	wg.Wait()
	wantList(t, b, "many/", "", 0, names...)
	wantList(t, b, "many/", names[4], bucket.PageNames+1, names[5:bucket.PageNames+6]...)

	counted := countAttempts(t.Context(), func(ctx context.Context) {
		if _, err := b.List(ctx, "many/", "", 0); err != nil {
			t.Error(err)
		}
		if deleted, err := b.Delete(ctx, names...); err != nil || !slices.Equal(deleted, names) {
			t.Errorf("%d of %d deletions confirmed: %v", len(deleted), n, err)
		}
	})
	lists, deletes := 0, 0
	for _, a := range counted {
		switch a.Op {
		case bucket.OpList:
			lists++
		case bucket.OpDelete:
			deletes++
		}
	}
	if lists != 3 || deletes != 3 {
		t.Errorf("%d names took %d list and %d delete requests, want 3 and 3", n, lists, deletes)
	}
	wantList(t, b, "many/", "", 0)
}

func testDeleting(t *testing.T, b bucket.Bucket) {
	for _, name := range []string{"d/1", "d/2", "d/3", "d/4"} {
		mustPut(t, b, name, name)
	}
	for _, names := range [][]string{{}, {"d/1"}, {"d/1"}, {"nothing/at/all"}, {"d/2", "d/nothing", "d/3"}, {"d/4/below"}} {
		if deleted, err := b.Delete(t.Context(), names...); err != nil || !slices.Equal(deleted, names) {
			t.Errorf("delete %q: confirmed %q, %v; want all of them", names, deleted, err)
		}
	}
	wantList(t, b, "d/", "", 0, "d/4")
	if _, err := b.Get(t.Context(), "d/2", 0, -1); !errors.Is(err, bucket.ErrNotFound) {
		t.Errorf("get of a deleted object: %v, want ErrNotFound", err)
	}
	mustPut(t, b, "d/1", "again")
	wantGet(t, b, "d/1", 0, -1, "again")
}

func testBigObject(t *testing.T, b bucket.Bucket) {
	body := make([]byte, 9<<20+13)
	for i := range body {
		body[i] = byte(i * 2654435761 >> 13)
	}
	if err := b.Put(t.Context(), "big", body); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]int64{{0, -1}, {5 << 20, 1 << 20}, {-(1 << 20), -1}} {
		got, err := b.Get(t.Context(), "big", c[0], c[1])
		if err != nil {
			t.Fatal(err)
		}
		want := body
		switch {
		case c[0] < 0:
			want = body[int64(len(body))+c[0]:]
		case c[1] >= 0:
			want = body[c[0] : c[0]+c[1]]
		}
		if !bytes.Equal(got, want) {
			t.Errorf("get %d+%d: %d bytes that differ from the %d put", c[0], c[1], len(got), len(want))
		}
	}
}

func testEmptyObject(t *testing.T, b bucket.Bucket) {
	if err := b.Put(t.Context(), "empty", nil); err != nil {
		t.Fatal(err)
	}
	wantGet(t, b, "empty", 0, -1, "")
	wantGet(t, b, "empty", -4, -1, "")
	if _, err := b.Get(t.Context(), "empty", 0, 4); !errors.Is(err, bucket.ErrRange) {
		t.Errorf("get of 4 bytes of none: %v, want ErrRange", err)
	}
	if err := b.Put(t.Context(), "empty", []byte("x")); !errors.Is(err, bucket.ErrExists) {
		t.Errorf("put over an empty object: %v, want ErrExists", err)
	}
}
