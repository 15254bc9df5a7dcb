//go:build external

package external

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/zonewise/zonewise/test/testenv/devserver"
	"github.com/zonewise/zonewise/test/testenv/kafkaoracle"
)

// startSingle starts the cluster for suites that expect one broker in a container:
// node 1, localhost at the port, with broker settings. zonewise then has one zone,
// whose clients use the port (those without a zone the one below), and one etcd member.
func startSingle(t *testing.T, port int, settings map[string]string, flags ...string) target {
	t.Helper()
	address := fmt.Sprintf("localhost:%d", port)
	ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatalf("the suite dials %s, which is taken: %v", address, err)
	}
	ln.Close()
	if os.Getenv("SUITE_TARGET") == "kafka" {
		properties := map[string]string{"advertised.listeners": "PLAINTEXT://" + address}
		for k, v := range settings {
			properties[k] = v
		}
		kafkaoracle.Start(t, kafkaoracle.Options{Port: port, Properties: properties})
		return target{"Apache Kafka " + kafkaoracle.Version, []string{address}}
	}
	folder := t.TempDir()
	program := devserver.Program(t, folder)
	etcd, peer, pages := "http://"+freeAddr(t), freeAddr(t), freeAddr(t)
	startBackground(t, filepath.Join(folder, "etcd.log"), program, "etcd", "--name", "zone", "--data-dir", filepath.Join(folder, "etcd"), "--client-url", etcd)
	log := filepath.Join(folder, "broker.log")
	startBackground(t, log, program, append([]string{"broker", "--zone", "zone", "--etcd", etcd, "--bucket", filepath.Join(folder, "bucket"),
		"--listen", fmt.Sprintf("localhost:%d", port-1), "--peer", peer, "--http", pages, "--broker-id", "1", "--log-level", "info"}, flags...)...)
	awaitReady(t, "http://"+pages+"/readyz", log)
	setBrokerConfigs(t, address, settings)
	return target{"zonewise", []string{address}}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	address, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// startBackground runs a program until the test ends.
func startBackground(t *testing.T, log, program string, args ...string) {
	t.Helper()
	output, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // if it is gone, Wait returns how
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("%s ended: %v", args[0], err)
			}
		case <-time.After(time.Minute):
			_ = cmd.Process.Kill()
			t.Errorf("%s still ran a minute after SIGTERM: %v", args[0], <-ended)
		}
	})
}

func awaitReady(t *testing.T, url, log string) {
	t.Helper()
	for until := time.Now().Add(time.Minute); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
		resp, err := http.Get(url)
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return
		}
	}
	text, err := os.ReadFile(log)
	t.Fatalf("the broker is not ready: %v\n%s", err, text[max(0, len(text)-3000):])
}

// setBrokerConfigs sets configs for all brokers.
func setBrokerConfigs(t *testing.T, address string, settings map[string]string) {
	t.Helper()
	k, err := kgo.NewClient(kgo.SeedBrokers(address))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	var all []kadm.AlterConfig
	for name, value := range settings {
		all = append(all, kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: kadm.StringPtr(value)})
	}
	answers, err := kadm.NewClient(k).AlterBrokerConfigs(context.Background(), all)
	if err == nil {
		for _, a := range answers {
			if err == nil {
				err = a.Err
			}
		}
	}
	if err != nil {
		t.Fatalf("set %v: %v", settings, err)
	}
}
