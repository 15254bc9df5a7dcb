package oracle

import (
	"fmt"
)

// group is one in use, or a new one.
func (g *Generator) group() string {
	if len(g.groups) == 0 || len(g.groups) < 3 && g.chance(6) {
		g.bases++
		name := fmt.Sprintf("g%d", g.bases)
		g.say("name %s", name)
		g.groups = append(g.groups, name)
	}
	return pick(g, g.groups...)
}

func (g *Generator) commit() {
	t, group := g.topic(), g.group()
	member, generation := `""`, "-1"
	if m := g.members[group]; m != "" && !g.chance(6) {
		member, generation = "$"+m+".member", "$"+m+".generation"
		if g.chance(10) {
			generation += "+1"
		}
	}
	g.ask("OffsetCommit", 2, "Group: $%s, Generation: %s, MemberID: %s, Topics: [{Topic: $%s, Partitions: [{Partition: %d, Offset: %d, LeaderEpoch: -1, Metadata: m%d}]}]",
		group, generation, member, t.name, g.partition(t), g.rand.IntN(50), g.rand.IntN(9))
}

func (g *Generator) fetchOffsets() {
	t, group := g.topic(), g.group()
	v, ok := g.version("OffsetFetch", 1)
	if !ok {
		return
	}
	topics := fmt.Sprintf("[{Topic: $%s, Partitions: [0, 1, %d]}]", t.name, g.rand.IntN(5)+2)
	if v >= 2 && g.chance(4) {
		topics = "null"
	}
	if v >= 8 {
		g.say("OffsetFetch v%d {RequireStable: %v, Groups: [{Group: $%s, Topics: %s}]}", v, g.chance(3), group, topics)
		return
	}
	g.say("OffsetFetch v%d {Group: $%s, RequireStable: %v, Topics: %s}", v, group, v >= 7 && g.chance(3), topics)
}

// groupLife is the life of a group's only member.
func (g *Generator) groupLife() {
	group := g.group()
	m := g.members[group]
	if m == "" {
		g.join(group)
		return
	}
	who := fmt.Sprintf("Group: $%s, MemberID: $%s.member", group, m)
	if g.chance(15) {
		who = fmt.Sprintf("Group: $%s, MemberID: nobody", group)
	}
	switch g.rand.IntN(5) {
	case 0, 1:
		g.ask("Heartbeat", 0, "%s, Generation: $%s.generation", who, m)
	case 2:
		g.ask("SyncGroup", 0, "%s, Generation: $%s.generation, ProtocolType: consumer, Protocol: range, GroupAssignment: [{MemberID: $%s.member, MemberAssignment: a}]", who, m, m)
	case 3:
		g.join(group)
	case 4:
		v, ok := g.version("LeaveGroup", 0)
		if !ok {
			return
		}
		if v < 3 {
			g.say("LeaveGroup v%d {%s}", v, who)
		} else {
			g.say("LeaveGroup v%d {Group: $%s, Members: [{MemberID: $%s.member}]}", v, group, m)
		}
		delete(g.members, group)
	}
}

// join enters a group, or enters it again.
func (g *Generator) join(group string) {
	const common = "SessionTimeoutMillis: 30000, RebalanceTimeoutMillis: 5000, ProtocolType: consumer, Protocols: [{Name: range, Metadata: x}]"
	m := g.members[group]
	if m == "" {
		g.bases++
		m = fmt.Sprintf("m%d", g.bases)
		g.say("JoinGroup v5 {Group: $%s, MemberID: \"\", %s}", group, common)
		g.say("let %s.member = MemberID", m)
		g.members[group] = m
	}
	g.say("JoinGroup v%d {Group: $%s, MemberID: $%s.member, %s}", pick(g, 5, 6, 7, 9), group, m, common)
	g.say("let %s.generation = Generation", m)
	g.say("SyncGroup v%d {Group: $%s, MemberID: $%s.member, Generation: $%s.generation, ProtocolType: consumer, Protocol: range, GroupAssignment: [{MemberID: $%s.member, MemberAssignment: a}]}", pick(g, 3, 5), group, m, m, m)
}

func (g *Generator) groupAdmin() {
	group, t := g.group(), g.topic()
	switch g.rand.IntN(4) {
	case 0:
		g.ask("DescribeGroups", 0, "Groups: [$%s], IncludeAuthorizedOperations: false", group)
	case 1:
		g.ask("OffsetDelete", 0, "Group: $%s, Topics: [{Topic: $%s, Partitions: [{Partition: %d}]}]", group, t.name, g.rand.IntN(3))
	case 2:
		g.say("sleep 150ms") // Kafka lists what its log has committed
		g.ask("ListGroups", 0, "")
	case 3:
		g.ask("DeleteGroups", 0, "Groups: [$%s]", group)
	}
}

// transaction is one step of a transaction's life, in the old protocol (the
// versions that every client family speaks).
func (g *Generator) transaction() {
	if _, ok := g.offered[24]; !ok {
		return
	}
	if len(g.txns) == 0 {
		g.bases++
		name := fmt.Sprintf("x%d", g.bases)
		g.say("txn %s", name)
		g.txns = append(g.txns, modelTxn{name: name})
		return
	}
	x := &g.txns[g.rand.IntN(len(g.txns))]
	id := fmt.Sprintf("TransactionalID: $%s, ProducerID: $%s.id, ProducerEpoch: $%s.epoch", x.name, x.name, x.name)
	t := g.topic()
	if t.gone {
		return
	}
	p := g.rand.IntN(t.partitions)
	switch n := g.rand.IntN(10); {
	case n < 6:
		if !x.open || g.chance(3) {
			g.say("AddPartitionsToTxn v%d {%s, Topics: [{Topic: $%s, Partitions: [%d]}]}", g.rand.IntN(4), id, t.name, p)
		}
		x.open = true
		where := fmt.Sprintf("%s %d %s %d", x.name, x.epoch, t.name, p)
		g.say("AddPartitionsToTxn v3 {%s, Topics: [{Topic: $%s, Partitions: [%d]}]}", id, t.name, p)
		g.say("Produce v%d {TransactionID: $%s, Acks: -1, TimeoutMillis: 10000, Topics: [{Topic: $%s, Partitions: [{Partition: %d, Records: {records: [{key: k, value: v}], pid: $%s.id, epoch: $%s.epoch, seq: %d, txn: true}}]}]}",
			pick(g, 7, 9, 10), x.name, t.name, p, x.name, x.name, g.seqs[where])
		g.seqs[where]++
	case n < 7:
		group := g.group()
		if _, ok := g.offered[25]; ok {
			x.open = true
			g.say("AddOffsetsToTxn v%d {%s, Group: $%s}", g.rand.IntN(4), id, group)
			g.say("TxnOffsetCommit v%d {%s, Group: $%s, Generation: -1, MemberID: \"\", Topics: [{Topic: $%s, Partitions: [{Partition: %d, Offset: %d, LeaderEpoch: -1}]}]}", g.rand.IntN(4), id, group, t.name, p, g.rand.IntN(90))
		}
	default:
		g.say("EndTxn v%d {%s, Commit: %v}", g.rand.IntN(4), id, g.chance(2))
		x.open = false
	}
}
