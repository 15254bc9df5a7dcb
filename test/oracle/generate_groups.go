package oracle

import (
	"fmt"
)

// pickGroup returns a group in use, or a new one.
func (g *Generator) pickGroup() string {
	if len(g.groups) == 0 || len(g.groups) < 3 && g.oneIn(6) {
		g.nameCount++
		name := fmt.Sprintf("g%d", g.nameCount)
		g.addLine("name %s", name)
		g.groups = append(g.groups, name)
	}
	return pick(g, g.groups...)
}

func (g *Generator) addOffsetCommit() {
	t, group := g.pickTopic(), g.pickGroup()
	member, generation := `""`, "-1"
	if m := g.members[group]; m != "" && !g.oneIn(6) {
		member, generation = "$"+m+".member", "$"+m+".generation"
		if g.oneIn(10) {
			generation += "+1"
		}
	}
	g.addRequest("OffsetCommit", 2, "Group: $%s, Generation: %s, MemberID: %s, Topics: [{Topic: $%s, Partitions: [{Partition: %d, Offset: %d, LeaderEpoch: -1, Metadata: m%d}]}]",
		group, generation, member, t.name, g.pickPartition(t), g.rand.IntN(50), g.rand.IntN(9))
}

func (g *Generator) addOffsetFetch() {
	t, group := g.pickTopic(), g.pickGroup()
	v, ok := g.chooseVersion("OffsetFetch", 1)
	if !ok {
		return
	}
	topics := fmt.Sprintf("[{Topic: $%s, Partitions: [0, 1, %d]}]", t.name, g.rand.IntN(5)+2)
	if v >= 2 && g.oneIn(4) {
		topics = "null"
	}
	if v >= 8 {
		g.addLine("OffsetFetch v%d {RequireStable: %v, Groups: [{Group: $%s, Topics: %s}]}", v, g.oneIn(3), group, topics)
		return
	}
	g.addLine("OffsetFetch v%d {Group: $%s, RequireStable: %v, Topics: %s}", v, group, v >= 7 && g.oneIn(3), topics)
}

// addMemberStep adds a step of a group's only member.
func (g *Generator) addMemberStep() {
	group := g.pickGroup()
	m := g.members[group]
	if m == "" {
		g.addJoin(group)
		return
	}
	who := fmt.Sprintf("Group: $%s, MemberID: $%s.member", group, m)
	if g.oneIn(15) {
		who = fmt.Sprintf("Group: $%s, MemberID: nobody", group)
	}
	switch g.rand.IntN(5) {
	case 0, 1:
		g.addRequest("Heartbeat", 0, "%s, Generation: $%s.generation", who, m)
	case 2:
		g.addRequest("SyncGroup", 0, "%s, Generation: $%s.generation, ProtocolType: consumer, Protocol: range, GroupAssignment: [{MemberID: $%s.member, MemberAssignment: a}]", who, m, m)
	case 3:
		g.addJoin(group)
	case 4:
		v, ok := g.chooseVersion("LeaveGroup", 0)
		if !ok {
			return
		}
		if v < 3 {
			g.addLine("LeaveGroup v%d {%s}", v, who)
		} else {
			g.addLine("LeaveGroup v%d {Group: $%s, Members: [{MemberID: $%s.member}]}", v, group, m)
		}
		delete(g.members, group)
	}
}

// addJoin joins or rejoins a group.
func (g *Generator) addJoin(group string) {
	const common = "SessionTimeoutMillis: 30000, RebalanceTimeoutMillis: 5000, ProtocolType: consumer, Protocols: [{Name: range, Metadata: x}]"
	m := g.members[group]
	if m == "" {
		g.nameCount++
		m = fmt.Sprintf("m%d", g.nameCount)
		g.addLine("JoinGroup v5 {Group: $%s, MemberID: \"\", %s}", group, common)
		g.addLine("let %s.member = MemberID", m)
		g.members[group] = m
	}
	g.addLine("JoinGroup v%d {Group: $%s, MemberID: $%s.member, %s}", pick(g, 5, 6, 7, 9), group, m, common)
	g.addLine("let %s.generation = Generation", m)
	g.addLine("SyncGroup v%d {Group: $%s, MemberID: $%s.member, Generation: $%s.generation, ProtocolType: consumer, Protocol: range, GroupAssignment: [{MemberID: $%s.member, MemberAssignment: a}]}", pick(g, 3, 5), group, m, m, m)
}

func (g *Generator) addGroupAdmin() {
	group, t := g.pickGroup(), g.pickTopic()
	switch g.rand.IntN(4) {
	case 0:
		g.addRequest("DescribeGroups", 0, "Groups: [$%s], IncludeAuthorizedOperations: false", group)
	case 1:
		g.addRequest("OffsetDelete", 0, "Group: $%s, Topics: [{Topic: $%s, Partitions: [{Partition: %d}]}]", group, t.name, g.rand.IntN(3))
	case 2:
		g.addLine("sleep 150ms") // Kafka lists what is committed in its log
		g.addRequest("ListGroups", 0, "")
	case 3:
		g.addRequest("DeleteGroups", 0, "Groups: [$%s]", group)
	}
}

// addTxnStep adds one step of a transaction in the old protocol (the versions that
// every client family speaks).
func (g *Generator) addTxnStep() {
	if _, ok := g.offered[24]; !ok {
		return
	}
	if len(g.txns) == 0 {
		g.nameCount++
		name := fmt.Sprintf("x%d", g.nameCount)
		g.addLine("txn %s", name)
		g.txns = append(g.txns, modelTxn{name: name})
		return
	}
	x := &g.txns[g.rand.IntN(len(g.txns))]
	id := fmt.Sprintf("TransactionalID: $%s, ProducerID: $%s.id, ProducerEpoch: $%s.epoch", x.name, x.name, x.name)
	t := g.pickTopic()
	if t.deleted {
		return
	}
	p := g.rand.IntN(t.partitions)
	switch n := g.rand.IntN(10); {
	case n < 6:
		if !x.open || g.oneIn(3) {
			g.addLine("AddPartitionsToTxn v%d {%s, Topics: [{Topic: $%s, Partitions: [%d]}]}", g.rand.IntN(4), id, t.name, p)
		}
		x.open = true
		where := fmt.Sprintf("%s %d %s %d", x.name, x.epoch, t.name, p)
		g.addLine("AddPartitionsToTxn v3 {%s, Topics: [{Topic: $%s, Partitions: [%d]}]}", id, t.name, p)
		g.addLine("Produce v%d {TransactionID: $%s, Acks: -1, TimeoutMillis: 10000, Topics: [{Topic: $%s, Partitions: [{Partition: %d, Records: {records: [{key: k, value: v}], pid: $%s.id, epoch: $%s.epoch, seq: %d, txn: true}}]}]}",
			pick(g, 7, 9, 10), x.name, t.name, p, x.name, x.name, g.seqs[where])
		g.seqs[where]++
	case n < 7:
		group := g.pickGroup()
		if _, ok := g.offered[25]; ok {
			x.open = true
			g.addLine("AddOffsetsToTxn v%d {%s, Group: $%s}", g.rand.IntN(4), id, group)
			g.addLine("TxnOffsetCommit v%d {%s, Group: $%s, Generation: -1, MemberID: \"\", Topics: [{Topic: $%s, Partitions: [{Partition: %d, Offset: %d, LeaderEpoch: -1}]}]}", g.rand.IntN(4), id, group, t.name, p, g.rand.IntN(90))
		}
	default:
		g.addLine("EndTxn v%d {%s, Commit: %v}", g.rand.IntN(4), id, g.oneIn(2))
		x.open = false
	}
}
