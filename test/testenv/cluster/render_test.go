package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEveryAddressOfTheDeployedFilesIsMoved(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	p := addressMap{prefix: "127.99", portAdd: 10_000}
	for z := range Zones {
		for name, port := range map[string]string{"etcd.yaml": ":12380", "broker.yaml": ":19092"} {
			target := filepath.Join(t.TempDir(), name)
			if err := p.render(zoneFile(root, z, name), target, map[string]string{"log-format": "text"}); err != nil {
				t.Fatal(err)
			}
			body, err := os.ReadFile(target)
			if err != nil {
				t.Fatal(err)
			}
			text := string(body)
			for _, leftover := range []string{"10.0.", ":2379", ":2380", ":9092\n", ":9192\n", ":8080\n"} {
				if strings.Contains(text, leftover) {
					t.Errorf("zone %d, %s still has %q", z, name, leftover)
				}
			}
			if !strings.Contains(text, port) || !strings.Contains(text, "\nlog-format: text\n") {
				t.Errorf("zone %d, %s: no %s, or the log format is not replaced", z, name, port)
			}
		}
	}
	if err := p.render(zoneFile(root, 0, "etcd.yaml"), filepath.Join(t.TempDir(), "x"), map[string]string{"no-such-key": "1"}); err == nil {
		t.Error("a key that the file does not have was accepted")
	}
}

func TestSamplesAreSummedByNameAndLabels(t *testing.T) {
	m := Metrics{`sent{To="a"}`: 1, `sent{To="b"}`: 2, `sent_total{To="a"}`: 4, `sent`: 8}
	if got := m.Sum("sent"); got != 11 {
		t.Errorf("sum %v, want 11", got)
	}
	if got := m.Sum("sent", `To="b"`); got != 2 {
		t.Errorf("sum of b %v, want 2", got)
	}
}
