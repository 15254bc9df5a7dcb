//go:build clients

package clients

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/zonewise/zonewise/test/testenv/devserver"
)

// runEcosystem runs the patterns of systems that are built on Kafka's clients: how
// they use the protocol, with their own code where possible.
func runEcosystem(t *testing.T, d *devserver.Dev) {
	java := func(name string, f func(t *testing.T, cp string)) {
		runTimed(t, d, name, func(t *testing.T) {
			cp, err := javaClassPath()
			skipIfMissing(t, name, err)
			f(t, cp)
		})
	}
	java("schema-registry", func(t *testing.T, cp string) { runSchemaRegistry(t, d, cp) })
	java("debezium", func(t *testing.T, cp string) {
		for go2, zone := range []int{0, 2} { // the second start finds the records of the first
			expectOutput(t, "debezium", runProgram(t, javaCommand(cp, "Debezium"), d.Bootstrap(zone), "history-of-debezium", fmt.Sprint(200*go2)), fmt.Sprintf(`(?m)^read %d$`, 200*(go2+1)))
		}
	})
	java("ui", func(t *testing.T, cp string) {
		checkUI(t, runProgram(t, javaCommand(cp, "Ui"), d.Bootstrap(1), "topic-of-ui", "group-of-ui"))
	})
	runTimed(t, d, "flink", func(t *testing.T) {
		cp, err := flinkClassPath()
		skipIfMissing(t, "flink", err)
		runFlink(t, d, javaCommand(cp, "TwoPhase"))
	})
}

// runProgram runs a program that ends by itself, and returns its output.
func runProgram(t *testing.T, command []string, args ...string) string {
	t.Helper()
	return runProgramFor(t, toolLimit, command, args...)
}

// runProgramFor is runProgram with a time limit.
func runProgramFor(t *testing.T, limit time.Duration, command []string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], append(slices.Clone(command[1:]), args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s\n%s", strings.Join(args, " "), err, out.String(), errs.String())
	}
	return out.String()
}

// refusedCalls are calls that zonewise does not support and refuses: there is no
// quorum of controllers, and security and quotas are separate issues.
var refusedCalls = []string{"describeMetadataQuorum", "describeAcls", "describeClientQuotas", "describeUserScramCredentials", "describeDelegationToken"}

// checkUI checks that each call was served, or refused as unsupported.
func checkUI(t *testing.T, text string) {
	served := regexp.MustCompile(`(?m)^ok `).FindAllString(text, -1)
	var refused []string
	for _, m := range regexp.MustCompile(`(?m)^refused (\S+) (\S+)$`).FindAllStringSubmatch(text, -1) {
		refused = append(refused, m[1])
		if m[2] != "UnsupportedVersionException" {
			t.Errorf("%s was refused with %s, which consoles do not expect", m[1], m[2])
		}
	}
	if len(served) < 28 || !slices.Equal(refused, refusedCalls) {
		t.Errorf("%d calls served, refused %v:\n%s", len(served), refused, text)
	}
	fmt.Printf("    ui: %d calls served, %d refused as unsupported\n", len(served), len(refused))
}

// runFlink lets a process prepare a transaction and die, another one end it by its
// producer id and epoch, and a third end it again, as Flink does after each restart.
func runFlink(t *testing.T, d *devserver.Dev, command []string) {
	const topic = "topic-of-flink"
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	c, err := kgo.NewClient(kgo.SeedBrokers(d.Bootstrap(2)), kgo.ClientID("oracle"), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	admin := kadm.NewClient(c)
	if _, err := admin.CreateTopic(ctx, 3, -1, nil, topic); err != nil {
		t.Fatal(err)
	}
	prepared := regexp.MustCompile(`(?m)^prepared (\d+) (\d+)$`)
	var ids [][]string
	for k := range 3 {
		out := runProgram(t, command, "prepare", d.Bootstrap(0), topic, fmt.Sprint("sink-", k), fmt.Sprint(100*k), "100")
		m := prepared.FindStringSubmatch(out)
		if m == nil {
			t.Fatalf("prepare: %s", out)
		}
		ids = append(ids, m[1:])
	}
	ends, err := admin.ListCommittedOffsets(ctx, topic)
	if err = firstError(err, ends.Error()); err != nil {
		t.Fatal(err)
	}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset != 0 {
			t.Errorf("partition %d: last stable offset %d while all transactions are open", o.Partition, o.Offset)
		}
	})
	for _, end := range []struct {
		how string
		k   int
	}{{"commit", 0}, {"abort", 1}, {"commit", 2}, {"commit", 2}} {
		runProgram(t, command, end.how, d.Bootstrap(1), fmt.Sprint("sink-", end.k), ids[end.k][0], ids[end.k][1])
	}
	c.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart(), 1: kgo.NewOffset().AtStart(), 2: kgo.NewOffset().AtStart()}})
	got := map[string]int{}
	for len(got) < 200 {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("after %d of 200 records: %v", len(got), err)
		}
		fetches.EachRecord(func(r *kgo.Record) { got[string(r.Value)]++ })
	}
	for i := range 300 {
		if n, want := got[fmt.Sprint(i)], 1-i/100%2; n != want {
			t.Errorf("record %d was read %d times, want %d", i, n, want)
		}
	}
}

// registry is one instance.
type registry struct {
	*clientProcess
	name   string
	leader string // as last reported
}

func startRegistry(t *testing.T, d *devserver.Dev, cp string, zone int) *registry {
	name := fmt.Sprint("registry-", zone)
	return &registry{clientProcess: startProcess(t, name, jsonOutput, append(javaCommand(cp, "SchemaRegistry"), "--bootstrap", d.Bootstrap(zone), "--client-id", name, "--topic", "_schemas")...), name: name}
}

// nextLine returns the next line that does not report an election.
func (r *registry) nextLine(t *testing.T) *line {
	t.Helper()
	for limit := time.After(time.Minute); ; {
		select {
		case l, more := <-r.lines:
			if !more {
				t.Fatalf("%s ended: %s", r.name, r.outputText())
			}
			if l.Event != "elected" {
				return l
			}
			r.leader = l.Name
		case <-limit:
			t.Fatalf("%s prints nothing: %s", r.name, r.outputText())
		}
	}
}

func (r *registry) sendCommand(t *testing.T, command string) *line {
	t.Helper()
	if _, err := fmt.Fprintln(r.stdin, command); err != nil {
		t.Fatalf("%s: %v\n%s", r.name, err, r.outputText())
	}
	return r.nextLine(t)
}

// putValue repeats a write until the instance is the leader and has read it back.
func (r *registry) putValue(t *testing.T, key, value string) {
	t.Helper()
	for limit := time.Now().Add(stableLimit); ; time.Sleep(200 * time.Millisecond) {
		l := r.sendCommand(t, "put "+key+" "+value)
		if l.Event == "put" && l.Text == value {
			return
		}
		if l.Event != "not-leader" || time.Now().After(limit) {
			t.Fatalf("%s: put %s %s: %+v\n%s", r.name, key, value, l, r.outputText())
		}
	}
}

// waitHolds waits until the instance has read all of it.
func (r *registry) waitHolds(t *testing.T, all map[string]string) {
	t.Helper()
	limit := time.Now().Add(stableLimit)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		for l := r.sendCommand(t, "get "+key); l.Text != all[key]; l = r.sendCommand(t, "get "+key) {
			if time.Now().After(limit) {
				t.Fatalf("%s has %q at %s, want %q\n%s", r.name, l.Text, key, all[key], r.outputText())
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
}

// runSchemaRegistry runs two instances in two zones, kills the leader, and starts
// a third.
func runSchemaRegistry(t *testing.T, d *devserver.Dev, cp string) {
	all := map[string]string{}
	write := func(r *registry, from int) {
		for i := range 20 {
			key, value := fmt.Sprint("key-", (from+i)%15), fmt.Sprint("value-", from+i) // some keys repeat
			r.putValue(t, key, value)
			all[key] = value
		}
	}
	first, second := startRegistry(t, d, cp, 0), startRegistry(t, d, cp, 1)
	write(first, 0) // the eligible instance with the lowest name leads
	second.waitHolds(t, all)
	if l := second.sendCommand(t, "put key-0 stolen"); l.Event != "not-leader" || l.Text != first.name {
		t.Errorf("the follower writes, or knows another leader: %+v", l)
	}
	c, err := kgo.NewClient(kgo.SeedBrokers(d.Bootstrap(2)), kgo.ClientID("oracle"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	groups, err := kadm.NewClient(c).DescribeGroups(t.Context(), "schema-registry")
	if g := groups["schema-registry"]; err != nil || g.ProtocolType != "sr" || g.State != "Stable" || len(g.Members) != 2 {
		t.Errorf("the group: %v, %+v", err, g)
	}
	if err := first.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	write(second, 20)
	third := startRegistry(t, d, cp, 2)
	third.waitHolds(t, all)
	for _, r := range []*registry{second, third} {
		if err := r.stdin.Close(); err != nil {
			t.Error(err)
		}
		r.waitExit(t, closeLimit)
	}
}
