package arch

import (
	"fmt"
	"go/ast"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Comments cite what is in the tree: documents by their path, sections by a
// number that the document has, ADRs by number, invariants as docs/design.md
// numbers them, promises as ARCHITECTURE.md does.
var (
	citedADR       = regexp.MustCompile(`\bADR (\d+)`)
	citedDocument  = regexp.MustCompile(`\b((?:docs/)[a-z0-9/_-]+\.md|ARCHITECTURE\.md|CONTRIBUTING\.md)(?:,? section (\d+))?`)
	citedSection   = regexp.MustCompile(`\b(?:[Dd]esign|[Rr]eference)(?:'s)?,? (?:\()?section`)
	citedInvariant = regexp.MustCompile(`\bI(\d{1,2})\b`)
	citedPromise   = regexp.MustCompile(`\b[Pp]romises? (\d+)`)
	sectionHeading = regexp.MustCompile(`(?m)^## (\d+)\.`)
	listedPromise  = regexp.MustCompile(`(?m)^\| (\d+)a? \|`)
	namedInvariant = regexp.MustCompile(`\*\*I(\d{1,2})\b`)
)

// sources are the documents that may be cited.
type sources struct {
	sections             map[string][]string // of a document; nil: no such document
	adrs                 map[int]bool
	promises, invariants []string
}

func readSources(t *testing.T, root string) *sources {
	t.Helper()
	s := &sources{sections: map[string][]string{}, adrs: map[int]bool{}}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules" || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".md") {
			return nil
		}
		body, err := os.ReadFile(path)
		name := strings.TrimPrefix(filepath.ToSlash(path), root+"/")
		s.sections[name] = firstGroups(sectionHeading, string(body))
		if n, ok := strings.CutPrefix(name, "docs/adr/"); ok && len(n) > 4 {
			if number, err := strconv.Atoi(n[:4]); err == nil {
				s.adrs[number] = true
			}
		}
		switch name {
		case "ARCHITECTURE.md":
			s.promises = firstGroups(listedPromise, string(body))
		case "docs/design.md":
			s.invariants = firstGroups(namedInvariant, string(body))
		}
		return err
	})
	if err != nil || len(s.adrs) < 10 || len(s.promises) < 10 {
		t.Fatalf("%d ADRs, promises %v, %v", len(s.adrs), s.promises, err)
	}
	return s
}

func firstGroups(re *regexp.Regexp, text string) (found []string) {
	for _, m := range re.FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	return found
}

// problems returns a comment's citations that do not exist in the tree.
func (s *sources) problems(comment string) (all []string) {
	for _, m := range citedADR.FindAllStringSubmatch(comment, -1) {
		if n, _ := strconv.Atoi(m[1]); !s.adrs[n] {
			all = append(all, m[0])
		}
	}
	for _, m := range citedDocument.FindAllStringSubmatch(comment, -1) {
		if sections, ok := s.sections[m[1]]; !ok || m[2] != "" && !slices.Contains(sections, m[2]) {
			all = append(all, m[0])
		}
	}
	for _, m := range citedInvariant.FindAllStringSubmatch(comment, -1) {
		if !slices.Contains(s.invariants, m[1]) {
			all = append(all, m[0])
		}
	}
	for _, m := range citedPromise.FindAllStringSubmatch(comment, -1) {
		if !slices.Contains(s.promises, m[1]) {
			all = append(all, m[0])
		}
	}
	if m := citedSection.FindString(comment); m != "" {
		all = append(all, fmt.Sprintf("%s: a document outside the tree; cite docs/design.md", m))
	}
	return all
}

func TestCommentsCiteWhatIsInTheTree(t *testing.T) {
	s := readSources(t, "../..")
	files := allGoFiles(t, "../..")
	for path, f := range files {
		for _, p := range fileProblems(s, f) {
			t.Errorf("%s cites what is not in the tree: %s", path, p)
		}
	}
	if len(files) < 200 {
		t.Fatalf("%d files", len(files))
	}
	planted := parse(t, "package p\n\n// f follows the design, section 3, ADR 999, promise 77, I99 and\n// docs/nowhere.md.\nfunc f() {}\n")
	if got := fileProblems(s, planted); len(got) != 5 {
		t.Errorf("the gate finds %q in the planted offender", got)
	}
}

func fileProblems(s *sources, f *ast.File) (all []string) {
	for _, group := range f.Comments {
		all = append(all, s.problems(strings.ReplaceAll(group.Text(), "\n", " "))...)
	}
	return all
}
