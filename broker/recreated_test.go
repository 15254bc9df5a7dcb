package broker

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/zonewise/zonewise/metadata"
)

// docs/compatibility-notes.md says what clients do when a topic is deleted and
// created again under them.

func TestTopicCreatedAgainTakesAProducerWhereItStands(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		first := r.makeTopic("t", 1)
		pid := r.roundTrip(kmsg.NewPtrInitProducerIDRequest()).(*kmsg.InitProducerIDResponse).ProducerID
		for seq := range int32(3) {
			if got := r.produce("t", batchWith(nowMs(), pid, seq, 0, "v")); got.ErrorCode != 0 {
				t.Fatalf("%+v", got)
			}
		}
		del := kmsg.NewPtrDeleteTopicsRequest()
		del.Version, del.Topics = 6, []kmsg.DeleteTopicsRequestTopic{{Topic: kmsg.StringPtr("t")}}
		r.roundTrip(del)
		if got := r.produce("t", batchWith(nowMs(), pid, 3, 0, "v")); got.ErrorCode != 3 {
			t.Errorf("to the deleted topic: %+v", got)
		}
		second := r.makeTopic("t", 1)
		byID := func(id metadata.TopicID, seq int32) kmsg.ProduceResponseTopicPartition {
			return r.roundTrip(produceOf(13, "", id, -1, batchWith(nowMs(), pid, seq, 0, "v"))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		}
		if got := byID(first, 3); got.ErrorCode != 100 {
			t.Errorf("to the first topic's id: %+v", got)
		}
		if got := byID(second, 4); !willRetry(got.ErrorCode) {
			t.Errorf("to the second topic, before what the first did not take comes again: %+v", got)
		}
		if got := byID(second, 3); got.ErrorCode != 0 || got.BaseOffset != 0 {
			t.Errorf("to the second topic, where the producer stands: %+v", got)
		}
		if got := byID(second, 3); got.ErrorCode != 0 || got.BaseOffset != 0 {
			t.Errorf("a retry: %+v", got)
		}
		if got := byID(second, 5); got.ErrorCode != 45 {
			t.Errorf("beyond a gap: %+v", got)
		}
		if got := byID(second, 4); got.ErrorCode != 0 || got.BaseOffset != 1 {
			t.Errorf("the next: %+v", got)
		}
	})
}

// againAndAgain lets a client produce 100 records to a topic, deletes it and makes
// it again, lets act go on, and returns how many records the new topic has.
func againAndAgain(t *testing.T, opts []kgo.Opt, act func(ctx context.Context, cl *kgo.Client)) int64 {
	t.Helper()
	w := newWorld(t)
	n := w.tcp("a", []metadata.ZoneID{"a"}, func(c *Config) { c.AutoCreate = false })
	ctx := testContext(t)
	adm := kadm.NewClient(n.client(t, "a"))
	if _, err := adm.CreateTopic(ctx, 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	opts = append(opts, kgo.DefaultProduceTopic("t"), kgo.MetadataMinAge(50*time.Millisecond))
	cl := n.client(t, "a", opts...)
	for i := range 100 {
		if err := cl.ProduceSync(ctx, kgo.StringRecord(fmt.Sprint(i))).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := adm.DeleteTopic(ctx, "t"); err != nil {
		t.Fatal(err)
	}
	if _, err := adm.CreateTopic(ctx, 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	act(ctx, cl)
	end, err := adm.ListEndOffsets(ctx, "t")
	if err != nil {
		t.Fatal(err)
	}
	return end["t"][0].Offset
}

func TestFranzGoKeepsToTheTopicIdThatItKnewUntilItIsPurged(t *testing.T) {
	got := againAndAgain(t, nil, func(ctx context.Context, cl *kgo.Client) {
		if err := cl.ProduceSync(ctx, kgo.StringRecord("lost")).FirstErr(); !errors.Is(err, kerr.UnknownTopicID) {
			t.Errorf("before the purge: %v", err)
		}
		cl.PurgeTopicsFromProducing("t")
		for range 10 {
			if err := cl.ProduceSync(ctx, kgo.StringRecord("kept")).FirstErr(); err != nil {
				t.Errorf("after the purge: %v", err)
			}
		}
	})
	if got != 10 {
		t.Errorf("%d records, want 10", got)
	}
}

func TestFranzGoOfKafka24GoesOnByName(t *testing.T) {
	got := againAndAgain(t, []kgo.Opt{kgo.MaxVersions(kversion.V2_4_0())}, func(ctx context.Context, cl *kgo.Client) {
		for range 10 {
			if err := cl.ProduceSync(ctx, kgo.StringRecord("kept")).FirstErr(); err != nil {
				t.Errorf("by name: %v", err)
			}
		}
	})
	if got != 10 {
		t.Errorf("%d records, want 10", got)
	}
}
