package broker

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Every API in the table has one file, named after its key, whose head comment
// has the API's name, key and versions as they are served, its behaviour and its gaps.
func TestEveryAPIHasItsFile(t *testing.T) {
	for _, a := range newAPITable(true) {
		name := a.name
		if kmsg := kmsg.NameForKey(a.key); !strings.EqualFold(name, kmsg) && a.key != 45 { // kmsg calls 45 AlterPartitionAssignments
			t.Errorf("key %d is %s in the table, %s in kmsg", a.key, name, kmsg)
		}
		files, err := filepath.Glob(fmt.Sprintf("%02d_*.go", a.key))
		if err != nil || len(files) != 1 {
			t.Errorf("%s, key %d: files %v, %v; want one", name, a.key, files, err)
			continue
		}
		text, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		versions := fmt.Sprintf("versions %d-%d", a.min, a.max)
		if a.min == a.max {
			versions = fmt.Sprintf("version %d", a.min)
		}
		head := fmt.Sprintf("package broker\n\n// %s, key %d, %s", name, a.key, versions)
		comment, _, _ := strings.Cut(string(text), "\nimport ")
		for _, want := range []string{head, "\n// Behaviour: ", "\n// Gaps: "} {
			if !strings.Contains(comment, want) {
				t.Errorf("%s does not have %q in its head comment", files[0], want)
			}
		}
	}
}
