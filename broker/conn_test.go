package broker

import (
	"encoding/binary"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

func TestAnswersComeInTheOrderOfRequests(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		r.makeTopic("t", 1)
		var asked []kmsg.Request
		var frames [][]byte
		first := r.next + 1
		{
			for i := range 40 {
				var q kmsg.Request
				switch i % 4 {
				case 0, 2:
					q = produceOf(9, "t", metadata.TopicID{}, -1, batchOf(nowMs(), fmt.Sprint(i)))
				case 1:
					q = kmsg.NewPtrMetadataRequest()
				case 3:
					f := kmsg.NewPtrFetchRequest()
					f.Version, f.MaxWaitMillis, f.MinBytes, f.SessionEpoch = 11, 50, 1, -1
					rt := kmsg.NewFetchRequestTopic()
					rt.Topic = "t"
					rp := kmsg.NewFetchRequestTopicPartition()
					rp.PartitionMaxBytes, rp.FetchOffset = 1, int64(i)
					rt.Partitions = append(rt.Partitions, rp)
					f.Topics = append(f.Topics, rt)
					q = f
				}
				asked, frames = append(asked, q), append(frames, r.frame(q))
			}
		}
		go func() {
			for _, f := range frames {
				r.c.Write(f)
			}
		}()
		base := int64(0)
		for i := range 40 {
			resp := r.receive(asked[i], first+int32(i))
			if p, ok := resp.(*kmsg.ProduceResponse); ok {
				got := p.Topics[0].Partitions[0]
				if got.ErrorCode != 0 || got.BaseOffset != base {
					t.Fatalf("request %d: error %d offset %d, want %d", i, got.ErrorCode, got.BaseOffset, base)
				}
				base++
			}
		}
	})
}

func TestPipelinedProducesShareACommit(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		r.makeTopic("t", 1)
		before := n.revisions()
		var frames []byte
		for i := range 5 {
			frames = append(frames, r.frame(produceOf(9, "t", metadata.TopicID{}, -1, batchOf(nowMs(), fmt.Sprint(i))))...)
		}
		go r.c.Write(frames)
		for range 5 {
			if _, err := r.answer(); err != nil {
				t.Fatal(err)
			}
		}
		if n := n.revisions() - before; n > 3 {
			t.Errorf("five pipelined batches took %d commits", n)
		}
	})
}

func (n *node) revisions() (out uint64) {
	n.replica.View(func(st *metadata.State) { out = st.Entries() })
	return out
}

func TestUnknownApiVersionsVersionIsAnsweredWithVersionZero(t *testing.T) { // kafka-protocol.md 19, #1
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		frame := []byte{0, 18, 0, 77, 0, 0, 0, 9, 0xff, 0xff, 1, 2, 3}
		r.c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...))
		b, err := r.answer()
		if err != nil {
			t.Fatal(err)
		}
		resp := kmsg.NewPtrApiVersionsResponse()
		if err := resp.ReadFrom(b[4:]); err != nil || resp.ErrorCode != 35 {
			t.Fatalf("%v, error %d", err, resp.ErrorCode)
		}
		q := kmsg.NewPtrApiVersionsRequest()
		if len(resp.ApiKeys) != 1 || resp.ApiKeys[0].ApiKey != 18 {
			t.Fatalf("%d ranges, want this API's alone", len(resp.ApiKeys))
		}
		q.Version = resp.ApiKeys[0].MaxVersion
		if q.Version != 5 {
			t.Fatalf("highest version %d", q.Version)
		}
		q.ClientSoftwareName, q.ClientSoftwareVersion = "raw", "1.0"
		again := r.roundTrip(q).(*kmsg.ApiVersionsResponse)
		for _, k := range again.ApiKeys {
			if k.ApiKey == 0 && k.MinVersion != 0 {
				t.Error("Produce must be shown from version 0 on (KAFKA-18659)")
			}
		}
		if again.ErrorCode != 0 || len(again.ApiKeys) < 20 {
			t.Errorf("asked again: error %d, %d keys", again.ErrorCode, len(again.ApiKeys))
		}
		q.ClientSoftwareName = "no spaces please"
		if bad := r.roundTrip(q).(*kmsg.ApiVersionsResponse); bad.ErrorCode != 42 {
			t.Errorf("bad software name: error %d", bad.ErrorCode)
		}
	})
}

func TestBadFramesEndTheirConnectionOnly(t *testing.T) {
	frames := map[string][]byte{
		"negative size":      {0xff, 0xff, 0xff, 0xff},
		"size over limit":    {0x7f, 0xff, 0xff, 0xff},
		"size below header":  {0, 0, 0, 4, 0, 0, 0, 0},
		"unknown key":        {0, 0, 0, 10, 0, 99, 0, 0, 0, 0, 0, 1, 0xff, 0xff},
		"unserved version":   {0, 0, 0, 10, 0, 3, 0, 99, 0, 0, 0, 1, 0xff, 0xff},
		"produce version 2":  {0, 0, 0, 10, 0, 0, 0, 2, 0, 0, 0, 1, 0xff, 0xff},
		"client id too long": {0, 0, 0, 10, 0, 3, 0, 0, 0, 0, 0, 1, 0x7f, 0xff},
		"body cut short":     {0, 0, 0, 10, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff},
		"absurd count":       {0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff},
		"metadata of 9 MiB":  {0, 0x90, 0, 0, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff},
	}
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		for name, frame := range frames {
			r := dial()
			go r.c.Write(frame)
			if b, err := r.answer(); err == nil {
				t.Errorf("%s: answered with %d bytes", name, len(b))
			}
		}
		dial().roundTrip(kmsg.NewPtrMetadataRequest())
		synctest.Wait()
		if used := n.server.frames.used(); used != 0 {
			t.Errorf("%d bytes of frames still held", used)
		}
	})
}

func TestProduceOfAbsurdlyManyPartitionsIsRefusedBeforeItIsDecoded(t *testing.T) {
	b := []byte{0, 0xff, 0xff, 0, 0, 0, 1, 2, 2, 'x'} // flexible: null txn id, acks -1, timeout, one topic "x"
	const n = 3 << 20
	b = binary.AppendUvarint(b, n+1)
	b = append(b, make([]byte, 6*n+2)...)
	if _, err := decodeProduce(9, b); err == nil {
		t.Error("a request of three million partitions was decoded")
	}
}

func TestClientThatNeverReadsIsCut(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		begun := time.Now()
		var err error
		for err == nil && time.Since(begun) < time.Hour {
			_, err = r.c.Write(r.frame(kmsg.NewPtrMetadataRequest()))
		}
		if err == nil {
			t.Fatal("a client that never reads was not cut")
		}
		if took := time.Since(begun); took > time.Minute {
			t.Errorf("cut after %v", took)
		}
		synctest.Wait()
		if used := n.server.frames.used(); used != 0 {
			t.Errorf("%d bytes of frames still held", used)
		}
	})
}

func TestClientThatStopsInsideAFrameIsCut(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		r.c.Write([]byte{0, 0, 4, 0, 0, 3})
		if _, err := r.c.Read(make([]byte, 1)); err != io.EOF && err != io.ErrClosedPipe {
			t.Errorf("read: %v", err)
		}
	})
}

func TestAcksZeroHasNoAnswerAndAnErrorClosesTheConnection(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		r.makeTopic("t", 1)
		r.send(produceOf(9, "t", metadata.TopicID{}, 0, batchOf(nowMs(), "a")))
		q := kmsg.NewPtrListOffsetsRequest()
		q.Version = 1
		rt := kmsg.NewListOffsetsRequestTopic()
		rt.Topic = "t"
		rp := kmsg.NewListOffsetsRequestTopicPartition()
		rp.Timestamp = -1
		rt.Partitions = append(rt.Partitions, rp)
		q.Topics = append(q.Topics, rt)
		if got := r.roundTrip(q).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]; got.Offset != 1 {
			t.Errorf("log end %d, want 1", got.Offset)
		}
		r.send(produceOf(9, "absent", metadata.TopicID{}, 0, batchOf(nowMs(), "a")))
		if _, err := r.answer(); err == nil {
			t.Error("an error with acks=0 must close the connection")
		}
	})
}

func TestIdleConnectionIsClosed(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		begun := time.Now()
		r.answer()
		if idle := time.Since(begun); idle < 9*time.Minute || idle > 11*time.Minute {
			t.Errorf("closed after %v", idle)
		}
	})
}
