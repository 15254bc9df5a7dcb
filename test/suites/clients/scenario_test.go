//go:build clients

package clients

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/zonewise/zonewise/test/testenv/devserver"
)

const (
	partitions  = 6
	perMode     = 60 // records of each codec and kind of producer
	stableLimit = 90 * time.Second
	readLimit   = 90 * time.Second
	closeLimit  = 60 * time.Second
)

// clientSpec is one client of another project.
type clientSpec struct {
	name             string
	prepare          func(folder string) (command []string, err error) // missingError: not run
	flags            []string
	codecs           []string
	idempotence      []bool // of producers: idempotent?
	checksLeaders    bool   // requests the leaders 100 times
	emptyIsNull      bool   // returns an empty key or value as null
	skipsCompression bool   // sends a batch uncompressed that does not shrink, such as one record without a value
	dropsOnLeave     bool   // discards, and commits, records that arrive between the request to leave and its end
	keepsID          bool   // its producer keeps a topic's id until it is made to purge it, as with Apache Kafka 4.1.1
	mayRepeat        bool   // may read a record again after a rebalance, as documented
}

// scenarioClient is a client as the scenario uses it.
type scenarioClient interface {
	createTopic(t *testing.T, bootstrap, topic string)
	// produceRecords returns the acknowledged position of each record, by its number; nil
	// if the client does not report it.
	produceRecords(t *testing.T, bootstrap, topic string, orders []recordSpec) map[int]recordPosition
	// joinGroup starts a member of a group.
	joinGroup(t *testing.T, bootstrap, topic, group string) *groupMember
	textOnly() bool            // it can only carry text
	skipsIncompressible() bool // it sends uncompressed what does not shrink
}

// groupMember is a running member of a group.
type groupMember struct {
	*clientProcess
	leave       func() error
	emptyIsNull bool
	assigned    []int32
	read        int
	last        map[int32]int64 // offset read last, by partition
}

// commandClient is a client that implements the commands of doc.go.
type commandClient struct {
	clientSpec
	command []string
}

func (w commandClient) textOnly() bool { return false }

func (w commandClient) skipsIncompressible() bool { return w.clientSpec.skipsCompression }

func (w commandClient) commandArgs(word, bootstrap, topic string, more ...string) []string {
	args := append(slices.Clone(w.command), word)
	args = append(args, w.flags...)
	return append(append(args, "--bootstrap", bootstrap, "--client-id", "suite-"+w.name, "--topic", topic), more...)
}

func (w commandClient) createTopic(t *testing.T, bootstrap, topic string) {
	lines := runToEnd(t, w.name+" create", jsonOutput, nil, w.commandArgs("create", bootstrap, topic, "--partitions", strconv.Itoa(partitions))...)
	if len(lines) == 0 || lines[0].Client == "" {
		t.Fatalf("%s printed no client name", w.name)
	}
	fmt.Printf("    %s: %s %s\n", w.name, lines[0].Client, lines[0].Version)
}

func (w commandClient) produceRecords(t *testing.T, bootstrap, topic string, orders []recordSpec) map[int]recordPosition {
	var in bytes.Buffer
	for _, o := range orders {
		b, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		in.Write(append(b, '\n'))
	}
	acked := map[int]recordPosition{}
	for _, l := range runToEnd(t, w.name+" produce", jsonOutput, in.Bytes(), w.commandArgs("produce", bootstrap, topic)...) {
		if l.Ack == nil {
			continue
		}
		if _, twice := acked[*l.Ack]; twice || l.Offset == nil {
			t.Fatalf("%s: record %d: acknowledged twice, or without an offset", w.name, *l.Ack)
		}
		acked[*l.Ack] = recordPosition{l.Partition, *l.Offset}
	}
	return acked
}

func (w commandClient) joinGroup(t *testing.T, bootstrap, topic, group string) *groupMember {
	s := startProcess(t, w.name+" consume at "+bootstrap, jsonOutput, w.commandArgs("consume", bootstrap, topic, "--group", group)...)
	return &groupMember{clientProcess: s, leave: s.stdin.Close, emptyIsNull: w.emptyIsNull, last: map[int32]int64{}}
}

// runScenario is what each client must do.
func runScenario(t *testing.T, d *devserver.Dev, c clientSpec, s scenarioClient) {
	topic, group := "topic-of-"+c.name, "group-of-"+c.name
	s.createTopic(t, d.Bootstrap(0), topic)

	members := joinAll(t, d, s, topic, group, nil)
	var sent []recordSpec
	for zone := range devserver.Zones {
		var here []recordSpec
		for k, m := range producerModes(c) {
			if k%devserver.Zones == zone {
				here = append(here, makeRecords(m, len(sent)+len(here), perMode, s.textOnly())...)
			}
		}
		sent = append(sent, produceAt(t, d, s, zone, topic, here)...)
	}
	where := checkStored(t, d, topic, sent)
	readAll(t, members, maps.Clone(where))
	for _, m := range members {
		if m.read == 0 {
			t.Errorf("%s has read nothing; the others read all", m.name)
		}
	}
	leaveAll(t, members)
	checkCommitted(t, d, group, topic)

	// More records while no member runs; the next members must read those and
	// nothing else.
	var more []recordSpec
	for _, m := range producerModes(c)[:2] {
		more = append(more, makeRecords(m, len(sent)+len(more), perMode, s.textOnly())...)
	}
	sent = append(sent, produceAt(t, d, s, 1, topic, more)...)
	after := checkStored(t, d, topic, sent)
	for at := range where {
		delete(after, at)
	}
	known := maps.Clone(where)
	maps.Copy(known, after)
	members = joinAll(t, d, s, topic, group, after)
	readAll(t, members, after)

	if !c.mayRepeat {
		r := rollingRestart{drops: c.dropsOnLeave, s: s, d: d, topic: topic, group: group, mode: producerModes(c)[len(producerModes(c))-1], members: members, sent: sent, known: known}
		for zone := range devserver.Zones {
			r.restartMember(t, zone)
		}
	}
	leaveAll(t, members)
	checkCommitted(t, d, group, topic)
	waitBilledPuts(t, d, topic)
}

// rollingRestart restarts the members one after the other, under traffic.
type rollingRestart struct {
	drops        bool
	s            scenarioClient
	d            *devserver.Dev
	topic, group string
	mode         produceMode
	members      []*groupMember
	sent         []recordSpec
	known        map[recordPosition]recordSpec
}

// restartMember lets the member of a zone leave while records arrive, and restarts it.
// Each record is read once, by the owner of its partition.
func (r *rollingRestart) restartMember(t *testing.T, zone int) {
	t.Helper()
	going := r.members[zone]
	if err := going.leave(); err != nil {
		t.Fatalf("%s: %v\n%s", going.name, err, going.outputText())
	}
	var rest []*line
	if r.drops {
		rest = going.waitExit(t, closeLimit)
	}
	orders := makeRecords(r.mode, len(r.sent), perMode, r.s.textOnly())
	r.sent = append(r.sent, produceAt(t, r.d, r.s, zone, r.topic, orders)...)
	left := checkStored(t, r.d, r.topic, r.sent)
	for at := range r.known {
		delete(left, at)
	}
	maps.Copy(r.known, left)
	if !r.drops {
		rest = going.waitExit(t, closeLimit)
	}
	for _, l := range rest {
		going.handleLine(t, l, left)
	}
	r.members[zone] = r.s.joinGroup(t, r.d.Bootstrap(zone), r.topic, r.group)
	waitShared(t, r.members, left)
	readAll(t, r.members, left)
}

func producerModes(c clientSpec) []produceMode {
	var all []produceMode
	for _, codec := range c.codecs {
		for _, kind := range c.idempotence {
			all = append(all, produceMode{codec, kind})
		}
	}
	return all
}

// produceAt produces in a zone and compares the acknowledgements with the contents of
// each partition.
func produceAt(t *testing.T, d *devserver.Dev, s scenarioClient, zone int, topic string, orders []recordSpec) []recordSpec {
	t.Helper()
	for k := range orders {
		orders[k].plain = s.skipsIncompressible() && len(orders[k].Value) == 0
	}
	acked := s.produceRecords(t, d.Bootstrap(zone), topic, orders)
	if acked == nil {
		return orders
	}
	next := map[int32]int64{}
	for _, o := range orders {
		at, ok := acked[o.I]
		switch before, known := next[o.Partition]; {
		case !ok:
			t.Fatalf("record %d was not acknowledged", o.I)
		case at.partition != o.Partition:
			t.Fatalf("record %d for partition %d was acknowledged at partition %d", o.I, o.Partition, at.partition)
		case known && at.offset != before:
			t.Fatalf("record %d of partition %d was acknowledged at offset %d, want %d", o.I, o.Partition, at.offset, before)
		}
		next[o.Partition] = at.offset + 1
	}
	return orders
}

// joinAll starts a member in each zone and waits until they share the topic. It
// removes from left what the first ones read in the meantime.
func joinAll(t *testing.T, d *devserver.Dev, s scenarioClient, topic, group string, left map[recordPosition]recordSpec) []*groupMember {
	t.Helper()
	var members []*groupMember
	for zone := range devserver.Zones {
		members = append(members, s.joinGroup(t, d.Bootstrap(zone), topic, group))
	}
	waitShared(t, members, left)
	return members
}

// waitShared waits until the members share the topic.
func waitShared(t *testing.T, members []*groupMember, left map[recordPosition]recordSpec) {
	t.Helper()
	limit := time.Now().Add(stableLimit)
	for !isShared(members) {
		if time.Now().After(limit) {
			t.Fatalf("three members do not share the topic after %v: %s", stableLimit, memberOutputs(members))
		}
		for _, m := range members {
			m.handleNext(t, 20*time.Millisecond, left)
		}
	}
}

// isShared reports whether every partition has one owner, and every member some.
func isShared(members []*groupMember) bool {
	owners := map[int32]int{}
	for _, m := range members {
		if len(m.assigned) == 0 {
			return false
		}
		for _, p := range m.assigned {
			owners[p]++
		}
	}
	for p := range int32(partitions) {
		if owners[p] != 1 {
			return false
		}
	}
	return true
}

// handleNext handles a line, if one arrives in time, and reports whether one did.
// where has the records that may be read, each once.
func (m *groupMember) handleNext(t *testing.T, wait time.Duration, where map[recordPosition]recordSpec) bool {
	t.Helper()
	select {
	case l, more := <-m.lines:
		if !more {
			t.Fatalf("member ended: %s", m.outputText())
		}
		m.handleLine(t, l, where)
		return true
	case <-time.After(wait):
		return false
	}
}

func (m *groupMember) handleLine(t *testing.T, l *line, where map[recordPosition]recordSpec) {
	t.Helper()
	switch {
	case l.Assigned != nil:
		m.assigned = *l.Assigned
	case l.Offset != nil:
		at := recordPosition{l.Partition, *l.Offset}
		o, ok := where[at]
		if !ok {
			t.Fatalf("%s: read offset %d of partition %d, which was read before or was not to be read\n%s", m.name, at.offset, at.partition, m.outputText())
		}
		delete(where, at)
		if before, ok := m.last[at.partition]; ok && at.offset <= before {
			t.Fatalf("%s: offset %d of partition %d came after %d", m.name, at.offset, at.partition, before)
		}
		m.last[at.partition] = at.offset
		m.read++
		if m.emptyIsNull {
			o = emptyAsNull(o)
		}
		if err := sameRecord(o, l.Key, l.Value, l.Headers); err != nil {
			t.Fatalf("%s: read %v\n%s", m.name, err, m.outputText())
		}
	}
}

// readAll waits until the members have read what is left, each record once.
func readAll(t *testing.T, members []*groupMember, left map[recordPosition]recordSpec) {
	t.Helper()
	limit, n := time.Now().Add(readLimit), len(left)
	for len(left) > 0 {
		if time.Now().After(limit) {
			t.Fatalf("%d of %d records were not read after %v: %s", len(left), n, readLimit, memberOutputs(members))
		}
		for _, m := range members {
			for wait := 10 * time.Millisecond; m.handleNext(t, wait, left); wait = 0 {
			}
		}
	}
}

// leaveAll lets the members commit and leave, and checks that none reads again.
func leaveAll(t *testing.T, members []*groupMember) {
	t.Helper()
	for _, m := range members {
		if err := m.leave(); err != nil {
			t.Fatalf("%s: %v\n%s", m.name, err, m.outputText())
		}
	}
	for _, m := range members {
		for _, l := range m.waitExit(t, closeLimit) {
			m.handleLine(t, l, nil)
		}
	}
}

func memberOutputs(members []*groupMember) string {
	text := ""
	for _, m := range members {
		text += fmt.Sprintf("\nassigned %v, read %d\n%s", m.assigned, m.read, m.outputText())
	}
	return text
}
