//go:build performance

package performance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zonewise/zonewise/test/testenv/cluster"
)

// publishSection prints a section and writes it to the file that
// ZONEWISE_REPORT names, between the two comments with its name.
func publishSection(t *testing.T, section, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		t.Logf("MEASURED %s", strings.TrimRight(line, "\n"))
	}
	path := os.Getenv("ZONEWISE_REPORT")
	if path == "" {
		return
	}
	if !filepath.IsAbs(path) {
		root, err := cluster.Root()
		if err != nil {
			t.Fatal(err)
		}
		path = filepath.Join(root, path)
	}
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- "+section+": written by a run -->\n", "<!-- end of "+section+" -->"
	before, rest, ok1 := strings.Cut(string(body), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s has no section %q", path, section)
	}
	if err := os.WriteFile(path, []byte(before+begin+strings.TrimSpace(text)+"\n"+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// verdictText says whether an aim was reached.
func verdictText(reached bool) string {
	if reached {
		return "reached"
	}
	return "**not reached**"
}
