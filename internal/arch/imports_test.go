// Package arch tests the import table and the rules that every package follows.
package arch

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/zonewise/zonewise/"

// allowed is the import table: for each package, the packages of this module that it
// may import. Arrows only point down. ARCHITECTURE.md explains it.
var allowed = map[string][]string{
	"metadata":                   {"internal/apportion", "internal/binread", "internal/costkeys"},
	"metadata/etcdlog":           {"metadata"},
	"metadata/etcdlog/etcdfake":  {"metadata/etcdlog"},
	"metadata/metadatatest":      {"metadata"},
	"internal/apportion":         {},
	"internal/binread":           {},
	"internal/costkeys":          {},
	"internal/xxh32":             {},
	"internal/membudget":         {},
	"s3stream/bucket":            {},
	"s3stream/bucket/buckettest": {"s3stream/bucket"},
	"s3stream/bucket/s3":         {"s3stream/bucket"},
	"s3stream/hedge":             {"s3stream/bucket"},
	"s3stream":                   {"s3stream/bucket", "s3stream/hedge", "metadata", "internal/binread"},
	"router":                     {"metadata"},
	"wal":                        {"s3stream", "s3stream/bucket", "s3stream/hedge", "metadata", "internal/membudget"},
	"broker":                     {"router", "wal", "s3stream", "s3stream/bucket", "metadata", "broker/groups", "broker/schema", "broker/configs", "internal/apportion", "internal/costkeys", "internal/xxh32", "internal/membudget"},
	"broker/schema":              {},
	"broker/configs":             {},
	"test/tools/requestschema":   {},
	"broker/groups":              {"metadata"},
	"costmodel":                  {"internal/apportion", "internal/costkeys"},
	"dashboards":                 {"costmodel", "metadata", "internal/costkeys"},
	"internal/node":              {"*"},
	"test/sim":                   {"*"},
	"test/sim/cmd/manyseeds":     {"test/testenv/report"},
	"internal/garbage":           {"metadata", "s3stream/bucket"},
	"internal/recovery":          {"metadata", "metadata/etcdlog", "s3stream/bucket"},
	"internal/verify":            {"metadata", "s3stream", "s3stream/bucket", "internal/recovery"},
	"internal/cli":               {},
	"internal/bench":             {},
	"internal/etcdserver":        {},
	"test/testenv/s3server":      {},
	"test/testenv/kafkaoracle":   {},
	"test/testenv/devserver":     {},
	"test/testenv/hostile":       {},
	"test/framing":               {"internal/xxh32"},
	"test/testenv/logtext":       {},
	"internal/arch":              {},
	"cmd/zonewise":               {"*"},
	"test/suites/integration":    {"*"},
	"test/suites/clients":        {"*"},
	"test/suites/external":       {"*"},
	"test/suites/performance":    {"*"},
	"test/suites/soak":           {"*"},
	"test/suites/differential":   {"*"},
	"test/testenv/report":        {},
	"test/oracle":                {},
	"test/oracle/cmd/replay":     {"test/oracle"},
	"test/mutants":               {},
	"test/listappend":            {},
	"test/testenv/cluster":       {"*"},
}

// restrictedModules lists modules that only one package may import, and why.
var restrictedModules = map[string]struct {
	packages []string
	why      string
}{
	"go.etcd.io/etcd/server": {[]string{"internal/etcdserver"}, "the member is embedded in one place"},
	"go.etcd.io/etcd/client": {[]string{"metadata/etcdlog", "internal/etcdserver", "cmd/zonewise", "internal/recovery"}, "the log stands on etcdlog's few calls"},
	"github.com/aws/":        {[]string{"s3stream/bucket/s3"}, "S3 is reached through bucket.Bucket"},
	"google.golang.org/grpc": {[]string{"metadata/etcdlog", "internal/etcdserver", "metadata/etcdlog/etcdfake", "cmd/zonewise"}, "gRPC is etcd's business"},
}

type goPackage struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func listPackages(t *testing.T, args ...string) []goPackage {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,Deps"}, args...)...)
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p goPackage
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

func TestImportsFollowTheTable(t *testing.T) {
	list := listPackages(t, "./...")
	if len(list) < 10 {
		t.Fatalf("only %d packages listed", len(list))
	}
	for _, p := range list {
		for _, problem := range forbiddenImports(p) {
			t.Error(problem)
		}
	}
	for _, planted := range []goPackage{
		{ImportPath: module + "metadata", Imports: []string{module + "wal"}},
		{ImportPath: module + "wal", Imports: []string{"github.com/aws/aws-sdk-go-v2/aws"}},
		{ImportPath: module + "nowhere"},
	} {
		if len(forbiddenImports(planted)) != 1 {
			t.Errorf("the gate does not find the planted offender %+v", planted)
		}
	}
}

// forbiddenImports returns what a package imports against the table.
func forbiddenImports(p goPackage) (problems []string) {
	name := strings.TrimPrefix(p.ImportPath, module)
	may, known := allowed[name]
	if !known {
		return []string{name + " is not in the import table"}
	}
	for _, imp := range p.Imports {
		if own, ok := strings.CutPrefix(imp, module); ok && !slices.Contains(may, "*") && !slices.Contains(may, own) {
			problems = append(problems, fmt.Sprintf("%s imports %s: the table allows %v", name, own, may))
		}
		for banned, rule := range restrictedModules {
			if strings.HasPrefix(imp, banned) && !slices.Contains(rule.packages, name) {
				problems = append(problems, fmt.Sprintf("%s imports %s: %s", name, imp, rule.why))
			}
		}
	}
	return problems
}

// The core can be built, tested and simulated without a cloud SDK, etcd or gRPC.
func TestCoreHasNoCloudBehindIt(t *testing.T) {
	for _, p := range listPackages(t, "./metadata", "./s3stream", "./s3stream/bucket", "./wal", "./router", "./broker", "./costmodel", "./dashboards") {
		for _, dep := range p.Deps {
			for _, banned := range []string{"go.etcd.io/", "github.com/aws/", "google.golang.org/grpc"} {
				if strings.HasPrefix(dep, banned) {
					t.Errorf("%s depends on %s", p.ImportPath, dep)
				}
			}
		}
	}
}

// metadata, bucket and costmodel use only the standard library.
func TestBottomStandsOnTheStandardLibrary(t *testing.T) {
	for _, p := range listPackages(t, "./metadata", "./s3stream/bucket", "./costmodel", "./internal/apportion", "./internal/binread", "./internal/costkeys") {
		for _, imp := range p.Imports {
			if strings.Contains(strings.Split(imp, "/")[0], ".") && !strings.HasPrefix(imp, module) {
				t.Errorf("%s imports %s", p.ImportPath, imp)
			}
		}
	}
}

// Hooks exist for the simulation: no part of the product sets one.
func TestOnlyTheSimulationSetsHooks(t *testing.T) {
	for path := range goFiles(t, "../..") {
		if isHarness(path) {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "metadata.Hooks{") {
			t.Errorf("%s sets hooks of the simulation", path)
		}
	}
}
