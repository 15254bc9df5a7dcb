//go:build differential

package differential

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// clientView is what a client sees of an allowed difference with each broker.
// test/oracle/allowed.yaml names it as the run that met it.
type clientView struct {
	name            string
	kafka, zonewise string
	see             func(*testClient) string
}

// Each allowed difference that a client can meet is as the list states: franz-go
// meets it with both brokers.
func TestClientsMeetTheAllowedDifferences(t *testing.T) {
	kafka, zonewise := startKafka(t), startZonewise(t)
	for _, m := range clientViews() {
		t.Run(m.name, func(t *testing.T) {
			for _, at := range []struct{ addr, want string }{{kafka, m.kafka}, {zonewise, m.zonewise}} {
				if got := m.see(newTestClient(t, at.addr)); got != at.want {
					t.Errorf("at %s the client saw %q, want %q (Kafka %q, zonewise %q)", at.addr, got, at.want, m.kafka, m.zonewise)
				}
			}
		})
	}
}

func clientViews() []clientView {
	return []clientView{
		{"records that cannot be unpacked", "UNKNOWN_SERVER_ERROR", "INVALID_RECORD", func(v *testClient) string {
			producer := v.newClient(kgo.WithCompressor(badCompressor{}), kgo.RecordRetries(2))
			return codeOf(producer.ProduceSync(v.ctx, &kgo.Record{Topic: v.topic, Value: make([]byte, 1000)}).FirstErr())
		}},
		{"offset deltas that lie", "taken; read: offsets 0 5, then lost records, and from the start again", "INVALID_RECORD", func(v *testClient) string {
			if code := v.produceRaw(rawBatch{values: []string{"a", "b"}, deltas: []int32{0, 5}}); code != "taken" {
				return code
			}
			return "taken; read: offsets" + v.readOffsets()
		}},
		{"a producer id without an epoch", "taken", "INVALID_RECORD", func(v *testClient) string {
			return v.produceRaw(rawBatch{producer: 5, epoch: -1, values: []string{"a"}})
		}},
		{"null records", "no answer", "INVALID_RECORD", func(v *testClient) string { return v.produceRaw(rawBatch{}) }},
		{"a batch that was sent six batches ago", "OUT_OF_ORDER_SEQUENCE_NUMBER", "taken", func(v *testClient) string {
			p := v.producerID()
			for i := range int32(7) {
				v.produceRaw(rawBatch{producer: p, sequence: i, values: []string{"a"}})
			}
			return v.produceRaw(rawBatch{producer: p, values: []string{"a"}})
		}},
		{"the time of a duplicate", "the first one's", "none", func(v *testClient) string {
			p := v.producerID()
			for range 2 {
				v.produceRaw(rawBatch{producer: p, values: []string{"a"}})
			}
			if v.last.LogAppendTime == -1 {
				return "none"
			}
			return "the first one's"
		}},
		{"a partition that a request names twice", "read: offsets 0, then nothing", "read: offsets 0 1, then nothing", func(v *testClient) string {
			v.produceRaw(rawBatch{values: []string{"a"}}, rawBatch{values: []string{"b"}})
			return "read: offsets" + v.readOffsets()
		}},
		{"an operation on configs that does not exist", "UNKNOWN_SERVER_ERROR", "INVALID_REQUEST", func(v *testClient) string {
			q := kmsg.NewPtrIncrementalAlterConfigsRequest()
			r, c := kmsg.NewIncrementalAlterConfigsRequestResource(), kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
			c.Name, c.Op, c.Value = "retention.ms", 9, kmsg.StringPtr("5")
			r.ResourceType, r.ResourceName, r.Configs = kmsg.ConfigResourceTypeTopic, v.topic, append(r.Configs, c)
			q.Resources = append(q.Resources, r)
			resp, err := q.RequestWith(v.ctx, v.Client)
			if err != nil {
				return codeOf(err)
			}
			return codeOf(kerr.ErrorForCode(resp.Resources[0].ErrorCode))
		}},
		{"a resource that is named twice", "no answer", "INVALID_REQUEST", func(v *testClient) string {
			q := kmsg.NewPtrAlterConfigsRequest()
			r := kmsg.NewAlterConfigsRequestResource()
			r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, v.topic
			q.Resources = append(q.Resources, r, r)
			resp, err := q.RequestWith(v.ctx, v.Client)
			if err != nil {
				return codeOf(err)
			}
			return codeOf(kerr.ErrorForCode(resp.Resources[0].ErrorCode))
		}},
		{"a producer that begins anew with a transaction under way", "epoch 2", "epoch 1", func(v *testClient) string {
			id := kgo.TransactionalID(v.topic)
			first := v.newClient(id, kgo.DefaultProduceTopic(v.topic))
			if err := errors.Join(first.BeginTransaction(), first.ProduceSync(v.ctx, kgo.StringRecord("a")).FirstErr()); err != nil {
				return err.Error()
			}
			_, epoch, err := v.newClient(id).ProducerID(v.ctx)
			if err != nil {
				return err.Error()
			}
			return fmt.Sprint("epoch ", epoch)
		}},
		{"an aborted transaction behind what is read", "1 named; read: offsets 0, then nothing", "0 named; read: offsets 0, then nothing", (*testClient).abortedBehind},
		{"a transaction and a member that are both wrong", "INVALID_TXN_STATE", "ILLEGAL_GENERATION", func(v *testClient) string {
			id := v.newClient(kgo.TransactionalID(v.topic))
			producer, epoch, err := id.ProducerID(v.ctx)
			if err != nil {
				return err.Error()
			}
			q := kmsg.NewPtrTxnOffsetCommitRequest()
			q.TransactionalID, q.Group, q.ProducerID, q.ProducerEpoch, q.Generation, q.MemberID = v.topic, v.topic, producer, epoch, 4, "m"
			part := kmsg.NewTxnOffsetCommitRequestTopicPartition()
			part.Offset = 33
			q.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: v.topic, Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{part}}}
			resp, err := q.RequestWith(v.ctx, v.newClient(kgo.MaxVersions(kversion.V3_7_0())))
			if err != nil {
				return err.Error()
			}
			return codeOf(kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode))
		}},
	}
}

// abortedBehind fetches a batch before an aborted transaction, and returns how many
// aborted transactions the response lists, and what a consumer reads.
func (v *testClient) abortedBehind() string {
	v.produceRaw(rawBatch{values: []string{"a"}})
	p := v.newClient(kgo.TransactionalID(v.topic), kgo.DefaultProduceTopic(v.topic))
	err := errors.Join(p.BeginTransaction(), p.ProduceSync(v.ctx, kgo.StringRecord("b")).FirstErr(), p.EndTransaction(v.ctx, kgo.TryAbort))
	if err != nil {
		return err.Error()
	}
	for admin := kadm.NewClient(v.Client); v.ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		if stable, err := admin.ListCommittedOffsets(v.ctx, v.topic); err == nil && stable[v.topic][0].Offset == 3 {
			break // Kafka writes the marker after the response to EndTxn
		}
	}
	q := kmsg.NewPtrFetchRequest()
	q.MaxBytes, q.IsolationLevel = 1, 1
	part := kmsg.NewFetchRequestTopicPartition()
	part.PartitionMaxBytes = 1
	q.Topics = []kmsg.FetchRequestTopic{{Topic: v.topic, Partitions: []kmsg.FetchRequestTopicPartition{part}}}
	resp, err := q.RequestWith(v.ctx, v.newClient(kgo.MaxVersions(kversion.V2_8_0())))
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d named; read: offsets%s", len(resp.Topics[0].Partitions[0].AbortedTransactions), v.readOffsets())
}
