package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Names in backticks that look like Go identifiers (`State.Apply`,
// `wal.Open`, `Checkpointer`) and packages or files (`metadata/placement.go`)
// in these documents must exist.
var checkedDocs = []string{"ARCHITECTURE.md", "README.md", "CONTRIBUTING.md", "docs/broker-configs.md"}

var quoted = regexp.MustCompile("`([^`\n]+)`")
var goName = regexp.MustCompile(`^(?:([a-z][a-z0-9]*)\.)?([A-Z][A-Za-z0-9]*)(?:\.([A-Z][A-Za-z0-9]*))?(?:\(\))?$`)
var repoPath = regexp.MustCompile(`^(?:\.?[a-z0-9_.-]+/)+[A-Za-z0-9_.-]*$|^[A-Za-z0-9_-]+\.(?:go|md)$`)

func TestDocsNameWhatExists(t *testing.T) {
	root := "../.."
	names := declaredNames(t, root)
	for _, doc := range checkedDocs {
		body, err := os.ReadFile(filepath.Join(root, doc))
		if err != nil {
			t.Fatal(err)
		}
		checked := 0
		for _, m := range quoted.FindAllStringSubmatch(string(body), -1) {
			text := m[1]
			if g := goName.FindStringSubmatch(text); g != nil {
				checked++
				if !nameExists(names, g[1], g[2], g[3]) {
					t.Errorf("%s names `%s`, which does not exist", doc, text)
				}
				continue
			}
			if repoPath.MatchString(text) {
				checked++
				if _, err := os.Stat(filepath.Join(root, strings.TrimSuffix(text, "/"))); err != nil && !isGenerated(text) {
					t.Errorf("%s names the path `%s`, which does not exist", doc, text)
				}
			}
		}
		if doc == "ARCHITECTURE.md" && checked < 40 {
			t.Errorf("%s: only %d names checked", doc, checked)
		}
	}
}

// isGenerated paths exist only after a build or in a bucket.
func isGenerated(path string) bool {
	for _, p := range []string{"bin/", "data/", "archive/", "checkpoint/", "wal/", "log/", "duty/", "session/", "incarnation/", "api/", "peer/"} {
		if strings.HasPrefix(path, p) {
			return true
		}
	}
	return false
}

// declaredNames collects exported top-level names and methods, by package.
func declaredNames(t *testing.T, root string) map[string]map[string]bool {
	t.Helper()
	out := map[string]map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules" || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil // generated or foreign modules are not our concern
		}
		pkg := strings.TrimSuffix(f.Name.Name, "_test")
		if out[pkg] == nil {
			out[pkg] = map[string]bool{}
		}
		for _, decl := range f.Decls {
			addNames(out[pkg], decl)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func addNames(names map[string]bool, decl ast.Decl) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		names[d.Name.Name] = true
		if d.Recv != nil && len(d.Recv.List) == 1 {
			recv := d.Recv.List[0].Type
			if star, ok := recv.(*ast.StarExpr); ok {
				recv = star.X
			}
			if id, ok := recv.(*ast.Ident); ok {
				names[id.Name+"."+d.Name.Name] = true
			}
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				names[s.Name.Name] = true
				addMembers(names, s)
			case *ast.ValueSpec:
				for _, n := range s.Names {
					names[n.Name] = true
				}
			}
		}
	}
}

func addMembers(names map[string]bool, s *ast.TypeSpec) {
	var fields *ast.FieldList
	switch x := s.Type.(type) {
	case *ast.StructType:
		fields = x.Fields
	case *ast.InterfaceType:
		fields = x.Methods
	}
	if fields == nil {
		return
	}
	for _, f := range fields.List {
		for _, n := range f.Names {
			names[s.Name.Name+"."+n.Name] = true
		}
	}
}

func nameExists(names map[string]map[string]bool, pkg, name, member string) bool {
	full := name
	if member != "" {
		full += "." + member
	}
	if pkg != "" {
		return names[pkg][full]
	}
	for _, in := range names {
		if in[full] {
			return true
		}
	}
	return false
}
