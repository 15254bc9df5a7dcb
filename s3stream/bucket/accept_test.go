package bucket_test

import (
	"testing"
	"testing/synctest"

	"github.com/zonewise/zonewise/s3stream/bucket"
	"github.com/zonewise/zonewise/s3stream/bucket/buckettest"
)

func TestMemIsABucket(t *testing.T) {
	buckettest.Accept(t, func(*testing.T) bucket.Bucket { return bucket.NewMem() })
}

func TestMemWorksInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bucket.NewMem()
		if err := b.Put(t.Context(), "x", []byte("y")); err != nil {
			t.Fatal(err)
		}
		infos, err := b.List(t.Context(), "", "", 0)
		if err != nil || len(infos) != 1 || infos[0].Modified != 946684800000 {
			t.Fatalf("list: %v, %v; want one object made at the bubble's first instant", infos, err)
		}
	})
}

func TestDirIsABucket(t *testing.T) {
	buckettest.Accept(t, func(t *testing.T) bucket.Bucket { return openDir(t, t.TempDir()) })
}

func openDir(t *testing.T, root string) *bucket.Dir {
	t.Helper()
	d, err := bucket.OpenDir(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}
