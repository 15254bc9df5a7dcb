//go:build external

package external

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zonewise/zonewise/test/testenv/devserver"
)

const (
	saramaVersion    = "v1.61.1"
	saramaModule     = "github.com/IBM/sarama"
	toxiproxyVersion = "v2.5.0"
	toxiproxyModule  = "github.com/Shopify/toxiproxy/v2"
	toxiproxyControl = "http://127.0.0.1:8474"
	saramaLimit      = 30 * time.Minute
)

// Sarama's functional tests: five brokers behind toxiproxy, which cuts connections; the
// tests also stop and start brokers.
func TestSarama(t *testing.T) {
	folder, err := installSarama()
	if err != nil {
		t.Fatal(err)
	}
	on, brokers := openFive(t)
	startToxiproxy(t, folder, brokers)
	root, err := devserver.Repository()
	if err != nil {
		t.Fatal(err)
	}
	sources, err := os.ReadFile(filepath.Join(folder, "sources"))
	if err != nil {
		t.Fatal(err)
	}
	s := goSuite{pkg: saramaModule, limit: saramaLimit, env: []string{"TOXIPROXY_ADDR=" + toxiproxyControl, "KAFKA_VERSION=4.1.1",
		"CONTROL_URL=" + serveControl(t, brokers),
		"PATH=" + filepath.Join(root, "test", "tools", "sarama") + ":" + os.Getenv("PATH")}}
	run := func(args ...string) suiteResult {
		out := s.runProcess(t, filepath.Join(folder, "sarama.test"), strings.TrimSpace(string(sources)), args...)
		keepMore(t, fmt.Sprint(len(args)), out)
		v := goVerdicts(out)
		if on.name == "zonewise" {
			v.explainKnown(saramaReasons())
		}
		return v
	}
	v := run()
	version, least := "Sarama "+saramaVersion+" functional tests", 100
	if only := os.Getenv("SUITE_RUN"); only != "" {
		version, least = version+", "+only, 1
	}
	v.tryAgain(run)
	writeReport(t, "sarama", version, on, v)
	checkResult(t, v, least)
}

// saramaReasons are the known failures, with their exact texts.
func saramaReasons() []knownFailure {
	return []knownFailure{
		{"TestFuncAdminQuotas", "The version of API is not supported", quotasLater},
		{"TestFuncAdminAlterPartitionReassignments", "Not equal: expected: []int32{1, 2}", reassigned},
	}
}

// installSarama returns a folder with Sarama's tests in sarama.test, where they want to
// run in sources, and toxiproxy's server.
func installSarama() (string, error) {
	return fillCached("sarama-"+saramaVersion, func(folder string) error {
		if err := errors.Join(
			runCommand(folder, "go", "mod", "init", "suite"),
			runCommand(folder, "go", "get", "-t", saramaModule+"@"+saramaVersion, toxiproxyModule+"/cmd/server@"+toxiproxyVersion),
			runCommand(folder, "go", "build", "-o", "toxiproxy", toxiproxyModule+"/cmd/server"),
			runCommand(folder, "go", "test", "-tags", "functional", "-c", "-o", "sarama.test", saramaModule)); err != nil {
			return err
		}
		list := exec.Command("go", "list", "-f", "{{.Dir}}", saramaModule)
		list.Dir = folder
		sources, err := list.Output()
		return errors.Join(err, os.WriteFile(filepath.Join(folder, "sources"), sources, 0o644))
	})
}

// startToxiproxy runs the proxies that the suite's tests use: kafka1 to kafka5, at the
// brokers' advertised addresses.
func startToxiproxy(t *testing.T, folder string, brokers []*restartableBroker) {
	t.Helper()
	var proxies []string
	for i, b := range brokers {
		proxies = append(proxies, fmt.Sprintf(`{"name": "kafka%d", "listen": %q, "upstream": %q, "enabled": true}`, i+1, fiveAddress(i), b.address))
	}
	config := filepath.Join(t.TempDir(), "proxies.json")
	if err := os.WriteFile(config, []byte("["+strings.Join(proxies, ",")+"]"), 0o644); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(filepath.Dir(config), "toxiproxy.log")
	startBackground(t, log, filepath.Join(folder, "toxiproxy"), "-host", "127.0.0.1", "-port", "8474", "-config", config)
	awaitReady(t, toxiproxyControl+"/version", log)
}
