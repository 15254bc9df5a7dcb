package arch

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write golden files anew")

// Names that others depend on must not change unnoticed. Tests of cmd/zonewise check
// flags (by help texts), of internal/node metrics, of metadata/etcdlog etcd's keys,
// and the golden files of their packages stored formats. This test checks the fields
// of JSON: of the API, of reports and of stored values.
func TestJSONFieldsAreTheGoldenOnes(t *testing.T) {
	var fields []string
	for _, path := range productFiles(t) {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		dir := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(path)), "../../")
		ast.Inspect(f, func(n ast.Node) bool {
			if field, ok := n.(*ast.Field); ok && field.Tag != nil {
				tag := reflect.StructTag(strings.Trim(field.Tag.Value, "`"))
				if name, ok := tag.Lookup("json"); ok {
					fields = append(fields, dir+" "+name)
				}
			}
			return true
		})
	}
	slices.Sort(fields)
	got := strings.Join(fields, "\n") + "\n"
	const golden = "testdata/json-fields.txt"
	if *rewrite {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("fields of JSON have changed: who reads them breaks. If that is meant, say so in CHANGELOG.md and accept it with -rewrite; now they are:\n%s", got)
	}
}

// productFiles are the Go files of the product: no tests, no harness.
func productFiles(t *testing.T) (files []string) {
	t.Helper()
	harness := map[string]bool{".git": true, "node_modules": true, "testdata": true, "arch": true, "sim": true, "oracle": true, "suites": true,
		"testenv": true, "tools": true, "mutants": true, "listappend": true, "test": true}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && harness[d.Name()]:
			return filepath.SkipDir
		case strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go"):
			files = append(files, path)
		}
		return nil
	})
	if err != nil || len(files) < 100 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	return files
}
