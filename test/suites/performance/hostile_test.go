//go:build performance

package performance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/broker"
	"github.com/zonewise/zonewise/test/testenv/cluster"
	"github.com/zonewise/zonewise/test/testenv/hostile"
)

const attackEnv = "ZONEWISE_ATTACK"

// TestMain also lets this program be the attacker, in a process of its own that
// a cgroup can limit to one core.
func TestMain(m *testing.M) {
	if text := os.Getenv(attackEnv); text != "" {
		if err := hostile.Main(context.Background(), text, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// The attackers, and how much they may delay others.
const (
	attackers = 16
	// attackBytes leaves room for a header below the limit of a request.
	attackBytes   = broker.MaxNonProduceFrameBytes - 1<<10
	attackTopics  = 500
	attackEach    = 20 // partitions of each
	hostileRecord = 100.0
	hostileMs     = 100.0
)

// attackTable returns, for each API, its requests of the maximum size.
func attackTable(t *testing.T, address string, long time.Duration) (all []hostile.Attack) {
	client, err := kgo.NewClient(kgo.SeedBrokers(address))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	versions, err := kadm.NewClient(client).ApiVersions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	serves := versions.Sorted()[0]
	for key := range int16(100) {
		q := kmsg.RequestForKey(key)
		if q == nil || key == 0 || !served[key] {
			continue
		}
		version, _ := serves.KeyMaxVersion(key)
		version = min(version, q.MaxVersion())
		_, arrays := hostile.Requests(key, version, 100_000, func(i int) string { return "hostile-" + strconv.Itoa(i%attackTopics) })
		for _, array := range arrays {
			all = append(all, hostile.Attack{Broker: address, Connections: attackers, For: long, Key: key, Version: version, Array: array, Bytes: attackBytes, Name: "hostile-"})
		}
	}
	return all
}

// served are the APIs with arrays in their requests.
var served = map[int16]bool{1: true, 2: true, 3: true, 8: true, 9: true, 10: true, 11: true, 15: true, 19: true, 20: true, 23: true, 32: true, 33: true,
	35: true, 37: true, 42: true, 43: true, 44: true, 61: true, 65: true, 66: true, 69: true, 75: true} // read only

// TestHostileClients measures the latency of producers in all zones while
// sixteen connections, limited to one core, send one broker the most expensive
// requests of an API, and the broker's peak memory.
func TestHostileClients(t *testing.T) {
	where := describeMachine(t)
	c := cluster.Start(t, cluster.Options{})
	createTopic(t, c, "hostile", 30)
	admin := kadm.NewClient(newClient(t, c, 0))
	for i := 0; i < attackTopics; i += 100 {
		var names []string
		for j := range 100 {
			names = append(names, "hostile-"+strconv.Itoa(i+j))
		}
		if _, err := admin.CreateTopics(t.Context(), attackEach, -1, nil, names...); err != nil {
			t.Fatal(err)
		}
	}
	stream := load{topic: "hostile", partitions: 30, perSecond: hostileRecord, size: oneKiB}
	stream.runLoad(t, c, 3*time.Second)
	window := testLength(4*time.Second, 10*time.Second)
	held := holdToOneCore(t)
	var rows strings.Builder
	reached, only := true, os.Getenv("ZONEWISE_ATTACKS")
	for _, a := range attackTable(t, c.Bootstrap(0, 0), window) {
		label := kmsg.NameForKey(a.Key) + a.Array
		if only != "" && !strings.Contains(label, only) {
			continue
		}
		quiet := quantile(ackLatencies(stream.runLoad(t, c, window)), 0.99)
		clearPeak(t, c.Brokers[0].Pid())
		attack := startAttack(t, a, held)
		during := quantile(ackLatencies(stream.runLoad(t, c, window)), 0.99)
		result := endAttack(t, attack)
		peak := peakMiB(t, c.Brokers[0].Pid())
		if result.Sent == 0 {
			t.Errorf("%s: no request reached the broker", label)
		}
		aim := max(2*millis(quiet), millis(quiet)+hostileMs)
		reached = reached && millis(during) <= aim
		fmt.Fprintf(&rows, "| %s | %.1f | %.1f | %.1f | %s | %.0f | %d / %d |\n", label, millis(quiet), millis(during), aim, verdictText(millis(during) <= aim), peak, result.Answered, result.Sent)
		t.Logf("MEASURED %-60s quiet %6.1f ms, during %6.1f ms, peak %5.0f MiB, %d of %d answered", label, millis(quiet), millis(during), peak, result.Answered, result.Sent)
	}
	publishSection(t, "hostile clients", fmt.Sprintf(`%s

%d connections to one broker send requests of nearly %d MiB, each after the response to the previous one, from a process that a cgroup limits to one core. Producers in three zones
send %.0f records/s of 1 KiB at the same time. All aims reached: %v.

| request and its large array | ack p99 before, ms | during, ms | aim | | broker's peak memory, MiB | answered / sent |
|---|---|---|---|---|---|---|
%s`, where, attackers, broker.MaxNonProduceFrameBytes>>20, hostileRecord, reached, rows.String()))
}

// holdToOneCore creates a cgroup limited to one core, and returns the file to
// which its process ids are written.
func holdToOneCore(t *testing.T) string {
	t.Helper()
	folder := fmt.Sprintf("/sys/fs/cgroup/cpu/zonewise-%d", os.Getpid())
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatalf("make a cgroup (root, cgroup v1's cpu controller): %v", err)
	}
	t.Cleanup(func() { os.Remove(folder) })
	for file, value := range map[string]string{"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "100000"} {
		if err := os.WriteFile(filepath.Join(folder, file), []byte(value), 0); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(folder, "cgroup.procs")
}

// clearPeak resets a process's peak memory to its current memory.
func clearPeak(t *testing.T, pid int) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
}

// attackProcess is an attack in a process of its own.
type attackProcess struct {
	cmd *exec.Cmd
	out bytes.Buffer
}

func startAttack(t *testing.T, a hostile.Attack, cgroup string) *attackProcess {
	t.Helper()
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	p := &attackProcess{cmd: exec.Command("/bin/sh", "-c", fmt.Sprintf("echo $$ >%s && exec %s", cgroup, os.Args[0]))}
	p.cmd.Env = append(os.Environ(), attackEnv+"="+string(text))
	p.cmd.Stdout, p.cmd.Stderr = &p.out, os.Stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

func endAttack(t *testing.T, p *attackProcess) (r hostile.Result) {
	t.Helper()
	if err := p.cmd.Wait(); err != nil {
		t.Fatalf("attacker: %v", err)
	}
	if err := json.Unmarshal(p.out.Bytes(), &r); err != nil {
		t.Fatalf("output of the attacker: %q: %v", p.out.String(), err)
	}
	return r
}
