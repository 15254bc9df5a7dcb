package broker

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

type fetchWant struct {
	topic  string
	id     metadata.TopicID
	index  int32
	offset int64
}

func fetchOf(version int16, session, epoch int32, waitMs int32, want ...fetchWant) *kmsg.FetchRequest {
	q := kmsg.NewPtrFetchRequest()
	q.Version, q.SessionID, q.SessionEpoch, q.MaxWaitMillis, q.MinBytes, q.MaxBytes = version, session, epoch, waitMs, 1, 1<<20
	for _, w := range want {
		rt := kmsg.NewFetchRequestTopic()
		rt.Topic, rt.TopicID = w.topic, w.id
		rp := kmsg.NewFetchRequestTopicPartition()
		rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = w.index, w.offset, 1<<20
		rt.Partitions = append(rt.Partitions, rp)
		q.Topics = append(q.Topics, rt)
	}
	return q
}

func (r *raw) fetch(q *kmsg.FetchRequest) *kmsg.FetchResponse {
	r.t.Helper()
	return r.roundTrip(q).(*kmsg.FetchResponse)
}

// describeFetch lists what an answer says of partitions: index:error:bytes.
func describeFetch(resp *kmsg.FetchResponse) string {
	out := ""
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			out += fmt.Sprintf("%d:%d:%v ", p.Partition, p.ErrorCode, len(p.RecordBatches) > 0)
		}
	}
	return out
}

func TestIncrementalFetchesSayOnlyWhatChanged(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		id := r.makeTopic("t", 2)
		resp := r.fetch(fetchOf(13, 0, 0, 10, fetchWant{id: id, index: 0}, fetchWant{id: id, index: 1}))
		sid := resp.SessionID
		if sid == 0 || describeFetch(resp) != "0:0:false 1:0:false " {
			t.Fatalf("session %d, %q", sid, describeFetch(resp))
		}
		begun := time.Now()
		resp = r.fetch(fetchOf(13, sid, 1, 500))
		if waited := time.Since(begun); describeFetch(resp) != "" || waited < 500*time.Millisecond { // kafka-protocol.md 19, #13
			t.Errorf("nothing new: said %q after %v", describeFetch(resp), waited)
		}
		for range 2 {
			r.roundTrip(produceOf(13, "", id, -1, batchOf(nowMs(), "y")))
		}
		if resp = r.fetch(fetchOf(13, sid, 2, 500)); describeFetch(resp) != "0:0:true " {
			t.Errorf("said %q", describeFetch(resp))
		}
		resp = r.fetch(fetchOf(13, sid, 3, 500, fetchWant{id: id, index: 0, offset: 2}))
		if describeFetch(resp) != "" {
			t.Errorf("after taking it: said %q", describeFetch(resp))
		}
		if resp = r.fetch(fetchOf(13, sid, 3, 0)); resp.ErrorCode != 71 {
			t.Errorf("old epoch: error %d", resp.ErrorCode)
		}
		if resp = r.fetch(fetchOf(13, sid+1, 4, 0)); resp.ErrorCode != 70 {
			t.Errorf("unknown session: error %d", resp.ErrorCode)
		}
		if resp = r.fetch(fetchOf(12, sid, 4, 0)); resp.ErrorCode != 106 {
			t.Errorf("names in a session of ids: error %d", resp.ErrorCode)
		}
		gone := metadata.TopicID{9}
		resp = r.fetch(fetchOf(13, sid, 4, 10, fetchWant{id: gone}))
		if describeFetch(resp) != "0:100:false " {
			t.Errorf("unknown id: said %q", describeFetch(resp))
		}
		if resp = r.fetch(fetchOf(13, sid, 5, 10)); describeFetch(resp) != "0:100:false " {
			t.Errorf("unknown id again: said %q", describeFetch(resp))
		}
		forget := fetchOf(13, sid, 6, 10)
		forget.ForgottenTopics = []kmsg.FetchRequestForgottenTopic{{TopicID: gone, Partitions: []int32{0}}}
		if resp = r.fetch(forget); describeFetch(resp) != "" {
			t.Errorf("forgotten: said %q", describeFetch(resp))
		}
		if resp = r.fetch(fetchOf(13, sid, -1, 0)); resp.SessionID != 0 || n.server.sessionSlots.Load() != 0 {
			t.Errorf("closed: session %d, %d slots taken", resp.SessionID, n.server.sessionSlots.Load())
		}
	})
}

func TestLongPollIsWokenByAnotherConnectionsProduce(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r, p := dial(), dial()
		id := r.makeTopic("t", 1)
		r.send(fetchOf(11, 0, -1, 60_000, fetchWant{topic: "t"}))
		time.Sleep(time.Second)
		begun := time.Now()
		p.roundTrip(produceOf(9, "t", id, -1, batchOf(nowMs(), "x")))
		resp := r.receive(fetchOf(11, 0, -1, 0), r.next).(*kmsg.FetchResponse)
		if describeFetch(resp) != "0:0:true " || time.Since(begun) > time.Second {
			t.Errorf("said %q after %v", describeFetch(resp), time.Since(begun))
		}
	})
}

func TestFetchOutOfRangeIsCertainAndUnknownTopicsAreUnknown(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		id := r.makeTopic("t", 1)
		r.roundTrip(produceOf(9, "t", id, -1, batchOf(nowMs(), "x")))
		for _, tt := range []struct {
			want fetchWant
			code int16
		}{{fetchWant{topic: "t", offset: 1}, 0}, {fetchWant{topic: "t", offset: 2}, 1}, {fetchWant{topic: "t", offset: -1}, 1},
			{fetchWant{topic: "t", index: 7}, 3}, {fetchWant{topic: "absent"}, 3}} {
			resp := r.fetch(fetchOf(11, 0, -1, 10, tt.want))
			if got := resp.Topics[0].Partitions[0]; got.ErrorCode != tt.code || tt.code != 0 && got.HighWatermark != -1 {
				t.Errorf("%+v: error %d, high watermark %d; want error %d", tt.want, got.ErrorCode, got.HighWatermark, tt.code)
			}
		}
	})
}

func TestFirstBatchIsServedWholeBeyondEveryLimit(t *testing.T) { // KIP-74
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		id := r.makeTopic("t", 2)
		big := string(make([]byte, 5000))
		r.roundTrip(produceOf(9, "t", id, -1, batchOf(nowMs(), big), batchOf(nowMs(), big)))
		q := fetchOf(11, 0, -1, 10, fetchWant{topic: "t"}, fetchWant{topic: "t", index: 1})
		q.MaxBytes = 10
		if resp := r.fetch(q); describeFetch(resp) != "0:0:true 1:0:false " {
			t.Errorf("said %q", describeFetch(resp))
		}
	})
}

func TestSessionSlotsComeBackWithTheirConnection(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		r.makeTopic("t", 1)
		r.fetch(fetchOf(11, 0, 0, 10, fetchWant{topic: "t"}))
		if got := n.server.sessionSlots.Load(); got != 1 {
			t.Fatalf("%d slots taken", got)
		}
		r.c.Close()
		synctest.Wait()
		if got := n.server.sessionSlots.Load(); got != 0 {
			t.Errorf("%d slots taken after the connection ended", got)
		}
	})
}

func TestAllErrorAnswersAreDelayedMoreAndMore(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		begun := time.Now()
		for range 10 {
			r.fetch(fetchOf(11, 0, -1, 0, fetchWant{topic: "absent"}))
		}
		if took := time.Since(begun); took < 3*time.Second || took > 10*time.Second {
			t.Errorf("ten hopeless fetches took %v", took)
		}
	})
}

func TestDrainSendsClientsAwayAndEnds(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r, p := dial(), dial()
		id := r.makeTopic("t", 1)
		r.send(fetchOf(11, 0, -1, 60_000, fetchWant{topic: "t"}))
		synctest.Wait()
		done := make(chan error)
		go func() { done <- n.server.Drain(t.Context()) }()
		resp := r.receive(fetchOf(11, 0, -1, 0), r.next).(*kmsg.FetchResponse)
		if describeFetch(resp) != "0:6:false " {
			t.Errorf("parked fetch: said %q", describeFetch(resp))
		}
		got := p.roundTrip(produceOf(9, "t", id, -1, batchOf(nowMs(), "x"))).(*kmsg.ProduceResponse)
		if code := got.Topics[0].Partitions[0].ErrorCode; code != 6 {
			t.Errorf("produce while draining: error %d", code)
		}
		begun := time.Now()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took > time.Second {
			t.Errorf("drained after %v", took)
		}
	})
}

// Where every broker drains, a client of the last one has nowhere to go and
// asks again and again who else there is.
func TestDrainDoesNotWaitForAClientThatAsksWithoutAPause(t *testing.T) {
	for _, alone := range []bool{false, true} {
		drainUnderQuestions(t, alone)
	}
}

func drainUnderQuestions(t *testing.T, alone bool) {
	most := 3 * time.Second
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r, gone := dial(), make(chan struct{})
		go func() {
			defer close(gone)
			q := kmsg.NewPtrMetadataRequest()
			q.Version = 9
			for {
				if _, err := r.c.Write(r.frame(q)); err != nil {
					return
				}
				if _, err := r.tryReceive(q, r.next); err != nil {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		}()
		time.Sleep(time.Second)
		if alone {
			most = 500 * time.Millisecond
			if _, err := n.wal.Submit(t.Context(), []metadata.Command{metadata.DrainSession{}}, nil); err != nil {
				t.Error(err)
			}
		}
		begun := time.Now()
		if err := n.server.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took > most {
			t.Errorf("alone %v: drained after %v", alone, took)
		}
		<-gone
	})
}
