package arch

import (
	"go/ast"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A comment is part of the code: what it names must be there.
var (
	goFileName = regexp.MustCompile(`(?:^|[\s("])((?:[a-z0-9_]+/)*[a-z0-9_]+\.go)\b`)
	firstWord  = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9]*)(?:[ ,:(]|$)`)
)

// namedFiles returns the Go files that a file's comments name.
func namedFiles(f *ast.File) (names []string) {
	for _, group := range f.Comments {
		for _, m := range goFileName.FindAllStringSubmatch(group.Text(), -1) {
			names = append(names, m[1])
		}
	}
	return names
}

// misnamedDocs returns the functions whose doc comment begins with the name of
// another function of the file's package: it was left behind by a rename.
func misnamedDocs(f *ast.File) (names []string) {
	for _, decl := range f.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok || fn.Doc == nil {
			continue
		}
		m := firstWord.FindStringSubmatch(fn.Doc.Text())
		if m == nil || m[1] == fn.Name.Name || !looksLikeName(m[1]) {
			continue
		}
		names = append(names, m[1]+" above "+functionName(fn))
	}
	return names
}

// looksLikeName tells a name from the first word of a sentence: it begins in
// lower case, or has a capital letter inside.
func looksLikeName(word string) bool {
	lower := word[0] >= 'a' && word[0] <= 'z'
	inner := strings.IndexFunc(word[1:], func(r rune) bool { return r >= 'A' && r <= 'Z' }) >= 0
	return lower || inner && strings.ToUpper(word) != word && !isProperNoun(word)
}

// isProperNoun: names of things outside the code that begin sentences.
func isProperNoun(word string) bool {
	for _, known := range []string{"Kafka", "JoinGroup", "SyncGroup", "OffsetFetch", "OffsetCommit", "ListOffsets", "DescribeGroups", "ApiVersions", "FindCoordinator",
		"ConsumerGroupHeartbeat", "WriteTxnMarkers", "AddPartitionsToTxn"} {
		if word == known {
			return true
		}
	}
	return false
}

func TestCommentsNameWhatIsThere(t *testing.T) {
	files := allGoFiles(t, "../..")
	base := map[string]bool{}
	for _, path := range allGoPaths(t, "../..") {
		base[filepath.Base(path)] = true
	}
	for path, f := range files {
		for _, name := range namedFiles(f) {
			known := base[name]
			if strings.Contains(name, "/") {
				known = files[filepath.Join("../..", name)] != nil || files[filepath.Join(filepath.Dir(path), name)] != nil
			}
			if !known && name != "nowhere.go" && name != "planted.go" {
				t.Errorf("%s: a comment names %s, which is not there", path, name)
			}
		}
		if !strings.HasSuffix(path, "_test.go") {
			for _, name := range misnamedDocs(f) {
				t.Errorf("%s: the comment begins with %s", path, name)
			}
		}
	}
	planted := parse(t, "package p\n\n// take does it, see nowhere.go.\nfunc give() {}\n")
	if len(misnamedDocs(planted)) != 1 || len(namedFiles(planted)) != 1 {
		t.Error("the gate does not find the planted offender")
	}
}

// allGoPaths are the Go files below root, those of other modules included.
func allGoPaths(t *testing.T, root string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".go") {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}
