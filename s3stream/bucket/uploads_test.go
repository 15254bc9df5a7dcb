package bucket_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/zonewise/zonewise/s3stream/bucket"
)

// What a killed process left in the folder of temporary files is found by its age,
// also while others have the bucket open, when nothing cleans up at the start.
func TestDirAbortsWhatAKilledProcessLeft(t *testing.T) {
	root := t.TempDir()
	d := openDir(t, root)
	if err := d.Put(t.Context(), "c/kept", nil); err != nil {
		t.Fatal(err)
	}
	old, young := filepath.Join(root, ".tmp", "1-1-1"), filepath.Join(root, ".tmp", "2-2-2")
	for _, path := range []string{old, young} {
		if err := os.WriteFile(path, []byte("half"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	begun := time.Now().Add(-48 * time.Hour)
	if err := os.Chtimes(old, begun, begun); err != nil {
		t.Fatal(err)
	}
	b := bucket.Prefix(bucket.Retry(d, bucket.DefaultRetry()), "c").(bucket.UploadAborter)
	found, err := b.ListUploads(t.Context(), "", 24*time.Hour)
	if err != nil || len(found) != 1 || found[0].ID != "1-1-1" || found[0].Begun != begun.UnixMilli() {
		t.Fatalf("temporary files older than a day: %v, %v; want one", found, err)
	}
	for range 2 { // an absent one is fine
		if aborted, err := b.AbortUploads(t.Context(), found...); err != nil || aborted != 1 {
			t.Errorf("aborted %d, %v; want 1", aborted, err)
		}
	}
	for path, stays := range map[string]bool{old: false, young: true, filepath.Join(root, "c/kept"): true} {
		if _, err := os.Stat(path); (err == nil) != stays {
			t.Errorf("%s: %v, stays should be %v", path, err, stays)
		}
	}
	for _, id := range []string{"", ".", "..", "../c/kept", "/c", "a/b"} {
		if aborted, err := d.AbortUploads(t.Context(), bucket.Upload{ID: id}); err == nil || aborted != 0 {
			t.Errorf("an upload %q was aborted", id)
		}
	}
	if _, ok := bucket.Prefix(bucket.Retry(bucket.NewMem(), bucket.DefaultRetry()), "c").(bucket.UploadAborter); ok {
		t.Error("a bucket without uploads has them behind wrappers")
	}
}
