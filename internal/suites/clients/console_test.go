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

	"github.com/zonewise/zonewise/internal/testenv/devserver"
)

const (
	toolLimit    = 2 * time.Minute
	consoleTopic = "made-by-console"
	consoleGroup = "group-of-console"
)

// console runs the command line tools of Apache Kafka by their main classes.
type console struct {
	d         *devserver.Dev
	classPath string
}

// run runs one tool against a zone's bootstrap and returns what it printed.
func (c console) run(t *testing.T, zone int, input, main string, args ...string) string {
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

// says fails unless a text holds all patterns.
func says(t *testing.T, what, text string, patterns ...string) {
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

// consoleTools goes through them in the order in which a person would. The
// steps build on each other; each tool is asked in another zone.
func consoleTools(t *testing.T, d *devserver.Dev, classPath string) {
	c := console{d, classPath}
	t.Run("broker-api-versions", func(t *testing.T) { c.versions(t) })
	t.Run("topics", func(t *testing.T) {
		says(t, "create", c.run(t, 0, "", topicTool, "--create", "--topic", consoleTopic, "--partitions", "3"), "Created topic "+consoleTopic)
		c.run(t, 1, "", topicTool, "--alter", "--topic", consoleTopic, "--partitions", "4")
		says(t, "list", c.run(t, 2, "", topicTool, "--list"), `(?m)^`+consoleTopic+`$`)
		// The leader is the asker's own broker, in every line.
		text := c.run(t, 2, "", topicTool, "--describe", "--topic", consoleTopic)
		says(t, "describe", text, `PartitionCount: 4\s+ReplicationFactor: 3`, `Partition: 3\s+Leader: 2\s`)
		if n := len(regexp.MustCompile(`Leader: 2\s`).FindAllString(text, -1)); n != 4 {
			t.Errorf("zone 2 sees its broker lead %d of 4 partitions:\n%s", n, text)
		}
	})
	t.Run("producer-consumer", func(t *testing.T) { c.produceConsume(t) })
	t.Run("consumer-groups", func(t *testing.T) {
		says(t, "list", c.run(t, 2, "", groupTool, "--list"), `(?m)^`+consoleGroup+`$`)
		text := c.run(t, 0, "", groupTool, "--describe", "--group", consoleGroup)
		rows := regexp.MustCompile(`(?m)^`+consoleGroup+`\s+`+consoleTopic+`\s+\d+\s+(\d+)\s+(\d+)\s+0\s`).FindAllStringSubmatch(text, -1)
		if len(rows) != 4 || slices.ContainsFunc(rows, func(r []string) bool { return r[1] != r[2] }) {
			t.Errorf("describe: want four partitions, all read to the end:\n%s", text)
		}
		says(t, "describe --state", c.run(t, 1, "", groupTool, "--describe", "--group", consoleGroup, "--state"), `\sEmpty\s+0`)
	})
	t.Run("configs", func(t *testing.T) {
		topic := []string{"--entity-type", "topics", "--entity-name", consoleTopic}
		says(t, "alter", c.run(t, 0, "", configTool, append(topic, "--alter", "--add-config", "retention.ms=3600000,max.message.bytes=2000000")...), "Completed updating")
		says(t, "describe", c.run(t, 1, "", configTool, append(topic, "--describe")...), `retention\.ms=3600000 `, `max\.message\.bytes=2000000 `)
		c.run(t, 2, "", configTool, append(topic, "--alter", "--delete-config", "retention.ms")...)
		text := c.run(t, 0, "", configTool, append(topic, "--describe")...)
		says(t, "describe", text, `max\.message\.bytes=2000000 `)
		if strings.Contains(text, "retention.ms=3600000") {
			t.Errorf("a config that was deleted is still there:\n%s", text)
		}
	})
	t.Run("delete-records", func(t *testing.T) {
		before := c.offsets(t, "latest")
		file := filepath.Join(t.TempDir(), "offsets.json")
		if err := os.WriteFile(file, fmt.Appendf(nil, `{"version":1,"partitions":[{"topic":%q,"partition":1,"offset":3}]}`, consoleTopic), 0o644); err != nil {
			t.Fatal(err)
		}
		says(t, "delete records", c.run(t, 0, "", deleteTool, "--offset-json-file", file), consoleTopic+`-1\s+low_watermark: 3`)
		says(t, "earliest offsets", c.offsets(t, "earliest"), consoleTopic+`:0:0\b`, consoleTopic+`:1:3\b`)
		if after := c.offsets(t, "latest"); after != before {
			t.Errorf("latest offsets changed from\n%s to\n%s", before, after)
		}
	})
	t.Run("delete", func(t *testing.T) {
		says(t, "delete group", c.run(t, 1, "", groupTool, "--delete", "--group", consoleGroup), "successful")
		c.run(t, 2, "", topicTool, "--delete", "--topic", consoleTopic)
		if text := c.run(t, 0, "", topicTool, "--list"); strings.Contains(text, consoleTopic) {
			t.Errorf("a deleted topic is still listed:\n%s", text)
		}
	})
}

// versions sees that each broker answers at its address for the asker's zone,
// and with what.
func (c console) versions(t *testing.T) {
	text := c.run(t, 1, "", versionTool)
	for broker := range devserver.Zones {
		says(t, "broker-api-versions", text, `(?m)^`+regexp.QuoteMeta(c.d.Addr(broker, 1))+` \(id: `+fmt.Sprint(broker)+` rack: dev-`+string(rune('a'+broker))+` `)
	}
	for _, p := range []string{`Produce\(0\): 0 to 13 `, `Fetch\(1\): 4 to 18 `, `ApiVersions\(18\): 0 to 5 `, `InitProducerId\(22\): 0 to `} {
		if n := len(regexp.MustCompile(p).FindAllString(text, -1)); n != devserver.Zones {
			t.Errorf("%d of %d brokers say %q:\n%s", n, devserver.Zones, p, text)
		}
	}
}

func (c console) offsets(t *testing.T, at string) string {
	t.Helper()
	return c.run(t, 2, "", offsetTool, "--topic", consoleTopic, "--time", at)
}

// produceConsume types records in one zone and sees them in another, in two
// goes of the same group.
func (c console) produceConsume(t *testing.T) {
	for go2 := range 2 {
		var in, want []string
		for i := range 40 {
			in = append(in, fmt.Sprintf("key %d\tvalue %d of go %d", i, i, go2))
			want = append(want, fmt.Sprintf("key %d|value %d of go %d", i, i, go2))
		}
		c.run(t, 0, strings.Join(in, "\n")+"\n", producerTool, "--topic", consoleTopic, "--property", "parse.key=true", "--compression-codec", "zstd")
		text := c.run(t, 1, "", consumerTool, "--topic", consoleTopic, "--group", consoleGroup, "--from-beginning", "--max-messages", "40",
			"--timeout-ms", "60000", "--property", "print.key=true", "--property", "key.separator=|")
		got := strings.Split(strings.TrimSpace(text), "\n")
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("go %d: read\n%s\nwant\n%s", go2, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	total := 0
	for _, m := range regexp.MustCompile(`(?m)^`+consoleTopic+`:\d+:(\d+)$`).FindAllStringSubmatch(c.offsets(t, "latest"), -1) {
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
