//go:build clients

package clients

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/zonewise/zonewise/test/testenv/devserver"
)

var (
	everyCodec = []string{"none", "gzip", "snappy", "lz4", "zstd"}
	bothKinds  = []bool{true, false}
)

// testedClients lists the clients that implement the commands of doc.go.
func testedClients() []clientSpec {
	return []clientSpec{
		{name: "franz-go", prepare: goClient, flags: []string{"--family", "franz-go"}, codecs: everyCodec, idempotence: bothKinds, checksLeaders: true, keepsID: true},
		{name: "sarama", prepare: goClient, flags: []string{"--family", "sarama"}, codecs: everyCodec, idempotence: bothKinds, checksLeaders: true},
		{name: "sarama-at-4.1", prepare: goClient, flags: []string{"--family", "sarama", "--version", "4.1.0"}, codecs: everyCodec, idempotence: bothKinds, checksLeaders: true},
		{name: "kafka-go", prepare: goClient, flags: []string{"--family", "kafka-go"}, codecs: everyCodec, idempotence: []bool{false}, emptyIsNull: true, mayRepeat: true},
		{name: "java", prepare: javaClient, codecs: everyCodec, idempotence: bothKinds, checksLeaders: true},
		{name: "confluent-kafka", prepare: pythonClient, codecs: everyCodec, idempotence: bothKinds, checksLeaders: true},
		{name: "kafka-python", prepare: kafkaPythonClient, codecs: everyCodec, idempotence: bothKinds, skipsCompression: true},
		{name: "aiokafka", prepare: aioKafkaClient, codecs: everyCodec, idempotence: bothKinds},
		{name: "rdkafka-rust", prepare: rustClient, codecs: everyCodec, idempotence: bothKinds, checksLeaders: true},
		{name: "spring-settings", prepare: javaClient, flags: []string{"--settings", "spring"}, codecs: []string{"none", "zstd"}, idempotence: []bool{true}},
		// The consumer protocol (KIP-848), in the clients that support it.
		{name: "franz-go-consumer-protocol", prepare: goClient, flags: []string{"--family", "franz-go", "--group-protocol", "consumer"}, codecs: everyCodec, idempotence: []bool{true}},
		{name: "java-consumer-protocol", prepare: javaClient, flags: []string{"--group-protocol", "consumer"}, codecs: everyCodec, idempotence: []bool{true}},
		{name: "confluent-kafka-consumer-protocol", prepare: pythonClient, flags: []string{"--group-protocol", "consumer"}, codecs: everyCodec, idempotence: []bool{true}},
		{name: "kafkajs", prepare: nodeClient, codecs: everyCodec, idempotence: bothKinds},
	}
}

// TestClients runs the clients against one cluster, as many in parallel as -parallel
// sets: each has its own topics and groups. -run 'TestClients/java' runs one;
// `make clients` runs all, two at a time.
func TestClients(t *testing.T) {
	d := devserver.Start(t)
	folder := t.TempDir()
	for _, c := range testedClients() {
		runTimed(t, d, c.name, func(t *testing.T) {
			command, err := c.prepare(folder)
			skipIfMissing(t, c.name, err)
			w := commandClient{c, command}
			t.Run("scenario", func(t *testing.T) { runScenario(t, d, c, w) })
			if c.checksLeaders {
				t.Run("leaders", func(t *testing.T) { checkLeadersInZone(t, d, w) })
			}
		})
	}
	runTimed(t, d, "kcat", func(t *testing.T) {
		skipIfMissing(t, "kcat", installKcat())
		kcatClient(t, d)
	})
	runTimed(t, d, "java-tools", func(t *testing.T) {
		cp, err := javaClassPath()
		skipIfMissing(t, "java-tools", err)
		runConsoleTools(t, d, cp)
	})
	runEcosystem(t, d)
	runTimed(t, d, "unknown-zone", func(t *testing.T) { checkUnknownZone(t, d) })
}

// runTimed runs a sub-test, prints its duration, and shows the broker's log if it
// failed.
func runTimed(t *testing.T, d *devserver.Dev, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		began := time.Now()
		t.Cleanup(func() {
			fmt.Printf("    %s: %.1f s\n", name, time.Since(began).Seconds())
			if t.Failed() {
				t.Log(d.Tail())
			}
		})
		f(t)
	})
}

// skipIfMissing ends a sub-test whose client cannot run here: under CI that fails.
func skipIfMissing(t *testing.T, name string, err error) {
	t.Helper()
	var missing missingError
	switch {
	case err == nil:
	case errors.As(err, &missing):
		fmt.Printf("not run: %s: %s\n", name, missing.why)
		if os.Getenv("CI") == "true" {
			t.Fatalf("not run: %s: %s; under CI=true that is a failure", name, missing.why)
		}
		t.Skipf("not run: %s: %s", name, missing.why)
	default:
		t.Fatal(err)
	}
}

const refreshes = 100

// checkLeadersInZone requests the leaders many times through each zone's bootstrap.
func checkLeadersInZone(t *testing.T, d *devserver.Dev, w commandClient) {
	topic := "topic-of-" + w.name
	for zone := range devserver.Zones {
		var home []string
		for broker := range devserver.Zones {
			home = append(home, d.Addr(broker, zone))
		}
		seen, last := 0, 0
		for _, l := range runToEnd(t, w.name+" leaders", jsonOutput, nil, w.commandArgs("leaders", d.Bootstrap(zone), topic, "--refreshes", fmt.Sprint(refreshes))...) {
			if l.Refresh == 0 {
				continue
			}
			seen, last = seen+1, l.Refresh
			if len(l.Leaders) != partitions {
				t.Fatalf("zone %d, refresh %d: %d leaders, want %d", zone, l.Refresh, len(l.Leaders), partitions)
			}
			for p, addr := range l.Leaders {
				if addr != d.Bootstrap(zone) {
					t.Fatalf("zone %d, refresh %d: partition %s is led by %s, want %s", zone, l.Refresh, p, addr, d.Bootstrap(zone))
				}
			}
			for _, addr := range l.Brokers {
				if !slices.Contains(home, addr) {
					t.Fatalf("zone %d, refresh %d: broker at %s, which is no address of this zone (%v)", zone, l.Refresh, addr, home)
				}
			}
		}
		if seen == 0 || last < refreshes {
			t.Fatalf("zone %d: %d refreshes, %d of them seen, want %d", zone, last, seen, refreshes)
		}
	}
}
