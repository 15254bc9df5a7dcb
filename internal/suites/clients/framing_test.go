//go:build clients

package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/zonewise/zonewise/internal/testenv/devserver"
	"github.com/zonewise/zonewise/internal/testenv/kafkaoracle"
)

const framedTopic = "framed"

// refusedHere is what Kafka takes and we do not: its Java reader does not look at
// that checksum. librdkafka and franz-go do, and stop at such a batch for ever.
const refusedHere = "lz4: a wrong checksum of the content"

// unreadable are the framings that Kafka takes, and so do we, though one of the
// readers cannot read them: at Kafka neither.
func unreadable() map[string][]string {
	return map[string][]string{
		"librdkafka": {"gzip: two members", "gzip: an empty member first", "gzip: reserved flags", "snappy: Java's framing, a header in the middle",
			"snappy: Java's framing, bytes behind it", "lz4: the frame twice", "lz4: bytes behind it", "lz4: a skippable frame last"},
		"franz-go": {"gzip: zeros behind it", "gzip: a byte behind it", "gzip: other bytes behind it", "gzip: reserved flags",
			"snappy: Java's framing, a header in the middle", "snappy: Java's framing, bytes behind it", "lz4: bytes behind it"},
	}
}

// TestWhatIsTakenIsReadByAll produces batches in every framing of every codec, a
// partition each, to Apache Kafka and to zonewise: both answer the same. What is
// taken is then read from zonewise by Java, librdkafka and franz-go.
func TestWhatIsTakenIsReadByAll(t *testing.T) {
	classes, err := kafkaoracle.Classpath()
	needed(t, "Apache Kafka", err)
	python, err := pythonProgram("clients-python", "framings.py")
	needed(t, "librdkafka", err)
	all := framings(t)
	kafka := kafkaoracle.Start(t, kafkaoracle.Options{})
	ours := devserver.Start(t, "--zones", "1")
	theirs := produceFramings(t, kafka.Bootstrap[0], all)
	codes := produceFramings(t, ours.Bootstrap(0), all)
	var taken []string
	for i, f := range all {
		// What Java's decoder throws at is an unknown error at Apache Kafka.
		same := codes[i] == theirs[i] || codes[i] == "code 87" && theirs[i] == "code -1"
		if !same && f.name != refusedHere {
			t.Errorf("%s: %s, at Apache Kafka %s", f.name, codes[i], theirs[i])
		}
		if codes[i] == "taken" {
			taken = append(taken, strconv.Itoa(i))
		}
	}
	root, err := devserver.Repository()
	if err != nil {
		t.Fatal(err)
	}
	java := append(javaCommand(classes, filepath.Join(root, "internal", "tools", "clients-java", "Framings.java")), ours.Bootstrap(0), framedTopic)
	for name, found := range map[string]map[string]string{
		"Java":       readFramings(t, java, taken),
		"librdkafka": readFramings(t, append(python, ours.Bootstrap(0), framedTopic), taken),
		"franz-go":   franzReads(t, ours.Bootstrap(0), taken),
	} {
		for i, f := range all {
			text, fails := found[strconv.Itoa(i)], slices.Contains(unreadable()[name], f.name)
			if codes[i] == "taken" && (text == fmt.Sprintf("%d records", framedRecords)) == fails {
				t.Errorf("%s: %s finds %q, and is known to fail: %v", f.name, name, text, fails)
			}
		}
	}
	fmt.Printf("    framings: %d tried, %d taken\n", len(all), len(taken))
}

// produceFramings sends each framing to a partition of its own, and returns what
// it was answered.
func produceFramings(t *testing.T, bootstrap string, all []framing) (codes []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(0, 12) // the last one that names topics
	c, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.MaxVersions(versions))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := kadm.NewClient(c).CreateTopic(ctx, int32(len(all)), 1, nil, framedTopic); err != nil {
		t.Fatal(err)
	}
	meta, err := kadm.NewClient(c).BrokerMetadata(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range all {
		req := kmsg.NewPtrProduceRequest()
		req.Acks, req.TimeoutMillis = -1, 10_000
		req.Topics = []kmsg.ProduceRequestTopic{{Topic: framedTopic, Partitions: []kmsg.ProduceRequestTopicPartition{{Partition: int32(i), Records: batchOf(f)}}}}
		codes = append(codes, answerTo(ctx, c, int(meta.Brokers[0].NodeID), req))
	}
	return codes
}

// answerTo is what a Produce request of one partition is answered, when its
// leader is known.
func answerTo(ctx context.Context, c *kgo.Client, node int, req *kmsg.ProduceRequest) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for ; ; time.Sleep(50 * time.Millisecond) {
		resp, err := c.Broker(node).Request(ctx, req)
		if err != nil {
			return err.Error()
		}
		p := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		switch err := kerr.ErrorForCode(p.ErrorCode); {
		case err == nil:
			return "taken"
		case !kerr.IsRetriable(err) || p.ErrorCode == kerr.CorruptMessage.Code:
			return fmt.Sprintf("code %d", p.ErrorCode)
		}
	}
}

// readFramings has a program read partitions; it prints what it found in each.
func readFramings(t *testing.T, command, partitions []string) (found map[string]string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], append(command[1:], partitions...)...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &found)
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s\n%s", command[0], err, out, errs.String())
	}
	return found
}

// franzReads reads partitions one after the other.
func franzReads(t *testing.T, bootstrap string, partitions []string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, text := range partitions {
		p, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		c, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{framedTopic: {int32(p): kgo.NewOffset().AtStart()}}))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		n, failed := 0, error(nil)
		for n < framedRecords && failed == nil {
			fetches := c.PollFetches(ctx)
			failed = fetches.Err()
			n += fetches.NumRecords()
		}
		cancel()
		c.Close()
		if found[text] = fmt.Sprintf("%d records", n); failed != nil {
			found[text] += ": " + failed.Error()
		}
	}
	return found
}
