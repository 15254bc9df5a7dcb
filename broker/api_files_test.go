package broker

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// kafkaAPIName is Kafka's name of an API; kmsg spells two of them differently.
func kafkaAPIName(key int16) string {
	switch key {
	case 22:
		return "InitProducerId"
	case 45:
		return "AlterPartitionReassignments"
	}
	return kmsg.NameForKey(key)
}

// Every API in the table has one file, named after its key, whose head comment
// has the API's name, key and versions as they are served, its behaviour and its gaps.
func TestEveryAPIHasItsFile(t *testing.T) {
	for _, a := range newAPITable(true) {
		name := kafkaAPIName(a.key)
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
