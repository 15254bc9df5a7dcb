package report

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// A section is replaced, and the text around it stays.
func TestWriteReplacesOneSectionOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "doc.md")
	const before = "a\n<!-- one: written by a run -->\nold\n<!-- end of one -->\nb\n<!-- two: written by a run -->\nkept\n<!-- end of two -->\n"
	if err := os.WriteFile(path, []byte(before), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, "one", "new\nlines\n"); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const want = "a\n<!-- one: written by a run -->\nnew\nlines\n<!-- end of one -->\nb\n<!-- two: written by a run -->\nkept\n<!-- end of two -->\n"
	if string(got) != want {
		t.Errorf("document is now\n%s", got)
	}
	if err := Write(path, "three", "x"); !errors.Is(err, ErrNoSection) {
		t.Errorf("a section that is not there: %v", err)
	}
}
