package broker

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/router"
)

func TestHandDecodedProduceIsWhatKmsgDecodes(t *testing.T) {
	txn := "txn"
	for version := int16(3); version <= 13; version++ {
		q := kmsg.NewPtrProduceRequest()
		q.Version, q.Acks, q.TimeoutMillis = version, -1, 1234
		if version%2 == 0 {
			q.TransactionID = &txn
		}
		for i := range 3 {
			rt := kmsg.NewProduceRequestTopic()
			rt.Topic, rt.TopicID = "topic"+string(rune('a'+i)), [16]byte{1, byte(i)}
			for j := range i {
				rp := kmsg.NewProduceRequestTopicPartition()
				rp.Partition, rp.Records = int32(j*7), bytes.Repeat([]byte{byte(j)}, 200*j)
				rt.Partitions = append(rt.Partitions, rp)
			}
			q.Topics = append(q.Topics, rt)
		}
		got, err := decodeProduce(version, q.AppendTo(nil))
		if err != nil {
			t.Fatalf("version %d: %v", version, err)
		}
		if got.acks != -1 || got.timeoutMs != 1234 || !reflect.DeepEqual(got.txnID, q.TransactionID) || len(got.topics) != 3 {
			t.Errorf("version %d: %+v", version, got)
		}
		for i, rt := range q.Topics {
			gt := got.topics[i]
			if version < 13 && gt.name != rt.Topic || version >= 13 && gt.id != rt.TopicID || len(gt.parts) != len(rt.Partitions) {
				t.Fatalf("version %d topic %d: %+v", version, i, gt)
			}
			for j, rp := range rt.Partitions {
				if gt.parts[j].index != rp.Partition || !bytes.Equal(gt.parts[j].records, rp.Records) {
					t.Errorf("version %d topic %d partition %d differs", version, i, j)
				}
			}
		}
		b := q.AppendTo(nil)
		for cut := range b {
			if _, err := decodeProduce(version, b[:cut]); err == nil {
				t.Errorf("version %d cut at %d of %d was decoded", version, cut, len(b))
			}
		}
	}
}

func TestHandWrittenFetchAnswerIsWhatKmsgReads(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		for version := int16(4); version <= 18; version++ {
			q := kmsg.NewPtrFetchRequest()
			q.Version = version
			f := &fetch{s: n.server, r: &request{requestHeader: requestHeader{key: 1, version: version, correlation: 77}, conn: &conn{}}, q: q, fullResponse: true}
			f.session = &fetchSession{id: 4711}
			part := func(name string, id byte, index int32, code int16, records ...string) {
				p := fetchPart{sessionPart: &sessionPart{partKey: partKey{name, metadata.TopicID{id}, index}}, code: code,
					view: metadata.PartitionView{LogStart: 5, Next: 99, Stable: 98}, committedOnly: code == 0}
				if code == 0 {
					p.result.aborted = []metadata.AbortedTxn{{Producer: 7, First: 20, Last: 30}}
				}
				for _, r := range records {
					p.result.records = append(p.result.records, []byte(r))
					p.result.bytes += len(r)
				}
				f.parts = append(f.parts, p)
			}
			part("a", 1, 0, 0, "one", "two")
			part("a", 1, 3, 1)
			part("b", 2, 0, 0)
			part("a", 1, 4, 0, "three")
			a := f.encode()
			got := flat(a)
			resp := kmsg.NewPtrFetchResponse()
			resp.Version = version
			body := got[8:]
			if version >= 12 {
				body = body[1:]
			}
			if err := resp.ReadFrom(body); err != nil {
				t.Fatalf("version %d: %v", version, err)
			}
			if version >= 7 && resp.SessionID != 4711 || len(resp.Topics) != 2 || len(resp.Topics[0].Partitions) != 3 {
				t.Fatalf("version %d: %+v", version, resp)
			}
			p := resp.Topics[0].Partitions
			if string(p[0].RecordBatches) != "onetwo" || string(p[2].RecordBatches) != "three" || p[1].ErrorCode != 1 || p[1].HighWatermark != -1 ||
				p[0].HighWatermark != 99 || p[0].LastStableOffset != 98 || len(p[0].AbortedTransactions) != 1 || p[0].AbortedTransactions[0].FirstOffset != 20 || version >= 11 && p[0].PreferredReadReplica != -1 {
				t.Errorf("version %d: %+v", version, p)
			}
			if version >= 5 && p[0].LogStartOffset != 5 {
				t.Errorf("version %d: log start %d", version, p[0].LogStartOffset)
			}
			if again := resp.AppendTo(nil); !bytes.Equal(again, body) {
				t.Errorf("version %d: kmsg writes it otherwise:\n%x\n%x", version, body, again)
			}
		}
	})
}

func flat(a response) []byte {
	out := bytes.Clone(a.head)
	for _, b := range a.tail {
		out = append(out, b...)
	}
	return out
}

func TestFetchHintsAreWhatKmsgReads(t *testing.T) {
	f := &fetch{r: &request{requestHeader: requestHeader{version: 16}}}
	nodes := []router.Endpoint{{ID: 3, Host: "host", Port: 9092, Rack: "a"}, {ID: 4, Host: "other", Port: 1}}
	a := f.beginResponse(0, 9)
	b := f.appendTags(f.appendArrayLen(a.head, 0), nodes)
	resp := kmsg.NewPtrFetchResponse()
	resp.Version = 16
	if err := resp.ReadFrom(b[9:]); err != nil {
		t.Fatal(err)
	}
	if len(resp.Brokers) != 2 || resp.Brokers[0].NodeID != 3 || resp.Brokers[0].Host != "host" || *resp.Brokers[0].Rack != "a" || resp.Brokers[1].Rack != nil {
		t.Errorf("%+v", resp.Brokers)
	}
}

// Every row of the table, at every version it serves, answers a request with
// default fields and one topic with an answer that a client can read to the
// last byte.
func TestEveryServedVersionIsAnsweredReadably(t *testing.T) {
	inBubble(t, func(c *Config) { c.AutoCreate = false }, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		id := r.makeTopic("t", 2)
		r.roundTrip(produceOf(9, "t", id, -1, batchOf(nowMs(), "a", "b")))
		for _, a := range newAPITable(true) {
			for version := a.min; version <= a.max; version++ {
				q := sample(a.key, id)
				if q == nil {
					t.Fatalf("no sample of key %d", a.key)
				}
				q.SetVersion(version)
				if q.IsFlexible() != (version >= a.flexible) {
					t.Errorf("key %d version %d: flexible %v", a.key, version, q.IsFlexible())
				}
				r.roundTrip(q)
			}
		}
	})
}

// sample makes a request of an API that names topic "t".
func sample(key int16, id metadata.TopicID) kmsg.Request {
	q := kmsg.RequestForKey(key)
	if d, ok := q.(interface{ Default() }); ok {
		d.Default()
	}
	name := "t"
	switch q := q.(type) {
	case *kmsg.ProduceRequest:
		return produceOf(9, "t", id, -1, batchOf(nowMs(), "x"))
	case *kmsg.FetchRequest:
		q.SessionEpoch, q.MinBytes, q.MaxBytes = -1, 1, 1<<20
		q.Topics = []kmsg.FetchRequestTopic{{Topic: name, TopicID: id, Partitions: []kmsg.FetchRequestTopicPartition{{PartitionMaxBytes: 1000, CurrentLeaderEpoch: -1}}}}
	case *kmsg.ListOffsetsRequest:
		q.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: name, Partitions: []kmsg.ListOffsetsRequestTopicPartition{{Timestamp: -1}, {Partition: 9}}}}
	case *kmsg.MetadataRequest:
		q.Topics = []kmsg.MetadataRequestTopic{{Topic: &name}}
	case *kmsg.ApiVersionsRequest:
		q.ClientSoftwareName, q.ClientSoftwareVersion = "a", "1"
	case *kmsg.CreateTopicsRequest:
		q.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: "new", NumPartitions: 1, ReplicationFactor: 1}, {Topic: "a b"}}
		q.ValidateOnly = true
	case *kmsg.DeleteTopicsRequest:
		q.TopicNames, q.Topics = []string{"absent"}, []kmsg.DeleteTopicsRequestTopic{{TopicID: [16]byte{7}}}
	case *kmsg.DeleteRecordsRequest:
		q.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: name, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Offset: 0}}}}
	case *kmsg.OffsetForLeaderEpochRequest:
		q.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: name, Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{{}}}}
	case *kmsg.DescribeConfigsRequest:
		q.IncludeSynonyms = true
		q.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: 2, ResourceName: name}, {ResourceType: 4, ResourceName: "0"}}
	case *kmsg.AlterConfigsRequest:
		q.Resources = []kmsg.AlterConfigsRequestResource{{ResourceType: 2, ResourceName: name}}
	case *kmsg.IncrementalAlterConfigsRequest:
		q.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: 2, ResourceName: name}}
	case *kmsg.CreatePartitionsRequest:
		q.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: name, Count: 1}}
	case *kmsg.DescribeTopicPartitionsRequest:
		q.Topics = []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: name}}
	case *kmsg.FindCoordinatorRequest:
		q.CoordinatorKey, q.CoordinatorKeys = "g", []string{"g"}
	case *kmsg.JoinGroupRequest:
		q.Group, q.MemberID = "g", "stranger"
	case *kmsg.DescribeClusterRequest:
		q.EndpointType = 1
	}
	return q
}

func TestDecompressRefusesBombs(t *testing.T) {
	plain := make([]byte, 10<<20)
	for codec := codecGzip; codec <= codecZstd; codec++ {
		var out bytes.Buffer
		if err := compressRecords(&out, codec, 0, bytes.NewReader(plain)); err != nil {
			t.Fatal(err)
		}
		if got, err := Decompress(codec, out.Bytes(), len(plain)); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("codec %d: %d bytes, %v", codec, len(got), err)
		}
		if _, err := Decompress(codec, out.Bytes(), len(plain)-1); err == nil {
			t.Errorf("codec %d: unpacked beyond the limit", codec)
		}
		if _, err := Decompress(codec, out.Bytes()[:out.Len()/2], len(plain)); err == nil {
			t.Errorf("codec %d: half of it was unpacked without error", codec)
		}
	}
}

// FuzzFrame feeds arbitrary frames to the whole path from the socket to the
// handlers' decoders: whatever comes, the connection ends or is answered.
func FuzzFrame(f *testing.F) {
	id := metadata.TopicID{1}
	for _, a := range newAPITable(true) {
		q := sample(a.key, id)
		q.SetVersion(a.max)
		f.Add(kmsg.NewRequestFormatter(kmsg.FormatterClientID("c")).AppendRequest(nil, q, 1)[4:])
	}
	table := map[int16]api{}
	for _, a := range newAPITable(true) {
		table[a.key] = a
	}
	cs := newCodecs()
	f.Fuzz(func(t *testing.T, frame []byte) {
		if len(frame) < 8 || len(frame) > 1<<20 {
			return
		}
		h := parseFixedHeader(frame)
		a, ok := table[h.key]
		if !ok || h.version < a.min || h.version > a.max {
			return
		}
		h, body, err := parseRequestHeader(h, h.version >= a.flexible, frame)
		if err != nil {
			return
		}
		if h.key != 0 {
			q := kmsg.RequestForKey(h.key)
			q.SetVersion(h.version)
			_ = q.ReadFrom(body)
			return
		}
		q, err := decodeProduce(h.version, body)
		if err != nil {
			return
		}
		for _, topic := range q.topics {
			for _, p := range topic.parts {
				_, _, _ = cs.checkBatch(p.records, h.version, 1, testRules())
			}
		}
	})
}
