package broker

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/broker/groups"
	"github.com/zonewise/zonewise/metadata"
)

// Members of the consumer protocol (KIP-848) come and go while records flow:
// everything is read, and nothing that was committed is read again.
func TestKgoConsumersOfTheNewProtocolReadEverything(t *testing.T) {
	for _, regex := range []bool{false, true} {
		t.Run(fmt.Sprintf("regex=%v", regex), func(t *testing.T) {
			w := newWorld(t)
			n := w.tcp("a", []metadata.ZoneID{"a"}, func(c *Config) { c.DefaultPartitions = 6 })
			ctx := testContext(t)
			p := n.client(t, "a", kgo.DefaultProduceTopic("t-1"), kgo.AllowAutoTopicCreation())
			produce := func(from, to int) {
				t.Helper()
				for i := from; i < to; i++ {
					p.Produce(ctx, kgo.KeySliceRecord([]byte(fmt.Sprint(i)), []byte(fmt.Sprint(i))), func(_ *kgo.Record, err error) {
						if err != nil {
							t.Error(err)
						}
					})
				}
				if err := p.Flush(ctx); err != nil {
					t.Fatal(err)
				}
			}
			produce(0, 500)
			seen := make(chan string, 10_000)
			var wg sync.WaitGroup
			consume := func(stop context.Context) {
				opts := []kgo.Opt{kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t-1"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
					kgo.ServerSideBalancer(), kgo.DisableAutoCommit()}
				if regex {
					opts = append(opts, kgo.ConsumeRegex())
				}
				cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(n.zoned["a"]))...)
				if err != nil {
					t.Error(err)
					return
				}
				wg.Go(func() {
					defer cl.Close()
					for stop.Err() == nil {
						f := cl.PollRecords(stop, 50)
						f.EachRecord(func(r *kgo.Record) { seen <- string(r.Value) })
						if err := cl.CommitUncommittedOffsets(ctx); err != nil && stop.Err() == nil {
							t.Logf("commit: %v", err)
						}
					}
				})
			}
			first, stopFirst := context.WithCancel(ctx)
			all, stopAll := context.WithCancel(ctx)
			defer stopFirst()
			defer stopAll()
			consume(first)
			got := map[string]int{}
			read := func(total int) {
				t.Helper()
				for len(got) < total {
					select {
					case v := <-seen:
						got[v]++
					case <-ctx.Done():
						t.Fatalf("read %d of %d", len(got), total)
					}
				}
			}
			read(500)
			consume(all)
			produce(500, 1000)
			read(1000)
			list := n.groups.List(ctx, groups.Client{}, kmsg.NewPtrListGroupsRequest())
			if len(list.Groups) != 1 || list.Groups[0].GroupType != "consumer" {
				t.Errorf("groups: %+v", list.Groups)
			}
			stopFirst() // leaves; the other takes over
			produce(1000, 1500)
			read(1500)
			stopAll()
			wg.Wait()
			twice := 0
			for _, n := range got {
				twice += n - 1
			}
			if twice > 300 { // what the first had polled and not committed when partitions moved
				t.Errorf("%d records were read twice", twice)
			}
		})
	}
}
