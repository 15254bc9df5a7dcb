//go:build clients

package clients

import (
	"fmt"
	"os"
	"testing"

	"github.com/zonewise/zonewise/test/testenv/devserver"
	"github.com/zonewise/zonewise/test/testenv/kafkaoracle"
)

const wideTopics = 2500

// TestWideSubscriptions has two Java consumers share 2,500 topics of 64
// characters, one joining after the other, with each assignor and protocol: a
// member's metadata is 160 KiB for each assignor that it supports, and more once it
// has partitions. SUITE_TARGET=kafka runs it against Apache Kafka.
func TestWideSubscriptions(t *testing.T) {
	cp, err := javaClassPath()
	skipIfMissing(t, "java", err)
	var bootstrap string
	if os.Getenv("SUITE_TARGET") == "kafka" {
		bootstrap = kafkaoracle.Start(t, kafkaoracle.Options{}).Bootstrap[0]
	} else {
		bootstrap = devserver.Start(t).Bootstrap(0)
	}
	const assignor = "partition.assignment.strategy=org.apache.kafka.clients.consumer."
	for _, c := range []struct{ name, setting string }{
		{"by-default", "client.rack="}, // range and cooperative-sticky
		{"range", assignor + "RangeAssignor"},
		{"cooperative-sticky", assignor + "CooperativeStickyAssignor"},
		{"consumer-protocol", "group.protocol=consumer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			expectOutput(t, c.name, runProgram(t, javaCommand(cp, "Wide"), bootstrap, "wide-", fmt.Sprint(wideTopics), "group-"+c.name, c.setting),
				fmt.Sprintf(`(?m)^2 consumers have %d partitions$`, wideTopics))
		})
	}
}
