package main

const (
	cmd  = "./cmd/zonewise"
	node = "./internal/node"
)

// coreFixes: the core: recovery, hand-over, accounting.
func coreFixes() []mutant {
	return []mutant{
		{name: "a checkpoint that was damaged on its way stops the broker", pkg: "./metadata", run: "ReadDamagedIsReadAgain", edits: []edit{{"metadata/replica.go",
			"case damaged > 0 && damaged < maxDamagedReads:", "case damaged > maxDamagedReads:"}}},
		{name: "a clock that nobody confirms moves state time", pkg: "./metadata", run: "AClockThatNobodyConfirms", edits: []edit{{"metadata/maintenance.go",
			"to = min(to, at+MaxTickStep, c.confirmTime(live, at, now))", "to = min(max(to, c.confirmTime(live, at, now)), at+MaxTickStep)"}}},
		{name: "a checkpoint that is stored damaged is read for ever", pkg: "./metadata", run: "ReadDamagedIsReadAgain", edits: []edit{{"metadata/replica.go",
			"case damaged > 0 && damaged < maxDamagedReads:", "case damaged > 0:"}}},
		{name: "a file of the HTTP listener that is no good is passed over", pkg: cmd, run: "AFileThatIsNoGood|WithoutItsTokenFile", edits: []edit{{"cmd/zonewise/broker.go",
			"	if f.http, err = o.httpEndpoint.loadGuard(); err != nil {\n		return nil, err\n	}\n", "	f.http, _ = o.httpEndpoint.loadGuard()\n"}}},
		{name: "files are read without flag and remedy", pkg: cmd, run: "AFileThatIsNoGood", edits: []edit{{"cmd/zonewise/files.go",
			"return fmt.Errorf(\"read --%s %s: %w; %s\", f.flag, f.path, err, remedy)", "return errors.Join(err, errors.New(remedy))"}}},
		{name: "a bucket folder that is not there is made by who reads it", pkg: cmd, run: "ABucketFolder", edits: []edit{{"cmd/zonewise/options.go",
			"if where != \"\" && !strings.HasPrefix(where, \"s3:\")", "if where == \"s3\" && !strings.HasPrefix(where, \"s3:\")"}}},
		{name: "a joining broker does not know the placement before", pkg: node, run: "AJoiningBroker", edits: []edit{{"metadata/placement_past.go",
			"	if len(old.brokers) > 0 {\n		kept", "	if len(old.brokers) > 2 {\n		kept"}}},
		{name: "one earlier placement is remembered", pkg: node, run: "AJoiningBroker", edits: []edit{{"metadata/placement_past.go",
			"maxPastPlacements = 64", "maxPastPlacements = 1"}}},
		{name: "a partition is handed over once, not for each connection", pkg: node, run: "AJoiningBroker", edits: []edit{{"internal/node/handover.go",
			"		key.connection = weak.Make(b.Activity)\n", "		key.connection = weak.Make(&allFeeds)\n"}, {"internal/node/handover.go",
			"// handoverKey is a", "var allFeeds wal.ConnectionActivity\n\n// handoverKey is a"}}},
		{name: "clients without a zone are not handed over", pkg: node, run: "ClientsWithoutAZone", edits: []edit{{"metadata/placement_past.go",
			"b := p.placement.Leader(tp, zone)", "b := p.placement.Leader(tp, s.zones[0])"}}},
		{name: "what waits before the WAL is not waited for", pkg: node, run: "WhatWaitsForOneBroker", edits: []edit{{"internal/node/handover.go",
			"for _, c := range waiting {", "for _, c := range waiting[:0] {"}}},
		{name: "a silent broker gets a request for every partition", pkg: node, run: "HoldsUpAHandOverOnce", edits: []edit{{"internal/node/handover.go",
			"silent && time.Since(last) < unresponsiveTime", "silent && time.Since(last) < 0"}}},
		{name: "checkpoints forget former placements", pkg: "./metadata", run: "FormerLeadersAre", edits: []edit{
			{"metadata/codec_state.go", "	w.writePastPlacements(s)\n", ""}, {"metadata/state_hash.go", "return s.hashPastPlacements(s.hashLeaderEpochs(m)).Sum()", "return s.hashLeaderEpochs(m).Sum()"}}},
		{name: "epochs stay where a drained broker comes back", pkg: "./metadata", run: "EpochsRise", edits: []edit{{"metadata/commands_session.go",
			"	s.updatePlacement() // no hint moves", "	if former == nil {\n		s.updatePlacement()\n	} else {\n		s.placement = newPlacement(s.zones, s.Sessions())\n	} // no hint moves"}}},
		{name: "a recovery's gap ends with nothing", pkg: "./broker", run: "PassesTheGap", edits: []edit{{"metadata/commands_cluster.go",
			"			p.next += recoveryOffsetJump - 1\n", "			p.next += recoveryOffsetJump\n"}, {"metadata/commands_cluster.go",
			"		s.appendMarker(tp, Span{Count: 1, Length: MarkerSize, Object: MarkerRecovery,", "		s.appendMarker(TopicPartition{}, Span{Count: 1, Length: MarkerSize, Object: MarkerRecovery,"}}},
		{name: "offsets in a recovery's gap are returned unchanged", pkg: "./broker", run: "PassesTheGap", edits: []edit{{"metadata/state_view.go",
			"		if len(spans) == 0 || spans[0].Object != MarkerRecovery {", "		if len(spans) >= 0 || spans[0].Object != MarkerRecovery {"}}},
		{name: "a recovery does not name groups that are behind", pkg: "./internal/recovery", run: "GivesNoOffsetTwice", edits: []edit{{"internal/recovery/run.go",
			"	report.Behind = groupsBehind(r.rebuilt.State, report.Partitions)\n", "	_ = groupsBehind\n"}}},
		{name: "what was never sent is given up", pkg: node, run: "OnlyAReport|AReportThatADrain", edits: []edit{{"internal/node/usage.go",
			"		if !u.commitReport(ctx, &cmd) {\n			u.restoreCells(cells)\n", "		if !u.commitReport(ctx, &cmd) {\n"}}},
		{name: "part of a usage report counts as the whole", pkg: "./metadata", run: "PartOfAReport", edits: []edit{{"metadata/ledger_shares.go",
			"	if c.To > c.From {", "	if c.To >= c.From {"}}},
		{name: "the first session of a cluster leaves no gap", pkg: "./metadata", run: "EndsUnreported", edits: []edit{{"metadata/commands_time.go",
			"				o.usageReportedTo = max(1, s.time-maxTickLag)\n", ""}}},
		{name: "what is counted again is shown twice", pkg: node, run: "WhatALostSession", edits: []edit{
			{"internal/node/usage.go", "		u.n.traffic.countCells(cmd.Cells)\n", ""}, {"internal/node/usage.go", "	metadata.SortCells(cells)\n", "	metadata.SortCells(cells)\n	u.n.traffic.countCells(cells)\n"}}},
		{name: "retained bytes keep their entry", pkg: "./metadata", run: "RetainedBytes", edits: []edit{{"metadata/waiters.go",
			"inline := bytes.Clone(c.Bytes[at : len(c.Bytes)-4])", "inline := bytes.TrimSuffix(c.Bytes[at:len(c.Bytes)-4], nil)"}}},
		{name: "trimmed spans are kept", pkg: "./metadata", run: "TrimmedSpans", edits: []edit{{"metadata/releases.go",
			"if p.trimmedSpans += n; p.trimmedSpans > len(p.spans) {", "if p.trimmedSpans += n; p.trimmedSpans < 0 {"}}},
	}
}
