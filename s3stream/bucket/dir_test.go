package bucket_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/zonewise/zonewise/s3stream/bucket"
)

func TestDirKeepsObjectsAcrossAReopen(t *testing.T) {
	root := filepath.Join(t.TempDir(), "made", "by", "open")
	first := openDir(t, root)
	if err := first.Put(t.Context(), "main/1/wal/a", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	again := openDir(t, root) // as after kill -9: the first was not closed
	body, err := again.Get(t.Context(), "main/1/wal/a", 0, -1)
	if err != nil || string(body) != "kept" {
		t.Errorf("after a reopen: %q, %v", body, err)
	}
	if err := again.Put(t.Context(), "main/1/wal/a", []byte("other")); !errors.Is(err, bucket.ErrExists) {
		t.Errorf("put over it after a reopen: %v, want ErrExists", err)
	}
}

func TestDirCleansUpWhatACrashLeftWhenAlone(t *testing.T) {
	root := t.TempDir()
	d, err := bucket.OpenDir(root)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Put(t.Context(), "a/b/kept", nil); err != nil {
		t.Fatal(err)
	}
	if err := d.Put(t.Context(), "a/empty/folder/x", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Delete(t.Context(), "a/empty/folder/x"); err != nil {
		t.Fatal(err)
	}
	leftover := filepath.Join(root, ".tmp", "half-written")
	if err := os.WriteFile(leftover, []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	if infos, err := d.List(t.Context(), "", "", 0); err != nil || len(infos) != 1 {
		t.Errorf("list: %v, %v; want one object and not the leftover", infos, err)
	}

	second, err := bucket.OpenDir(root)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(leftover); err != nil {
		t.Errorf("opened beside another one, and yet cleaned up: %v", err)
	}
	if err := errors.Join(second.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	openDir(t, root)
	for path, stays := range map[string]bool{leftover: false, filepath.Join(root, "a/empty"): false, filepath.Join(root, "a/b/kept"): true} {
		if _, err := os.Stat(path); (err == nil) != stays {
			t.Errorf("%s after a clean open: %v, stays should be %v", path, err, stays)
		}
	}
}

func TestDirLeavesNoTemporaryFileBehind(t *testing.T) {
	root := t.TempDir()
	d := openDir(t, root)
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() { _ = d.Put(t.Context(), fmt.Sprintf("shared/%d/x", i%4), []byte("raced for")) })
	}
	wg.Wait()
	if left, err := os.ReadDir(filepath.Join(root, ".tmp")); err != nil || len(left) != 0 {
		t.Errorf("temporary files: %v, %v", left, err)
	}
	if infos, err := d.List(t.Context(), "", "", 0); err != nil || len(infos) != 4 {
		t.Errorf("list: %v, %v; want 4 objects", infos, err)
	}
}

func TestDirSaysWhenANameIsAFolderOfAnother(t *testing.T) {
	d := openDir(t, t.TempDir())
	for _, name := range []string{"file", "folder/x"} {
		if err := d.Put(t.Context(), name, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Put(t.Context(), "file/below", nil); err == nil || !strings.Contains(err.Error(), "folder") {
		t.Errorf("put below an object: %v", err)
	}
	if err := d.Put(t.Context(), "folder", nil); err == nil {
		t.Error("put of an object where a folder is was accepted")
	}
}

func TestDirIgnoresFilesThatAreNotObjects(t *testing.T) {
	root := t.TempDir()
	d := openDir(t, root)
	if err := d.Put(t.Context(), "a/b", nil); err != nil {
		t.Fatal(err)
	}
	for _, stray := range []string{".DS_Store", "a/with space", "a/%zz", "a/%41", "a/.hidden"} {
		if err := os.WriteFile(filepath.Join(root, stray), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	if infos, err := d.List(t.Context(), "", "", 0); err != nil || len(infos) != 1 || infos[0].Name != "a/b" {
		t.Errorf("list: %v, %v; want a/b only", infos, err)
	}
}

func TestDirSaysWhyItCannotBeOpened(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := bucket.OpenDir(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("open of a file: %v, want an error that names it", err)
	}
}

func BenchmarkDirPut4KiB(b *testing.B) {
	d, err := bucket.OpenDir(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	body := make([]byte, 4096)
	var worker atomic.Int64
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		id := worker.Add(1)
		for i := 0; pb.Next(); i++ {
			if err := d.Put(b.Context(), fmt.Sprintf("main/1/wal/%d-%d", id, i), body); err != nil {
				b.Error(err)
			}
		}
	})
}
