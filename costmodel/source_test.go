package costmodel

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// I13: money is never a floating point number. The test reads the source of
// this package, of the one that splits and of the one with the quantities, tests
// included.
func TestNoFloatingPointInTheMoneyPackages(t *testing.T) {
	for _, dir := range []string{".", filepath.Join("..", "internal", "apportion"), filepath.Join("..", "internal", "costkeys")} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
				return err
			}
			src, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, fault := range floats(t, path, string(src)) {
				t.Error(fault)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheFloatCheckFindsEveryWayToHaveOne(t *testing.T) {
	for _, line := range []string{
		"var x float64", "var x float32", "var x = 1.5", "var x = 1e9", "var x = complex128(0)", "var x = 2i",
		"var x = new(big.Float)", "var x, _ = r.Float64()", "var x, _ = strconv.ParseFloat(s, 64)", "var x = math.Floor(y)",
	} {
		if len(floats(t, "x.go", "package x\n"+line)) == 0 {
			t.Errorf("%q passed", line)
		}
	}
	if faults := floats(t, "x.go", "package x\nvar x = math.MaxInt64\nvar y = big.NewRat(1, 2)"); len(faults) != 0 {
		t.Errorf("found floats where there are none: %v", faults)
	}
}

// floats returns where a source file has to do with floating point.
func floats(t *testing.T, path, src string) []string {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, src, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var faults []string
	report := func(n ast.Node, what string) { faults = append(faults, set.Position(n.Pos()).String()+": "+what) }
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			if n.Kind == token.FLOAT || n.Kind == token.IMAG {
				report(n, "literal "+n.Value)
			}
		case *ast.Ident:
			switch n.Name {
			case "float64", "float32", "complex128", "complex64", "Float", "Float64", "Float32", "ParseFloat":
				report(n, n.Name)
			}
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == "math" && !strings.HasPrefix(n.Sel.Name, "Max") && !strings.HasPrefix(n.Sel.Name, "Min") {
				report(n, "math."+n.Sel.Name)
			}
		}
		return true
	})
	return faults
}
