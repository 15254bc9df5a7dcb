package bucket

import (
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestDirFaultsAreErrorsOfTheDoor(t *testing.T) {
	d := &Dir{root: "/data"}
	for _, c := range []struct {
		op     Op
		err    error
		want   error
		status int
		text   string
	}{
		{OpPut, syscall.ENOSPC, ErrBusy, 503, "free some space"},
		{OpPut, syscall.EDQUOT, ErrBusy, 503, "free some space"},
		{OpPut, syscall.EACCES, ErrDenied, 403, "write permission"},
		{OpPut, syscall.EROFS, ErrDenied, 403, "write permission"},
		{OpPut, syscall.EEXIST, ErrExists, 412, ""},
		{OpPut, syscall.ENOENT, ErrBusy, 500, ""},
		{OpPut, syscall.EIO, ErrBusy, 500, "input/output"},
		{OpGet, syscall.ENOENT, ErrNotFound, 404, ""},
		{OpGet, syscall.ENOTDIR, ErrNotFound, 404, ""},
		{OpGet, ErrRange, ErrRange, 416, ""},
		{OpGet, syscall.EIO, ErrBusy, 500, "input/output"},
	} {
		var seen []Attempt
		ctx := WithObserver(t.Context(), func(a Attempt) { seen = append(seen, a) })
		err := d.reportResult(ctx, Attempt{Op: c.op, Name: "a/b", Status: 200, Bytes: 3}, &wrapped{c.err})
		for _, kind := range []error{ErrBusy, ErrDenied, ErrExists, ErrNotFound, ErrRange} {
			if errors.Is(err, kind) != (kind == c.want) {
				t.Errorf("%v %v: %v, want %v alone", c.op, c.err, err, c.want)
			}
		}
		if !strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), `"a/b"`) {
			t.Errorf("%v %v: %v, want it to name the object and %q", c.op, c.err, err, c.text)
		}
		if len(seen) != 1 || seen[0].Status != c.status {
			t.Errorf("%v %v: reported %v, want status %d", c.op, c.err, seen, c.status)
		}
	}
}

// What the kernel says of one folder's sync is said once; nothing is promised after it.
func TestDirPromisesNothingAfterAFolderCouldNotBeSynced(t *testing.T) {
	d, err := OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	gone := d.addFolder(filepath.Join(d.root, "gone"))
	if err := d.syncEntries(gone); err == nil {
		t.Fatal("sync of a folder that is not there went well")
	}
	if err := d.Put(t.Context(), "elsewhere/x", nil); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "gone") {
		t.Errorf("put after a failed sync: %v, want an error that names the folder", err)
	}
	if infos, err := d.List(t.Context(), "", "", 0); err != nil || len(infos) != 0 {
		t.Errorf("list: %v, %v; want nothing", infos, err)
	}
}

func TestDirPathsAreWhatTheCommentSays(t *testing.T) {
	for name, want := range map[string]string{
		"main/1/wal/00a4.obj": "main/1/wal/00a4.obj", "main/.tmp/x y": "main/%2Etmp/x%20y", ".lock": "%2Elock", "é%": "%C3%A9%25",
	} {
		if got, err := dirPath(name); err != nil || filepath.ToSlash(got) != want {
			t.Errorf("%q: %q, %v; want %q", name, got, err, want)
		}
	}
	if _, err := dirPath(strings.Repeat("é", 127)); err == nil {
		t.Error("a segment that is too long as a file name was accepted")
	}
}

func FuzzDirPath(f *testing.F) {
	for _, seed := range []string{"a/b", "..", "../../etc/passwd", "/abs", ".tmp/x", ".lock", "a//b", "%2E%2E/x", "a%", "é/\xff", "~", "-x", "a/./b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if segment, ok := unescapeSegment(name); ok && escapeSegment(segment) != name {
			t.Fatalf("file name %q is segment %q, whose file name is %q", name, segment, escapeSegment(segment))
		}
		if CheckName(name) != nil {
			return
		}
		path, err := dirPath(name)
		if err != nil {
			return
		}
		if !filepath.IsLocal(path) || filepath.Clean(path) != path {
			t.Fatalf("%q maps to %q, which leaves the folder", name, path)
		}
		segments := strings.Split(filepath.ToSlash(path), "/")
		for i, file := range segments {
			if strings.HasPrefix(file, ".") {
				t.Fatalf("%q maps to %q, which is hidden or ours", name, path)
			}
			segment, ok := unescapeSegment(file)
			if !ok {
				t.Fatalf("%q maps to %q, whose segment %q does not map back", name, path, file)
			}
			segments[i] = segment
		}
		if back := strings.Join(segments, "/"); back != name {
			t.Fatalf("%q maps to %q, and that back to %q", name, path, back)
		}
	})
}

type wrapped struct{ error }

func (w *wrapped) Unwrap() error { return w.error }
