package broker

import (
	"bytes"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/broker/groups"
	"github.com/zonewise/zonewise/metadata"
)

func commitOf(group, topic string, offset int64) *kmsg.OffsetCommitRequest {
	q := kmsg.NewPtrOffsetCommitRequest()
	q.Version, q.Group, q.Generation = 8, group, -1
	rt := kmsg.NewOffsetCommitRequestTopic()
	rt.Topic = topic
	rp := kmsg.NewOffsetCommitRequestTopicPartition()
	rp.Offset = offset
	rt.Partitions = append(rt.Partitions, rp)
	q.Topics = append(q.Topics, rt)
	return q
}

func (r *raw) committed(group string) int64 {
	r.t.Helper()
	q := kmsg.NewPtrOffsetFetchRequest()
	q.Version, q.Group = 7, group
	resp := r.roundTrip(q).(*kmsg.OffsetFetchResponse)
	if resp.ErrorCode != 0 || len(resp.Topics) != 1 {
		r.t.Fatalf("%+v", resp)
	}
	return resp.Topics[0].Partitions[0].Offset
}

// A recovery leaves a gap of 2^30 offsets between the last record that came back
// and the next. A consumer at its old end reads the marker behind which it goes on,
// once, and waits; its group shows no lag, whether it commits the old end or not.
func TestAConsumerAtTheEndPassesTheGapOfARecovery(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		id := r.makeTopic("t", 1)
		r.produce("t", batchOf(nowMs(), "a", "b", "c"))
		for group, offset := range map[string]int64{"at-end": 3, "behind": 1} {
			if resp := r.roundTrip(commitOf(group, "t", offset)).(*kmsg.OffsetCommitResponse); resp.Topics[0].Partitions[0].ErrorCode != 0 {
				t.Fatalf("commit: %+v", resp)
			}
		}
		out, err := n.wal.Submit(t.Context(), []metadata.Command{metadata.RecoverCluster{Incarnation: n.session.ID().Incarnation()}}, nil)
		if err != nil || out.Commands[0].Code != metadata.CodeOK {
			t.Fatal(err, out)
		}
		for slot := range metadata.Slot(metadata.GroupSlots) { // as the brokers of the new incarnation do
			d := metadata.ClaimRole{Role: groups.SlotRole(slot), Epoch: 1000}
			n.groups.Release(slot)
			n.groups.Prepare(slot)
			if out, err := n.wal.Submit(t.Context(), []metadata.Command{d}, nil); err != nil || out.Commands[0].Code != metadata.CodeOK {
				t.Fatal(err, out)
			}
			n.groups.TakeOver(t.Context(), slot, d.Epoch)
		}
		end := r.listOffset("t", -1).Offset
		if end <= 1<<20 {
			t.Fatalf("the log goes on at %d: no gap", end)
		}
		fetch := func(at int64, wait int32) []byte {
			t.Helper()
			resp := r.fetch(fetchOf(13, 0, -1, wait, fetchWant{id: id, offset: at}))
			p := resp.Topics[0].Partitions[0]
			if p.ErrorCode != 0 || p.HighWatermark != end {
				t.Errorf("fetch at %d: error %d, high watermark %d, want %d", at, p.ErrorCode, p.HighWatermark, end)
			}
			return p.RecordBatches
		}
		for _, at := range []int64{3, 4, end - 1} { // where records were lost, a consumer is beyond what came back
			got := fetch(at, 500)
			h, err := metadata.ParseBatchHeader(got)
			if err != nil || h.Size != len(got) || int64(h.BaseOffset)+h.Offsets() != end || h.Attributes&metadata.AttrControl == 0 || h.Transactional() || h.Producer != metadata.NoProducer {
				t.Errorf("fetch at %d: %+v, %v; want one control batch that ends at %d", at, h, err, end)
				continue
			}
			if key := got[metadata.BatchHeaderSize+5:][:4]; !bytes.Equal(key, []byte{0, 0, 0, 1}) || h.CRC != metadata.BatchCRC(got) {
				t.Errorf("control record of key %x", key)
			}
		}
		begun := time.Now()
		if got := fetch(end, 500); len(got) != 0 || time.Since(begun) < 500*time.Millisecond {
			t.Errorf("at the new end: %d bytes after %v", len(got), time.Since(begun))
		}
		if at, behind := r.committed("at-end"), r.committed("behind"); at != end || behind != 1 {
			t.Errorf("committed %d and %d, want %d and 1", at, behind, end)
		}
		r.roundTrip(commitOf("behind", "t", 3)) // as clients do that commit what they were given last
		if at := r.committed("behind"); at != end {
			t.Errorf("committed %d, want %d", at, end)
		}
		r.produce("t", batchOf(nowMs(), "d"))
		if at := r.listOffset("t", -1).Offset; at != end+1 {
			t.Errorf("the next record has offset %d, want %d", at-1, end)
		}
		if at := r.committed("at-end"); at != end { // which is where the record is
			t.Errorf("committed %d, want %d", at, end)
		}
	})
}
