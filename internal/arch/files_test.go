package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// goFiles parses the files of this module below root, tests left out.
func goFiles(t *testing.T, root string) map[string]*ast.File {
	t.Helper()
	files := allGoFiles(t, root)
	for path := range files {
		if strings.HasSuffix(path, "_test.go") {
			delete(files, path)
		}
	}
	return files
}

// allGoFiles parses the files of this module below root, tests included.
func allGoFiles(t *testing.T, root string) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules" || d.Name() == "testdata" || foreignModule(path)):
			return filepath.SkipDir
		case !strings.HasSuffix(path, ".go"):
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
		files[path] = f
		return err
	})
	least := 20
	if root == "../.." {
		least = 200
	}
	if err != nil || len(files) < least {
		t.Fatalf("%d files below %s, %v", len(files), root, err)
	}
	return files
}

// foreignModule reports whether a folder below the root is a module of its own.
func foreignModule(path string) bool {
	mods, _ := filepath.Glob(filepath.Join(path, "go.mod"))
	return len(mods) > 0 && filepath.Clean(path) != filepath.Clean("../..")
}

func parse(t *testing.T, source string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "planted.go", source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
