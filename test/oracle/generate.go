package oracle

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// Generator generates scenarios from a model of clients: mostly valid requests over a
// few topics, producers, groups and transactions, sometimes a slightly wrong one.
// The same seed gives the same scenarios.
type Generator struct {
	rand       *rand.Rand
	seed       uint64
	n          int
	offered    map[int16][2]int16 // versions both brokers serve
	lines      []string
	topics     []modelTopic
	seqs       map[string]int // next sequence, by producer, topic and partition
	nameCount  int            // names used so far
	groups     []string
	members    map[string]string // variable prefix of a group's member
	txns       []modelTxn
	idempotent []string // idempotent producers
}

type modelTopic struct {
	name       string
	partitions int
	compacted  bool
	deleted    bool
	trimmed    bool // by DeleteRecords, perhaps
	appendTime bool // LogAppendTime
}

type modelTxn struct {
	name  string
	open  bool
	epoch int
}

// NewGenerator starts a run. a and b are the brokers: requests have versions that
// both serve.
func NewGenerator(seed uint64, a, b *Target) *Generator {
	g := &Generator{rand: rand.New(rand.NewPCG(seed, 0x6f7261636c65)), seed: seed, offered: map[int16][2]int16{}}
	for key, x := range a.Versions {
		if y, ok := b.Versions[key]; ok && max(x[0], y[0]) <= min(x[1], y[1]) {
			g.offered[key] = [2]int16{max(x[0], y[0]), min(x[1], y[1])}
		}
	}
	return g
}

// stepsPerScenario is the number of requests in one scenario: enough for states to
// interact, few enough to be minimised.
const stepsPerScenario = 30

// Next generates a scenario. It is text first, so that a finding can be kept as a
// file.
func (g *Generator) Next() (*Scenario, string, error) {
	g.n++
	g.lines, g.topics, g.seqs, g.groups, g.txns, g.idempotent = nil, nil, map[string]int{}, nil, nil, nil
	g.members, g.nameCount = map[string]string{}, 0
	g.addTopic()
	g.addTopic()
	for len(g.lines) < stepsPerScenario {
		g.addStep()
	}
	text := fmt.Sprintf("# Drawn with seed %d, number %d.\n%s\n", g.seed, g.n, strings.Join(g.lines, "\n"))
	s, err := Parse(fmt.Sprintf("seed-%d-%d", g.seed, g.n), text)
	return s, text, err
}

func (g *Generator) addLine(format string, args ...any) {
	g.lines = append(g.lines, fmt.Sprintf(format, args...))
}

// oneIn is true once in n calls on average.
func (g *Generator) oneIn(n int) bool { return g.rand.IntN(n) == 0 }

func pick[T any](g *Generator, of ...T) T { return of[g.rand.IntN(len(of))] }

// chooseVersion generates a version that both brokers serve; ok is false if the API
// is absent.
func (g *Generator) chooseVersion(api string, least int16) (v int16, ok bool) {
	key, _ := KeyOf(api)
	r, ok := g.offered[key]
	if !ok || r[1] < least {
		return 0, false
	}
	low := max(r[0], least)
	if key == 0 {
		low = max(low, 3)
	}
	return low + int16(g.rand.IntN(int(r[1]-low)+1)), true
}

// addRequest writes a request with a generated version.
func (g *Generator) addRequest(api string, least int16, format string, args ...any) bool {
	v, ok := g.chooseVersion(api, least)
	if ok {
		g.addLine("%s v%d {%s}", api, v, fmt.Sprintf(format, args...))
	}
	return ok
}

func (g *Generator) addStep() {
	type op struct {
		weight int
		do     func()
	}
	ops := []op{{30, g.addProduce}, {20, g.addFetch}, {10, g.addListOffsets}, {4, g.addMetadata}, {5, g.addDeleteRecords}, {3, g.addTopic}, {2, g.addDeleteTopic},
		{3, g.addCreatePartitions}, {5, g.addAlterConfig}, {4, g.addDescribeConfig}, {8, g.addOffsetCommit}, {8, g.addOffsetFetch}, {8, g.addMemberStep}, {4, g.addGroupAdmin},
		{4, g.addInitProducer}, {3, g.addLeaderEpoch}, {14, g.addTxnStep}, {3, g.addDescribeTopics}}
	total := 0
	for _, o := range ops {
		total += o.weight
	}
	at := g.rand.IntN(total)
	for _, o := range ops {
		if at -= o.weight; at < 0 {
			o.do()
			return
		}
	}
}

func (g *Generator) pickTopic() *modelTopic { return &g.topics[g.rand.IntN(len(g.topics))] }

// pickPartition returns a partition of the topic, rarely one beyond its range.
func (g *Generator) pickPartition(t *modelTopic) int {
	if g.oneIn(25) {
		return t.partitions + g.rand.IntN(3)
	}
	return g.rand.IntN(t.partitions)
}

func (g *Generator) addTopic() {
	g.nameCount++
	t := modelTopic{name: fmt.Sprintf("t%d", g.nameCount), partitions: 1 + g.rand.IntN(3)}
	configs := ""
	if g.oneIn(4) {
		t.compacted = true
		configs += " cleanup.policy=compact"
	}
	if g.oneIn(6) {
		configs += fmt.Sprintf(" max.message.bytes=%d", 200+g.rand.IntN(400))
	}
	if g.oneIn(8) {
		t.appendTime = true
		configs += " message.timestamp.type=LogAppendTime"
	}
	g.addLine("topic %s %d%s", t.name, t.partitions, configs)
	g.topics = append(g.topics, t)
}

func (g *Generator) addDeleteTopic() {
	t := g.pickTopic()
	if t.deleted && !g.oneIn(4) {
		return
	}
	if g.addRequest("DeleteTopics", 6, "TimeoutMillis: 10000, Topics: [{Topic: $%s}]", t.name) {
		t.deleted = true
	}
}

func (g *Generator) addCreatePartitions() {
	t := g.pickTopic()
	n := t.partitions + g.rand.IntN(3) - 1
	if g.hasRefusedSequence(t, n) {
		return
	}
	if g.addRequest("CreatePartitions", 0, "TimeoutMillis: 10000, ValidateOnly: %v, Topics: [{Topic: $%s, Count: %d}]", g.oneIn(4), t.name, n) && n > t.partitions {
		if !strings.Contains(g.lines[len(g.lines)-1], "ValidateOnly: true") && !t.deleted {
			t.partitions = n
		}
	}
}

// hasRefusedSequence reports whether an idempotent producer was refused by a partition
// that the topic would have with n. Its next batch there waits for the retry of the
// refused one, whereas Kafka accepts it.
func (g *Generator) hasRefusedSequence(t *modelTopic, n int) bool {
	return slices.ContainsFunc(g.lines, func(line string) bool {
		if !strings.HasPrefix(line, "Produce") || !strings.Contains(line, "Topic: $"+t.name+",") || !strings.Contains(line, ", pid: ") {
			return false
		}
		for p := t.partitions; p < n; p++ {
			if strings.Contains(line, fmt.Sprintf("{Partition: %d,", p)) {
				return true
			}
		}
		return false
	})
}

// batchText generates a batch; pid "" means no producer.
func (g *Generator) batchText(t *modelTopic, pid, epoch, where string, txn bool) string {
	n := 1 + g.rand.IntN(4)
	var records []string
	for i := range n {
		key := fmt.Sprintf("key: k%d, ", g.rand.IntN(5))
		if !t.compacted && g.oneIn(2) || g.oneIn(30) {
			key = ""
		}
		ts := ""
		if g.oneIn(4) {
			ts = fmt.Sprintf(", ts: $now-%d", g.rand.IntN(100000))
		}
		records = append(records, fmt.Sprintf("{%svalue: v%d%s}", key, i, ts))
	}
	spec := "records: [" + strings.Join(records, ", ") + "]"
	if g.oneIn(4) {
		spec += ", codec: " + pick(g, "gzip", "lz4", "snappy")
	}
	if g.oneIn(25) {
		spec += pick(g, ", crc: bad", ", magic: 1", ", pad: 700", ", offset: 3", ", count: 9, last: 8", ", control: true", ", attrs: 8", ", ts: $now+99999999")
	}
	if pid == "" {
		return spec
	}
	seq, begun := g.seqs[where]
	switch {
	case begun && g.oneIn(12):
		seq += 1 + g.rand.IntN(3) // a gap
	case g.oneIn(12):
		seq = max(0, seq-1-g.rand.IntN(4)) // a partial repeat
	case !g.oneIn(20):
		g.seqs[where] = seq + n
	}
	spec += fmt.Sprintf(", pid: $%s.id, epoch: %s, seq: %d", pid, epoch, seq)
	if txn {
		spec += ", txn: true"
	}
	return spec
}

func (g *Generator) addProduce() {
	t := g.pickTopic()
	p := g.pickPartition(t)
	if t.appendTime {
		g.addLine("sleep 2ms") // else one broker may give two batches the same time, and the other not
	}
	pid, epoch, where := "", "", ""
	if len(g.idempotent) > 0 && g.oneIn(2) {
		pid = pick(g, g.idempotent...)
		epoch, where = "$"+pid+".epoch", fmt.Sprintf("%s %s %d", pid, t.name, p)
		if g.oneIn(30) {
			epoch += "+1"
		}
	}
	acks := -1
	if g.oneIn(8) {
		acks = 1
	}
	g.addRequest("Produce", 3, "Acks: %d, TimeoutMillis: 10000, Topics: [{Topic: $%s, TopicID: $%s.id, Partitions: [{Partition: %d, Records: {%s}}]}]",
		acks, t.name, t.name, p, g.batchText(t, pid, epoch, where, false))
}

func (g *Generator) addInitProducer() {
	g.nameCount++
	name := fmt.Sprintf("p%d", g.nameCount)
	g.addLine("producer %s", name)
	g.idempotent = append(g.idempotent, name)
}

func (g *Generator) addFetch() {
	t := g.pickTopic()
	var parts []string
	for range 1 + g.rand.IntN(2) {
		part := fmt.Sprintf("{Partition: %d, FetchOffset: %d, CurrentLeaderEpoch: -1, LogStartOffset: -1, PartitionMaxBytes: %d}", g.pickPartition(t), g.rand.IntN(12), 10+g.rand.IntN(2000))
		if len(parts) == 0 || parts[0][:13] != part[:13] {
			parts = append(parts, part)
		}
	}
	g.addRequest("Fetch", 4, "MaxWaitMillis: 10, MinBytes: 1, MaxBytes: 100000, IsolationLevel: %d, SessionEpoch: -1, Topics: [{Topic: $%s, TopicID: $%s.id, Partitions: [%s]}]",
		g.rand.IntN(2), t.name, t.name, strings.Join(parts, ", "))
}

func (g *Generator) addListOffsets() {
	t := g.pickTopic()
	ts := pick(g, "-1", "-1", "-2", "-2", "-3", "-4", "-5", "0", "$now", fmt.Sprintf("$now-%d", g.rand.IntN(100000)))
	if ts == "-3" && t.trimmed {
		ts = "-2" // Kafka returns a deleted record while its segment exists
	}
	g.addRequest("ListOffsets", 1, "ReplicaID: -1, TimeoutMillis: 5000, IsolationLevel: %d, Topics: [{Topic: $%s, Partitions: [{Partition: %d, Timestamp: %s, CurrentLeaderEpoch: -1}]}]",
		g.rand.IntN(2), t.name, g.pickPartition(t), ts)
}

func (g *Generator) addMetadata() {
	t := g.pickTopic()
	g.addRequest("Metadata", 4, "AllowAutoTopicCreation: false, Topics: [{Topic: $%s}]", t.name)
}

func (g *Generator) addDescribeTopics() {
	t := g.pickTopic()
	g.addRequest("DescribeTopicPartitions", 0, "ResponsePartitionLimit: %d, Topics: [{Topic: $%s}]", 1+g.rand.IntN(100), t.name)
}

func (g *Generator) addLeaderEpoch() {
	t := g.pickTopic()
	g.addRequest("OffsetForLeaderEpoch", 2, "ReplicaID: -1, Topics: [{Topic: $%s, Partitions: [{Partition: %d, CurrentLeaderEpoch: -1, LeaderEpoch: 0}]}]", t.name, g.pickPartition(t))
}

func (g *Generator) addDeleteRecords() {
	t := g.pickTopic()
	if t.deleted || slices.ContainsFunc(g.txns, func(x modelTxn) bool { return x.open }) {
		return // after a transaction's start Kafka's last stable offset is that of a batch, before the log start
	}
	t.trimmed = true
	g.addRequest("DeleteRecords", 0, "TimeoutMillis: 10000, Topics: [{Topic: $%s, Partitions: [{Partition: %d, Offset: %d}]}]", t.name, g.rand.IntN(t.partitions), g.rand.IntN(8)-1)
}

// topicSettings are topic configs and values for them, good and bad.
var topicSettings = [...][2]string{{"retention.ms", "86400000"}, {"retention.ms", "-1"}, {"retention.ms", "-5"}, {"retention.bytes", "100000"}, {"cleanup.policy", "delete"}, {"cleanup.policy", "shred"},
	{"max.message.bytes", "5000"}, {"max.message.bytes", "x"}, {"segment.bytes", "2000000"}, {"segment.bytes", "3"}, {"min.insync.replicas", "1"}, {"min.insync.replicas", "0"},
	{"message.timestamp.type", "CreateTime"}, {"message.timestamp.type", "Never"}, {"compression.type", "producer"}, {"compression.type", "brotli"}, {"no.such.key", "1"},
	{"delete.retention.ms", "1000"}, {"flush.messages", "7"}, {"preallocate", "true"}, {"preallocate", "maybe"}, {"unclean.leader.election.enable", "true"}}

func (g *Generator) addAlterConfig() {
	t := g.pickTopic()
	s := topicSettings[g.rand.IntN(len(topicSettings))]
	value := s[1]
	op := pick(g, 0, 0, 0, 1)
	if op == 1 {
		value = "null"
	}
	g.addRequest("IncrementalAlterConfigs", 0, "ValidateOnly: %v, Resources: [{ResourceType: 2, ResourceName: $%s, Configs: [{Name: %s, Op: %d, Value: %s}]}]", g.oneIn(5), t.name, s[0], op, value)
}

func (g *Generator) addDescribeConfig() {
	t := g.pickTopic()
	g.addRequest("DescribeConfigs", 1, "IncludeSynonyms: %v, Resources: [{ResourceType: 2, ResourceName: $%s, ConfigNames: [retention.ms, cleanup.policy, max.message.bytes, segment.bytes, compression.type]}]", g.oneIn(2), t.name)
}
