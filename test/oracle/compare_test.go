package oracle

import (
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const testNow = 1_795_000_000_000

func newExchange(api string, version int16, resp kmsg.Response) Exchange {
	return Exchange{Line: 1, Text: api, API: api, Version: version, Outcome: answered, Canonical: true, resp: resp, tree: treeOf(resp)}
}

func someBatch(t *testing.T, text string) []byte {
	t.Helper()
	s, err := Parse("x", "produce t 0 {"+text+"}")
	if err != nil {
		t.Fatal(err)
	}
	records := s.Steps[0].Body.Content[5].Content[0].Content[3].Content[0].Content[3]
	b, err := buildBatch(records, variables{"now": int64(testNow)})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func fetchAnswer(t *testing.T) *kmsg.FetchResponse {
	t.Helper()
	f := kmsg.NewPtrFetchResponse()
	f.Version, f.SessionID = 12, 77
	p := kmsg.NewFetchResponseTopicPartition()
	p.HighWatermark, p.LastStableOffset, p.LogStartOffset = 2, 2, 0
	p.RecordBatches = someBatch(t, "records: [a, {key: k, value: b, headers: {h: x}}], codec: gzip")
	q := p
	q.Partition, q.RecordBatches = 1, slices.Clone(p.RecordBatches)
	f.Topics = []kmsg.FetchResponseTopic{{Topic: "sc-1-t", Partitions: []kmsg.FetchResponseTopicPartition{p, q}}}
	return f
}

func createAnswer(id byte) *kmsg.CreateTopicsResponse {
	c := kmsg.NewPtrCreateTopicsResponse()
	c.Version = 7
	topic := kmsg.NewCreateTopicsResponseTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "sc-1-t", 1, 1
	topic.TopicID = [16]byte{id}
	c.Topics = []kmsg.CreateTopicsResponseTopic{topic}
	return c
}

func compareResponses(t *testing.T, left, right []kmsg.Response) []Difference {
	t.Helper()
	s := &Scenario{Name: "planted", Lines: []string{"x"}}
	target := func(node int32) *Target { return &Target{Nodes: map[int32]bool{node: true}} }
	var a, b []Exchange
	for i := range left {
		name := kmsg.NameForKey(left[i].Key())
		a, b = append(a, newExchange(name, 12, left[i])), append(b, newExchange(name, 12, right[i]))
	}
	return Compare(s, a, b, target(1), target(5), "sc-1-", testNow)
}

// Values that brokers may choose freely are no difference.
func TestValuesThatBrokersChooseAreNoDifference(t *testing.T) {
	left, right := fetchAnswer(t), fetchAnswer(t)
	right.ThrottleMillis, right.SessionID = 9, 4711
	right.Topics[0].Partitions[0], right.Topics[0].Partitions[1] = right.Topics[0].Partitions[1], right.Topics[0].Partitions[0]
	right.Topics[0].Partitions[0].RecordBatches = append(right.Topics[0].Partitions[0].RecordBatches, someBatch(t, "records: 5")[:70]...) // cut by a limit
	if got := compareResponses(t, []kmsg.Response{createAnswer(1), left}, []kmsg.Response{createAnswer(2), right}); len(got) != 0 {
		t.Errorf("differences: %v", got)
	}
}

// Each planted difference is found, in its field only.
func TestAPlantedDifferenceIsFound(t *testing.T) {
	for name, tt := range map[string]struct {
		plant func(*kmsg.FetchResponse, *kmsg.CreateTopicsResponse)
		want  string
	}{
		"error code": {func(f *kmsg.FetchResponse, _ *kmsg.CreateTopicsResponse) { f.Topics[0].Partitions[1].ErrorCode = 1 }, "Topics[t].Partitions[000001].ErrorCode"},
		"top error":  {func(f *kmsg.FetchResponse, _ *kmsg.CreateTopicsResponse) { f.ErrorCode = 70 }, "ErrorCode"},
		"offset":     {func(f *kmsg.FetchResponse, _ *kmsg.CreateTopicsResponse) { f.Topics[0].Partitions[0].HighWatermark = 3 }, "Topics[t].Partitions[000000].HighWatermark"},
		"no session": {func(f *kmsg.FetchResponse, _ *kmsg.CreateTopicsResponse) { f.SessionID = 0 }, "SessionID"},
		"partition gone": {func(f *kmsg.FetchResponse, _ *kmsg.CreateTopicsResponse) {
			f.Topics[0].Partitions = f.Topics[0].Partitions[:1]
		}, "Topics[t].Partitions[000001]"},
		"list null": {func(f *kmsg.FetchResponse, _ *kmsg.CreateTopicsResponse) {
			f.Topics[0].Partitions[0].AbortedTransactions = []kmsg.FetchResponseTopicPartitionAbortedTransaction{}
		}, "Topics[t].Partitions[000000].AbortedTransactions"},
		"record byte": {func(f *kmsg.FetchResponse, _ *kmsg.CreateTopicsResponse) {
			f.Topics[0].Partitions[0].RecordBatches = someBatch(t, "records: [a, {key: k, value: c, headers: {h: x}}], codec: gzip")
		}, "Topics[t].Partitions[000000].RecordBatches[-1#1].Records[k#1].Value"},
		"record header": {func(f *kmsg.FetchResponse, _ *kmsg.CreateTopicsResponse) {
			f.Topics[0].Partitions[0].RecordBatches = someBatch(t, "records: [a, {key: k, value: b, headers: {h: y}}], codec: gzip")
		}, "Topics[t].Partitions[000000].RecordBatches[-1#1].Records[k#1].Header0"},
		"other codec": {func(f *kmsg.FetchResponse, _ *kmsg.CreateTopicsResponse) {
			f.Topics[0].Partitions[0].RecordBatches = someBatch(t, "records: [a, {key: k, value: b, headers: {h: x}}], codec: lz4")
		}, "Topics[t].Partitions[000000].RecordBatches[-1#1].Attributes"},
		"checksum": {func(f *kmsg.FetchResponse, _ *kmsg.CreateTopicsResponse) {
			f.Topics[0].Partitions[0].RecordBatches[17] ^= 1
		}, "Topics[t].Partitions[000000].RecordBatches[-1#1].CRCHolds"},
		"one batch fewer": {func(f *kmsg.FetchResponse, _ *kmsg.CreateTopicsResponse) {
			f.Topics[0].Partitions[0].RecordBatches = nil
		}, "Topics[t].Partitions[000000].RecordBatches"},
		"message appears": {func(_ *kmsg.FetchResponse, c *kmsg.CreateTopicsResponse) {
			c.Topics[0].ErrorMessage = kmsg.StringPtr("why")
		}, "Topics[t].ErrorMessage"},
		"id null":          {func(_ *kmsg.FetchResponse, c *kmsg.CreateTopicsResponse) { c.Topics[0].TopicID = [16]byte{} }, "Topics[t].TopicID"},
		"tag nobody knows": {func(_ *kmsg.FetchResponse, c *kmsg.CreateTopicsResponse) { c.UnknownTags.Set(9, []byte{1}) }, "UnknownTags"},
		"number":           {func(_ *kmsg.FetchResponse, c *kmsg.CreateTopicsResponse) { c.Topics[0].NumPartitions = 2 }, "Topics[t].NumPartitions"},
	} {
		t.Run(name, func(t *testing.T) {
			f, c := fetchAnswer(t), createAnswer(2)
			tt.plant(f, c)
			got := compareResponses(t, []kmsg.Response{createAnswer(1), fetchAnswer(t)}, []kmsg.Response{c, f})
			if len(got) != 1 || got[0].Path != tt.want {
				t.Errorf("found %v, want one at %s", got, tt.want)
			}
		})
	}
}

// An id must be the same id each time it is returned.
func TestAChangedIDIsADifference(t *testing.T) {
	left := []kmsg.Response{createAnswer(1), createAnswer(1)}
	right := []kmsg.Response{createAnswer(7), createAnswer(8)}
	if got := compareResponses(t, left, right); len(got) != 1 || !strings.HasSuffix(got[0].Path, "TopicID") {
		t.Errorf("found %v, want the second topic id", got)
	}
}

// Bytes that fields do not explain, and a closed connection, are differences.
func TestEncodingAndOutcomeAreCompared(t *testing.T) {
	s := &Scenario{Name: "planted"}
	target := &Target{Nodes: map[int32]bool{}}
	a, b := newExchange("CreateTopics", 7, createAnswer(1)), newExchange("CreateTopics", 7, createAnswer(1))
	b.Canonical = false
	if got := Compare(s, []Exchange{a}, []Exchange{b}, target, target, "", testNow); len(got) != 1 || got[0].Path != "$encoding" {
		t.Errorf("trailing bytes: %v", got)
	}
	if got := Compare(s, []Exchange{a}, []Exchange{{API: "CreateTopics", Outcome: closed}}, target, target, "", testNow); len(got) != 1 || got[0].Path != "$outcome" {
		t.Errorf("closed: %v", got)
	}
	if got := Compare(s, []Exchange{a, a}, []Exchange{a}, target, target, "", testNow); len(got) != 1 {
		t.Errorf("an exchange is missing: %v", got)
	}
}

// A time near now is the broker's own; a time from the scenario is compared.
func TestOnlyTheBrokersOwnTimesAreMapped(t *testing.T) {
	stamped := func(ts string) kmsg.Response {
		f := fetchAnswer(t)
		f.Topics[0].Partitions[0].RecordBatches = someBatch(t, "records: 1, ts: "+ts)
		return f
	}
	at := func(a, b string) int {
		return len(compareResponses(t, []kmsg.Response{stamped(a)}, []kmsg.Response{stamped(b)}))
	}
	if n := at("$now+7", "$now+9"); n != 0 {
		t.Errorf("two times near now: %d differences", n)
	}
	if n := at("5", "6"); n == 0 {
		t.Error("two times long ago: no difference")
	}
}
