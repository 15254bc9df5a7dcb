//go:build external

package external

import (
	"os"
	"strings"
	"testing"
	"time"
)

const kgoVersion = "v1.22.2"

// franz-go's own tests: groups of every balancer, transactions, both group
// protocols, static members, regexes, all checked for loss, repeats and order.
// Share groups and SCRAM are skipped: zonewise does not serve them yet.
func TestKgo(t *testing.T) {
	on := openTarget(t)
	records := envOr("SUITE_RECORDS", "50000")
	env := []string{"KGO_SEEDS=" + strings.Join(on.bootstrap, ","), "KGO_TEST_RF=3", "KGO_TEST_RECORDS=" + records,
		"KGO_TEST_UNSAFE=1", "KGO_LOG_LEVEL=none"}
	version, section := "franz-go "+kgoVersion+" pkg/kgo, "+records+" records", "kgo"
	if os.Getenv("SUITE_CHAOS") != "" {
		env = append(env, "KGO_TEST_CHAOS=1")
		version += ", chaos"
		section += " chaos"
	}
	if run := os.Getenv("SUITE_RUN"); run != "" {
		version += ", " + run
		section += " " + run
	}
	s := goSuite{module: "github.com/twmb/franz-go", version: kgoVersion, pkg: "github.com/twmb/franz-go/pkg/kgo", env: env, limit: 30 * time.Minute}
	if n := os.Getenv("SUITE_COUNT"); n != "" {
		s.args = append(s.args, "-test.count", n)
		version += ", " + n + " times over"
	}
	out := s.runSuite(t)
	keepOutput(t, []byte(out))
	v := goVerdicts(out)
	writeReport(t, section, version, on, v)
	checkResult(t, v, 10)
}
