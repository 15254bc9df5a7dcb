package arch

import (
	"flag"
	"go/ast"
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
	product := 0
	for path, f := range goFiles(t, "../..") {
		if isHarness(path) {
			continue
		}
		product++
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
	if product < 100 {
		t.Fatalf("%d files of the product", product)
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

// isHarness tells what is no part of the product.
func isHarness(path string) bool {
	return strings.HasPrefix(path, "../../test/") || strings.HasPrefix(path, "../../internal/arch/")
}
