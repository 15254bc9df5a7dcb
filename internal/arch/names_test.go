package arch

import (
	"go/ast"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// idioms are bare words that every Go reader knows: any number of types may
// have such a method.
var idioms = []string{"close", "run", "len", "string", "get", "put", "encode", "decode", "apply", "hash", "validate", "reset",
	"error", "wait", "size", "compare", "main"}

// maxBare is how often a package may declare one bare word as an unexported
// function: a word that is declared more often means something else each time.
const maxBare = 2

var bareWord = regexp.MustCompile(`^[a-z]+$`)

// bareNames returns the bare unexported functions and methods of a file.
func bareNames(f *ast.File) (names []string) {
	for _, decl := range f.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && bareWord.MatchString(fn.Name.Name) && !slices.Contains(idioms, fn.Name.Name) {
			names = append(names, fn.Name.Name)
		}
	}
	return names
}

// overused returns the words that a package declares too often.
func overused(names []string) []string {
	count := map[string]int{}
	for _, n := range names {
		count[n]++
	}
	maps.DeleteFunc(count, func(_ string, n int) bool { return n <= maxBare })
	return slices.Sorted(maps.Keys(count))
}

// Functions are named by verb and object. A bare word is declared at most twice in a
// package.
func TestBareNamesAreFew(t *testing.T) {
	perPackage := map[string][]string{}
	functions := 0
	for path, f := range goFiles(t, "../..") {
		for _, decl := range f.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && !fn.Name.IsExported() {
				functions++
			}
		}
		perPackage[filepath.Dir(path)] = append(perPackage[filepath.Dir(path)], bareNames(f)...)
	}
	bare := 0
	for dir, names := range perPackage {
		bare += len(names)
		for _, word := range overused(names) {
			t.Errorf("%s declares %q more than %d times: say verb and object", dir, word, maxBare)
		}
	}
	if 100*bare > 25*functions {
		t.Errorf("%d of %d unexported functions are one bare word: at most a quarter", bare, functions)
	}
	planted := parse(t, "package p\nfunc take() {}\ntype a struct{}\nfunc (a) take() {}\ntype b struct{}\nfunc (b) take() {}\n")
	if got := overused(bareNames(planted)); !slices.Equal(got, []string{"take"}) {
		t.Errorf("the gate finds %q in the planted offender", got)
	}
}

// ownErrorNames returns constants that give a Kafka error code a name of our
// own: franz-go's kerr has Kafka's names.
func ownErrorNames(f *ast.File) (names []string) {
	for _, decl := range f.Decls {
		d, ok := decl.(*ast.GenDecl)
		if !ok || d.Tok != token.CONST {
			continue
		}
		for _, spec := range d.Specs {
			v := spec.(*ast.ValueSpec)
			typed, _ := v.Type.(*ast.Ident)
			for _, n := range v.Names {
				if typed != nil && typed.Name == "int16" && (strings.HasPrefix(n.Name, "err") || strings.HasPrefix(n.Name, "code")) {
					names = append(names, n.Name)
				}
			}
		}
	}
	return names
}

// Kafka's error codes go by Kafka's names, from kerr.
func TestErrorCodesHaveKafkasNames(t *testing.T) {
	for path, f := range goFiles(t, "../../broker") {
		for _, name := range ownErrorNames(f) {
			t.Errorf("%s: constant %s names a code of Kafka's: use kerr", path, name)
		}
	}
	planted := parse(t, "package p\nconst errFoo int16 = 3\nconst (\n\tcodeBar int16 = 4\n\tother int16 = 5\n)\n")
	if got := ownErrorNames(planted); !slices.Equal(got, []string{"errFoo", "codeBar"}) {
		t.Errorf("the gate finds %q in the planted offender", got)
	}
}
