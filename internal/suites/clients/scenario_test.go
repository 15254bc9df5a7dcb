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

	"github.com/zonewise/zonewise/internal/testenv/devserver"
)

const (
	partitions  = 6
	perMode     = 60 // records of each codec and kind of producer
	stableLimit = 90 * time.Second
	readLimit   = 90 * time.Second
	closeLimit  = 60 * time.Second
)

// client is one client of another maker.
type client struct {
	name    string
	prepare func(folder string) (command []string, err error) // missingError: not run
	flags   []string
	codecs  []string
	kinds   []bool // of producers: idempotent?
	leaders bool   // asked for leaders 100 times
	blurs   bool   // tells an empty key or value as null when it reads one
	skips   bool   // sends a batch as it is that does not shrink, such as one record without a value
	drops   bool   // throws away, and commits, what comes between being told to leave and its end
	keepsID bool   // its producer keeps to a topic's id until it is told to purge it, as against Apache Kafka 4.1.1
	repeats bool   // may read a record again after a rebalance, as its makers say
}

// speaking is a client as the scenario uses it: words become commands.
type speaking interface {
	create(t *testing.T, bootstrap, topic string)
	// produce returns where each record was acknowledged, by its number; nil
	// where the client does not tell.
	produce(t *testing.T, bootstrap, topic string, orders []order) map[int]place
	// join starts a member of a group.
	join(t *testing.T, bootstrap, topic, group string) *member
	text() bool  // it can only carry text
	skips() bool // it sends uncompressed what does not shrink
}

// member is a running member of a group.
type member struct {
	*speaker
	leave    func() error
	blurs    bool
	assigned []int32
	read     int
	last     map[int32]int64 // offset read last, by partition
}

// words is a client that speaks the words of doc.go.
type words struct {
	client
	command []string
}

func (w words) text() bool { return false }

func (w words) skips() bool { return w.client.skips }

func (w words) args(word, bootstrap, topic string, more ...string) []string {
	args := append(slices.Clone(w.command), word)
	args = append(args, w.flags...)
	return append(append(args, "--bootstrap", bootstrap, "--client-id", "suite-"+w.name, "--topic", topic), more...)
}

func (w words) create(t *testing.T, bootstrap, topic string) {
	lines := run(t, w.name+" create", jsonSpeech, nil, w.args("create", bootstrap, topic, "--partitions", strconv.Itoa(partitions))...)
	if len(lines) == 0 || lines[0].Client == "" {
		t.Fatalf("%s did not say who it is", w.name)
	}
	fmt.Printf("    %s: %s %s\n", w.name, lines[0].Client, lines[0].Version)
}

func (w words) produce(t *testing.T, bootstrap, topic string, orders []order) map[int]place {
	var in bytes.Buffer
	for _, o := range orders {
		b, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		in.Write(append(b, '\n'))
	}
	acked := map[int]place{}
	for _, l := range run(t, w.name+" produce", jsonSpeech, in.Bytes(), w.args("produce", bootstrap, topic)...) {
		if l.Ack == nil {
			continue
		}
		if _, twice := acked[*l.Ack]; twice || l.Offset == nil {
			t.Fatalf("%s: record %d: acknowledged twice, or without an offset", w.name, *l.Ack)
		}
		acked[*l.Ack] = place{l.Partition, *l.Offset}
	}
	return acked
}

func (w words) join(t *testing.T, bootstrap, topic, group string) *member {
	s := start(t, w.name+" consume at "+bootstrap, jsonSpeech, w.args("consume", bootstrap, topic, "--group", group)...)
	return &member{speaker: s, leave: s.stdin.Close, blurs: w.blurs, last: map[int32]int64{}}
}

// scenario is what each client must do.
func scenario(t *testing.T, d *devserver.Dev, c client, s speaking) {
	topic, group := "topic-of-"+c.name, "group-of-"+c.name
	s.create(t, d.Bootstrap(0), topic)

	members := joinAll(t, d, s, topic, group, nil)
	var sent []order
	for zone := range devserver.Zones {
		var here []order
		for k, m := range modes(c) {
			if k%devserver.Zones == zone {
				here = append(here, makeOrders(m, len(sent)+len(here), perMode, s.text())...)
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

	// While nobody listens, some more; the members that come next must see
	// that and nothing else.
	var more []order
	for _, m := range modes(c)[:2] {
		more = append(more, makeOrders(m, len(sent)+len(more), perMode, s.text())...)
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

	if !c.repeats {
		r := rolling{drops: c.drops, s: s, d: d, topic: topic, group: group, mode: modes(c)[len(modes(c))-1], members: members, sent: sent, known: known}
		for zone := range devserver.Zones {
			r.restart(t, zone)
		}
	}
	leaveAll(t, members)
	checkCommitted(t, d, group, topic)
	billedPuts(t, d, topic)
}

// rolling restarts the members one after the other, under traffic.
type rolling struct {
	drops        bool
	s            speaking
	d            *devserver.Dev
	topic, group string
	mode         mode
	members      []*member
	sent         []order
	known        map[place]order
}

// restart lets the member of a zone leave while records arrive, and starts it
// again. Each record is read once, by whoever has its partition.
func (r *rolling) restart(t *testing.T, zone int) {
	t.Helper()
	going := r.members[zone]
	if err := going.leave(); err != nil {
		t.Fatalf("%s: %v\n%s", going.name, err, going.said())
	}
	var rest []*line
	if r.drops {
		rest = going.finish(t, closeLimit)
	}
	orders := makeOrders(r.mode, len(r.sent), perMode, r.s.text())
	r.sent = append(r.sent, produceAt(t, r.d, r.s, zone, r.topic, orders)...)
	left := checkStored(t, r.d, r.topic, r.sent)
	for at := range r.known {
		delete(left, at)
	}
	maps.Copy(r.known, left)
	if !r.drops {
		rest = going.finish(t, closeLimit)
	}
	for _, l := range rest {
		going.handle(t, l, left)
	}
	r.members[zone] = r.s.join(t, r.d.Bootstrap(zone), r.topic, r.group)
	share(t, r.members, left)
	readAll(t, r.members, left)
}

func modes(c client) []mode {
	var all []mode
	for _, codec := range c.codecs {
		for _, kind := range c.kinds {
			all = append(all, mode{codec, kind})
		}
	}
	return all
}

// produceAt produces in a zone and compares the acknowledgements with what
// each partition then holds.
func produceAt(t *testing.T, d *devserver.Dev, s speaking, zone int, topic string, orders []order) []order {
	t.Helper()
	for k := range orders {
		orders[k].plain = s.skips() && len(orders[k].Value) == 0
	}
	acked := s.produce(t, d.Bootstrap(zone), topic, orders)
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

// joinAll starts a member in each zone and waits until they share the topic.
// What the first ones read meanwhile leaves left.
func joinAll(t *testing.T, d *devserver.Dev, s speaking, topic, group string, left map[place]order) []*member {
	t.Helper()
	var members []*member
	for zone := range devserver.Zones {
		members = append(members, s.join(t, d.Bootstrap(zone), topic, group))
	}
	share(t, members, left)
	return members
}

// share waits until the members share the topic.
func share(t *testing.T, members []*member, left map[place]order) {
	t.Helper()
	limit := time.Now().Add(stableLimit)
	for !shared(members) {
		if time.Now().After(limit) {
			t.Fatalf("three members do not share the topic after %v: %s", stableLimit, said(members))
		}
		for _, m := range members {
			m.take(t, 20*time.Millisecond, left)
		}
	}
}

// shared says whether every partition has one owner, and every member some.
func shared(members []*member) bool {
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

// take handles a line, if one comes within the time; it says whether one did.
// where holds the records that may be read, each once.
func (m *member) take(t *testing.T, wait time.Duration, where map[place]order) bool {
	t.Helper()
	select {
	case l, more := <-m.lines:
		if !more {
			t.Fatalf("member ended: %s", m.said())
		}
		m.handle(t, l, where)
		return true
	case <-time.After(wait):
		return false
	}
}

func (m *member) handle(t *testing.T, l *line, where map[place]order) {
	t.Helper()
	switch {
	case l.Assigned != nil:
		m.assigned = *l.Assigned
	case l.Offset != nil:
		at := place{l.Partition, *l.Offset}
		o, ok := where[at]
		if !ok {
			t.Fatalf("%s: read offset %d of partition %d, which was read before or was not to be read\n%s", m.name, at.offset, at.partition, m.said())
		}
		delete(where, at)
		if before, ok := m.last[at.partition]; ok && at.offset <= before {
			t.Fatalf("%s: offset %d of partition %d came after %d", m.name, at.offset, at.partition, before)
		}
		m.last[at.partition] = at.offset
		m.read++
		if m.blurs {
			o = blurred(o)
		}
		if err := sameRecord(o, l.Key, l.Value, l.Headers); err != nil {
			t.Fatalf("%s: read %v\n%s", m.name, err, m.said())
		}
	}
}

// readAll waits until the members have read what is left, each record once.
func readAll(t *testing.T, members []*member, left map[place]order) {
	t.Helper()
	limit, n := time.Now().Add(readLimit), len(left)
	for len(left) > 0 {
		if time.Now().After(limit) {
			t.Fatalf("%d of %d records were not read after %v: %s", len(left), n, readLimit, said(members))
		}
		for _, m := range members {
			for wait := 10 * time.Millisecond; m.take(t, wait, left); wait = 0 {
			}
		}
	}
}

// leaveAll lets the members commit and leave, and sees that none reads again.
func leaveAll(t *testing.T, members []*member) {
	t.Helper()
	for _, m := range members {
		if err := m.leave(); err != nil {
			t.Fatalf("%s: %v\n%s", m.name, err, m.said())
		}
	}
	for _, m := range members {
		for _, l := range m.finish(t, closeLimit) {
			m.handle(t, l, nil)
		}
	}
}

func said(members []*member) string {
	text := ""
	for _, m := range members {
		text += fmt.Sprintf("\nassigned %v, read %d\n%s", m.assigned, m.read, m.said())
	}
	return text
}
