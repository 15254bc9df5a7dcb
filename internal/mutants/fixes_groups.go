package main

const groups = "./broker/groups"

// groupFixes: consumer groups.
func groupFixes() []mutant {
	return []mutant{
		{name: "positions below zero are refused", pkg: "./broker/groups", run: "TestCommitOfManyPartitionsAnswersEach", edits: []edit{{"broker/groups/commit.go",
			"				case !known || p.Partition < 0", "				case p.Offset < 0:\n					*code = codeInvalidRequest\n				case !known || p.Partition < 0"}}},
		{name: "a commit under an older epoch is refused", pkg: groups, run: "OlderEpochIsGood", edits: []edit{{"broker/groups/beat.go",
			"	if epoch >= p.epoch {\n", "	if epoch >= -9 {\n"}}},
		{name: "a commit under an older epoch is good for what came later", pkg: groups, run: "OlderEpochIsGood", edits: []edit{{"broker/groups/beat.go",
			" || epoch < h.since\n", "\n"}}},
		{name: "what is kept counts as given anew", pkg: groups, run: "OlderEpochIsGood", edits: []edit{{"broker/groups/reconcile.go",
			"	given := to.assigned.minus(p.assigned)\n", "	given := to.assigned\n"}}},
		{name: "the next coordinator takes what a member has for new", pkg: groups, run: "OlderEpochIsGood", edits: []edit{{"broker/groups/roster.go",
			" }), h.Since)\n", " }), p.epoch)\n"}}},
		{name: "a partition of two is whose is loaded last", pkg: groups, run: "APartitionOfTwo", edits: []edit{{"broker/groups/roster.go",
			"return h.Since >= r.owner[tp].since }", "return h.Since >= 0 }"}}},
		{name: "a static member's successor is held to its epochs", pkg: groups, run: "AStaticMembersEpochsEnd", edits: []edit{{"broker/groups/beat.go",
			"		r.hold(p, p.assigned, 0) //", "		//"}}},
		{name: "every protocol's metadata is written", pkg: groups, run: "TheChosenProtocolIsStoredAlone", edits: []edit{{"broker/groups/plan.go",
			"[]metadata.GroupProtocol{{Name: m.protocol, Metadata: mem.metadataOf(m.protocol)}}", "mem.protocols"}}},
		{name: "who does not fit joins, and its leader is told", pkg: groups, run: "WhoDoesNotFitAnEntry", edits: []edit{{"broker/groups/plan_join.go",
			"if known == nil && !m.fits(a) {", "if known != nil && !m.fits(a) {"}}},
		{name: "a full group tells that it has too many members", pkg: groups, run: "MemberBytesAreBounded", edits: []edit{{"broker/groups/plan_join.go",
			"		return codeLoadInProgress\n", "		return codeGroupMaxSize\n"}}},
		{name: "members of all groups are not counted", pkg: groups, run: "MemberBytesAreBounded", edits: []edit{{"broker/groups/pool.go",
			"	n := g.m.bytes + g.m.handed\n", "	n := 0\n"}}},
		{name: "assignments are not counted", pkg: groups, run: "AssignmentsAreBounded", edits: []edit{{"broker/groups/pool.go",
			"	n := g.m.bytes + g.m.handed\n", "	n := g.m.bytes\n"}}},
		{name: "large members take all there is", pkg: groups, run: "MemberBytesAreBounded", edits: []edit{{"broker/groups/pool.go",
			"limit -= limit / 8", "limit -= 0"}}},
		{name: "a limit is told by a code that SyncGroup has not", pkg: "./broker", run: "LimitCodes", edits: []edit{{"broker/groups/member_calls.go",
			"	if s.code == codeLoadInProgress {", "	if s.code == codeRebalance {"}}},
		{name: "heartbeats are refused while a slot is taken over", pkg: groups, run: "TakeOverNeedsNoRebalance", edits: []edit{{"broker/groups/member_calls.go",
			"pickCode(code == codeLoadInProgress, codeOK, code)", "code"}}},
		{name: "a rebalance timeout of nothing is the session timeout", pkg: groups, run: "ARebalanceTimeoutOfNothing", edits: []edit{{"broker/groups/member_calls.go",
			"	if r.Version < 1 {\n		a.rebalance", "	if r.Version < 1 || r.RebalanceTimeoutMillis <= 0 {\n		a.rebalance"}}},
		{name: "a group whose members never synced is forgotten", pkg: groups, run: "ARebalanceTimeoutOfNothing", edits: []edit{{"broker/groups/plan_round.go",
			"		m.storeEmpty()\n		return\n", "		if m.stored {\n			m.storeEmpty()\n		}\n		return\n"}}},
	}
}
