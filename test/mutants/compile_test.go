package main

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// goPackage is what go list tells of a package.
type goPackage struct {
	ImportPath, Dir, Export string
	GoFiles                 []string
}

// A mutant that does not compile breaks nothing. Renames leave names behind that
// occur only in what a mutant puts in place. Types are checked, nothing is built.
func TestEveryMutantCompiles(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	packages := listPackages(t, root)
	h := &harness{root: root, temp: t.TempDir()}
	for i, m := range slices.Concat(promiseMutants(), storagePromises(), fixedBugs()) {
		overlay, err := h.writeOverlay(i, m)
		if err == nil {
			err = checkTypes(packages, root, overlay)
		}
		if err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
	planted, err := h.writeOverlay(-1, mutant{edits: []edit{{"metadata/apply.go", "package metadata\n", "package metadata\n\nvar _ = noSuchName\n"}}})
	if err != nil || checkTypes(packages, root, planted) == nil {
		t.Errorf("a mutant with an unknown name passes: %v", err)
	}
}

// listPackages returns this module's packages and all that they import, with
// the files that hold their exported types.
func listPackages(t *testing.T, root string) map[string]goPackage {
	t.Helper()
	list := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles", "./...")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := map[string]goPackage{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages[p.ImportPath] = p
	}
}

// checkTypes checks the packages whose files an overlay replaces.
func checkTypes(packages map[string]goPackage, root, overlay string) error {
	body, err := os.ReadFile(overlay)
	if err != nil {
		return err
	}
	var replaced struct{ Replace map[string]string }
	if err := json.Unmarshal(body, &replaced); err != nil {
		return err
	}
	dirs := map[string]bool{}
	for path := range replaced.Replace {
		dirs[filepath.Dir(path)] = true
	}
	for _, p := range packages {
		if !dirs[p.Dir] || !strings.HasPrefix(p.Dir, root) {
			continue
		}
		fset := token.NewFileSet()
		var files []*ast.File
		for _, name := range p.GoFiles {
			path := filepath.Join(p.Dir, name)
			if other, ok := replaced.Replace[path]; ok {
				path = other
			}
			f, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			files = append(files, f)
		}
		exported := func(path string) (io.ReadCloser, error) { return os.Open(packages[path].Export) }
		config := types.Config{Importer: importer.ForCompiler(fset, "gc", exported), GoVersion: "go1.26"}
		if _, err := config.Check(p.ImportPath, fset, files, nil); err != nil {
			return err
		}
	}
	return nil
}
