package metadata

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// declaredKinds returns what the Kind method of each command type returns, as
// the source has it.
func declaredKinds(t *testing.T) map[string]CommandKind {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]CommandKind{}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		if built, err := build.Default.MatchFile(".", path); err != nil || !built {
			continue // of another build (level_next.go)
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range f.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || fn.Recv == nil || fn.Name.Name != "Kind" {
				continue
			}
			value := fn.Body.List[0].(*ast.ReturnStmt).Results[0].(*ast.BasicLit).Value
			n, err := strconv.Atoi(value)
			if err != nil {
				t.Fatal(err)
			}
			kinds[fn.Recv.List[0].Type.(*ast.Ident).Name] = CommandKind(n)
		}
	}
	return kinds
}

func TestEveryCommandHasOneRow(t *testing.T) {
	rows := map[string]CommandKind{}
	last := len(commandRows) - 1
	for commandRows[last].decode == nil {
		last--
	}
	for k, row := range commandRows {
		decode := row.decode
		unused := k == 0 || k >= 27 && k <= 39 || k > last
		if unused != (decode == nil) {
			t.Errorf("kind %d: row %v, unused %v", k, decode != nil, unused)
		}
		if decode == nil {
			continue
		}
		r := newReader(make([]byte, 256), 0)
		c := decode(&r)
		if c.Kind() != CommandKind(k) {
			t.Errorf("row %d decodes %T, whose kind is %d", k, c, c.Kind())
		}
		name := reflect.TypeOf(c).Name()
		if rows[name] != 0 {
			t.Errorf("%s has the rows %d and %d", name, rows[name], k)
		}
		rows[name] = CommandKind(k)
	}
	if declared := declaredKinds(t); !maps.Equal(rows, declared) {
		t.Errorf("rows  %v\ntypes %v", rows, declared)
	}
}

// The golden bytes cover every kind.
func TestSamplesHaveEveryCommand(t *testing.T) {
	sampled := map[CommandKind]bool{}
	for _, c := range slices.Concat(sampleEntry().Commands, txnEntry().Commands, memberEntry().Commands, storageEntry().Commands) {
		sampled[c.Kind()] = true
	}
	for k, row := range commandRows {
		if row.decode != nil && !sampled[CommandKind(k)] {
			t.Errorf("no sample entry has a command of kind %d", k)
		}
	}
}

func TestACommandBelowItsLevelIsRefused(t *testing.T) {
	e := sampleEntry()
	e.Level = MinFeatureLevel - 1
	_, err := AppendEntry(nil, e)
	if want := "command metadata.OpenSession needs feature level 1, the entry has level 0"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
	for k, row := range commandRows {
		if row.decode != nil && (row.from < MinFeatureLevel || row.from > MaxFeatureLevel) {
			t.Errorf("kind %d is for feature level %d on, levels are %d to %d", k, row.from, MinFeatureLevel, MaxFeatureLevel)
		}
	}
}
