//go:build clients

package clients

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zonewise/zonewise/test/testenv/devserver"
)

const (
	toolLimit    = 2 * time.Minute
	consoleTopic = "made-by-console"
	consoleGroup = "group-of-console"
)

// consoleTools runs the command line tools of Apache Kafka by their main classes.
type consoleTools struct {
	d         *devserver.Dev
	classPath string
}

// runTool runs one tool against a zone's bootstrap and returns its output.
func (c consoleTools) runTool(t *testing.T, zone int, input, main string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), toolLimit)
	defer cancel()
	command := append(javaCommand(c.classPath, main), "--bootstrap-server", c.d.Bootstrap(zone))
	command = append(command, args...)
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdin = strings.NewReader(input)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s\n%s", main, strings.Join(args, " "), err, out.String(), errs.String())
	}
	return out.String()
}

// expectOutput fails unless a text matches all patterns.
func expectOutput(t *testing.T, what, text string, patterns ...string) {
	t.Helper()
	for _, p := range patterns {
		if !regexp.MustCompile(p).MatchString(text) {
			t.Errorf("%s does not say %q:\n%s", what, p, text)
		}
	}
}

const (
	topicTool    = "org.apache.kafka.tools.TopicCommand"
	groupTool    = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
	configTool   = "kafka.admin.ConfigCommand" // in the core jar, unlike the others
	producerTool = "org.apache.kafka.tools.ConsoleProducer"
	consumerTool = "org.apache.kafka.tools.consumer.ConsoleConsumer"
	offsetTool   = "org.apache.kafka.tools.GetOffsetShell"
	deleteTool   = "org.apache.kafka.tools.DeleteRecordsCommand"
	versionTool  = "org.apache.kafka.tools.BrokerApiVersionsCommand"
)

// runConsoleTools runs the tools in the order in which a person would. The steps
// build on each other; each tool runs in another zone.
func runConsoleTools(t *testing.T, d *devserver.Dev, classPath string) {
	c := consoleTools{d, classPath}
	t.Run("broker-api-versions", func(t *testing.T) { c.checkVersions(t) })
	t.Run("topics", func(t *testing.T) {
		expectOutput(t, "create", c.runTool(t, 0, "", topicTool, "--create", "--topic", consoleTopic, "--partitions", "3"), "Created topic "+consoleTopic)
		c.runTool(t, 1, "", topicTool, "--alter", "--topic", consoleTopic, "--partitions", "4")
		expectOutput(t, "list", c.runTool(t, 2, "", topicTool, "--list"), `(?m)^`+consoleTopic+`$`)
		// Every line names the broker of the client's zone as leader.
		text := c.runTool(t, 2, "", topicTool, "--describe", "--topic", consoleTopic)
		expectOutput(t, "describe", text, `PartitionCount: 4\s+ReplicationFactor: 3`, `Partition: 3\s+Leader: 2\s`)
		if n := len(regexp.MustCompile(`Leader: 2\s`).FindAllString(text, -1)); n != 4 {
			t.Errorf("zone 2 sees its broker lead %d of 4 partitions:\n%s", n, text)
		}
	})
	t.Run("producer-consumer", func(t *testing.T) { c.produceConsume(t) })
	t.Run("consumer-groups", func(t *testing.T) {
		expectOutput(t, "list", c.runTool(t, 2, "", groupTool, "--list"), `(?m)^`+consoleGroup+`$`)
		text := c.runTool(t, 0, "", groupTool, "--describe", "--group", consoleGroup)
		rows := regexp.MustCompile(`(?m)^`+consoleGroup+`\s+`+consoleTopic+`\s+\d+\s+(\d+)\s+(\d+)\s+0\s`).FindAllStringSubmatch(text, -1)
		if len(rows) != 4 || slices.ContainsFunc(rows, func(r []string) bool { return r[1] != r[2] }) {
			t.Errorf("describe: want four partitions, all read to the end:\n%s", text)
		}
		expectOutput(t, "describe --state", c.runTool(t, 1, "", groupTool, "--describe", "--group", consoleGroup, "--state"), `\sEmpty\s+0`)
	})
	t.Run("configs", func(t *testing.T) {
		topic := []string{"--entity-type", "topics", "--entity-name", consoleTopic}
		expectOutput(t, "alter", c.runTool(t, 0, "", configTool, append(topic, "--alter", "--add-config", "retention.ms=3600000,max.message.bytes=2000000")...), "Completed updating")
		expectOutput(t, "describe", c.runTool(t, 1, "", configTool, append(topic, "--describe")...), `retention\.ms=3600000 `, `max\.message\.bytes=2000000 `)
		c.runTool(t, 2, "", configTool, append(topic, "--alter", "--delete-config", "retention.ms")...)
		text := c.runTool(t, 0, "", configTool, append(topic, "--describe")...)
		expectOutput(t, "describe", text, `max\.message\.bytes=2000000 `)
		if strings.Contains(text, "retention.ms=3600000") {
			t.Errorf("a config that was deleted is still there:\n%s", text)
		}
	})
	t.Run("delete-records", func(t *testing.T) {
		before := c.listOffsets(t, "latest")
		file := filepath.Join(t.TempDir(), "offsets.json")
		if err := os.WriteFile(file, fmt.Appendf(nil, `{"version":1,"partitions":[{"topic":%q,"partition":1,"offset":3}]}`, consoleTopic), 0o644); err != nil {
			t.Fatal(err)
		}
		expectOutput(t, "delete records", c.runTool(t, 0, "", deleteTool, "--offset-json-file", file), consoleTopic+`-1\s+low_watermark: 3`)
		expectOutput(t, "earliest offsets", c.listOffsets(t, "earliest"), consoleTopic+`:0:0\b`, consoleTopic+`:1:3\b`)
		if after := c.listOffsets(t, "latest"); after != before {
			t.Errorf("latest offsets changed from\n%s to\n%s", before, after)
		}
	})
	t.Run("delete", func(t *testing.T) {
		expectOutput(t, "delete group", c.runTool(t, 1, "", groupTool, "--delete", "--group", consoleGroup), "successful")
		c.runTool(t, 2, "", topicTool, "--delete", "--topic", consoleTopic)
		if text := c.runTool(t, 0, "", topicTool, "--list"); strings.Contains(text, consoleTopic) {
			t.Errorf("a deleted topic is still listed:\n%s", text)
		}
	})
}

// checkVersions checks that each broker responds at its address for the client's zone,
// and the versions in the response.
func (c consoleTools) checkVersions(t *testing.T) {
	text := c.runTool(t, 1, "", versionTool)
	for broker := range devserver.Zones {
		expectOutput(t, "broker-api-versions", text, `(?m)^`+regexp.QuoteMeta(c.d.Addr(broker, 1))+` \(id: `+fmt.Sprint(broker)+` rack: dev-`+string(rune('a'+broker))+` `)
	}
	for _, p := range []string{`Produce\(0\): 0 to 13 `, `Fetch\(1\): 4 to 18 `, `ApiVersions\(18\): 0 to 5 `, `InitProducerId\(22\): 0 to `} {
		if n := len(regexp.MustCompile(p).FindAllString(text, -1)); n != devserver.Zones {
			t.Errorf("%d of %d brokers say %q:\n%s", n, devserver.Zones, p, text)
		}
	}
}

func (c consoleTools) listOffsets(t *testing.T, at string) string {
	t.Helper()
	return c.runTool(t, 2, "", offsetTool, "--topic", consoleTopic, "--time", at)
}

// produceConsume produces records in one zone and consumes them in another, in two
// runs of the same group.
func (c consoleTools) produceConsume(t *testing.T) {
	for go2 := range 2 {
		var in, want []string
		for i := range 40 {
			in = append(in, fmt.Sprintf("key %d\tvalue %d of go %d", i, i, go2))
			want = append(want, fmt.Sprintf("key %d|value %d of go %d", i, i, go2))
		}
		c.runTool(t, 0, strings.Join(in, "\n")+"\n", producerTool, "--topic", consoleTopic, "--property", "parse.key=true", "--compression-codec", "zstd")
		text := c.runTool(t, 1, "", consumerTool, "--topic", consoleTopic, "--group", consoleGroup, "--from-beginning", "--max-messages", "40",
			"--timeout-ms", "60000", "--property", "print.key=true", "--property", "key.separator=|")
		got := strings.Split(strings.TrimSpace(text), "\n")
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("go %d: read\n%s\nwant\n%s", go2, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	total := 0
	for _, m := range regexp.MustCompile(`(?m)^`+consoleTopic+`:\d+:(\d+)$`).FindAllStringSubmatch(c.listOffsets(t, "latest"), -1) {
		n := 0
		if _, err := fmt.Sscan(m[1], &n); err != nil {
			t.Fatal(err)
		}
		total += n
	}
	if total != 80 {
		t.Errorf("kafka-get-offsets adds up to %d, want 80", total)
	}
}
