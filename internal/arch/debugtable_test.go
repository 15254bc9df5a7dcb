package arch

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var quotedFile = regexp.MustCompile("`([a-z0-9_/]+\\.go)`")

// CONTRIBUTING.md's table "If you debug X, start at Y" leads to functions that
// exist, in files that the row names.
func TestDebugTableLeadsToFunctions(t *testing.T) {
	body, err := os.ReadFile("../../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(body), "## If you debug X, start at Y")
	files := goFiles(t, "../..")
	rows := 0
	for _, line := range strings.Split(table, "\n") {
		column := strings.Split(line, "|")
		if len(column) != 5 || !strings.Contains(column[2], ".go`") {
			continue
		}
		rows++
		declared := map[string]bool{}
		for _, m := range quotedFile.FindAllStringSubmatch(line, -1) {
			f := files[filepath.Join("../..", m[1])]
			if f == nil {
				t.Errorf("%s: no file %s", column[1], m[1])
				continue
			}
			for _, decl := range f.Decls {
				if fn, ok := decl.(*ast.FuncDecl); ok {
					declared[functionName(fn)] = true
				}
			}
		}
		for _, m := range quoted.FindAllStringSubmatch(column[3], -1) {
			if name := m[1]; !strings.HasSuffix(name, ".go") && !declared[name] {
				t.Errorf("%s: %s is in none of the row's files", column[1], name)
			}
		}
	}
	if !found || rows < 30 {
		t.Errorf("%d rows", rows)
	}
}

// functionName is a function's name, after its receiver's type and a dot.
func functionName(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return fn.Name.Name
	}
	of := fn.Recv.List[0].Type
	for {
		switch x := of.(type) {
		case *ast.StarExpr:
			of = x.X
		case *ast.IndexExpr:
			of = x.X
		case *ast.IndexListExpr:
			of = x.X
		case *ast.Ident:
			return x.Name + "." + fn.Name.Name
		default:
			return fn.Name.Name
		}
	}
}
