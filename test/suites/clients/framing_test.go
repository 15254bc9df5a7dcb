//go:build clients

package clients

import (
	"context"
	"fmt"
	"hash/crc32"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/zonewise/zonewise/test/framing"
	"github.com/zonewise/zonewise/test/testenv/devserver"
	"github.com/zonewise/zonewise/test/testenv/kafkaoracle"
)

const framedTopic = "framed"

// refusedByZonewise is accepted by Kafka and refused here: Kafka's Java reader does not
// check that checksum. librdkafka and franz-go do, and stop at such a batch for ever.
const refusedByZonewise = "lz4: a wrong checksum of the content"

// knownUnreadable are the framings that Kafka and zonewise accept although one of the
// readers cannot read them, from Kafka either.
func knownUnreadable() map[string][]string {
	return map[string][]string{
		"librdkafka": {"gzip: two members", "gzip: an empty member first", "gzip: reserved flags", "snappy: Java's framing, a header in the middle",
			"snappy: Java's framing, bytes behind it", "lz4: the frame twice", "lz4: bytes behind it", "lz4: a skippable frame last"},
		"franz-go": {"gzip: zeros behind it", "gzip: a byte behind it", "gzip: other bytes behind it", "gzip: reserved flags",
			"snappy: Java's framing, a header in the middle", "snappy: Java's framing, bytes behind it", "lz4: bytes behind it"},
	}
}

// sameAnswer compares results: where Java's decoder throws, Apache Kafka returns an
// unknown error.
func sameAnswer(ours, theirs string) bool {
	return ours == theirs || ours == "code 87" && theirs == "code -1"
}

// TestWhatIsTakenIsReadByAll produces batches in every framing of every codec, one
// per partition, to Apache Kafka and to zonewise: both return the same results. Java,
// librdkafka and franz-go then read the accepted batches from zonewise.
func TestWhatIsTakenIsReadByAll(t *testing.T) {
	readers := readersOfFramings(t)
	all := allFramings(t)
	kafka := kafkaoracle.Start(t, kafkaoracle.Options{})
	ours := devserver.Start(t, "--zones", "1")
	theirs := produceFramings(t, kafka.Bootstrap[0], 1, all)
	codes := produceFramings(t, ours.Bootstrap(0), len(all), all)
	var taken []int
	for i, f := range all {
		if !sameAnswer(codes[i], theirs[i]) && f.name != refusedByZonewise {
			t.Errorf("%s: %s, at Apache Kafka %s", f.name, codes[i], theirs[i])
		}
		if codes[i] == "taken" {
			taken = append(taken, i)
		}
	}
	sum := uint32(0)
	for i := range framing.Records {
		sum = crc32.Update(sum, crc32.IEEETable, framedValue(i))
	}
	want := fmt.Sprintf("%d records, %08x", framing.Records, sum)
	for _, r := range readers {
		found := r.read(t, ours.Bootstrap(0), together(taken, 1))
		for _, i := range taken {
			fails := slices.Contains(knownUnreadable()[r.name], all[i].name)
			if (found[i] == want) == fails {
				t.Errorf("%s: %s finds %q, and is known to fail: %v", all[i].name, r.name, found[i], fails)
			}
		}
	}
	fmt.Printf("    framings: %d tried, %d taken\n", len(all), len(taken))
}

// produceFramings sends each framing to the partition of its index, or to the last
// partition, and returns the results.
func produceFramings(t *testing.T, bootstrap string, partitions int, all []framed) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(0, 12) // the last version with topic names
	c, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.MaxVersions(versions))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := kadm.NewClient(c).CreateTopic(ctx, int32(partitions), 1, nil, framedTopic); err != nil {
		t.Fatal(err)
	}
	meta, err := kadm.NewClient(c).BrokerMetadata(ctx)
	if err != nil {
		t.Fatal(err)
	}
	codes := make([]string, len(all))
	var senders sync.WaitGroup
	turns := make(chan struct{}, 16)
	for i, f := range all {
		turns <- struct{}{}
		senders.Go(func() {
			defer func() { <-turns }()
			req := kmsg.NewPtrProduceRequest()
			req.Acks, req.TimeoutMillis = -1, 10_000
			req.Topics = []kmsg.ProduceRequestTopic{{Topic: framedTopic, Partitions: []kmsg.ProduceRequestTopicPartition{
				{Partition: int32(min(i, partitions-1)), Records: framing.Batch(f.codec, framing.Records, f.body)}}}}
			codes[i] = produceResult(ctx, c, int(meta.Brokers[0].NodeID), req)
		})
	}
	senders.Wait()
	return codes
}

// produceResult returns the result of a Produce request for one partition, once its
// leader is known.
func produceResult(ctx context.Context, c *kgo.Client, node int, req *kmsg.ProduceRequest) string {
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
