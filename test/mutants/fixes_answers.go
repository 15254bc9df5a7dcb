package main

// answerFixes: answers that differ from Kafka's.
func answerFixes() []mutant {
	const pkg = "./broker"
	return []mutant{
		{name: "an oversized batch that cannot be read keeps memory", pkg: pkg, run: "TestAnOversizedBatchThatCannotBeRead", edits: []edit{{"broker/fetch_read.go",
			"	return f.reserveMemory(ctx, f.planReads(others, f.maxRecordBytes())) // the read failed", "	return f.tryReserveExtra(f.planReads(others, f.maxRecordBytes())) // the read failed"}}},
		{name: "errors repeat what was sent, however long", pkg: pkg, run: "TestWhatIsToldOfConfigsFits", edits: []edit{{"broker/errors.go",
			"	if len(s) <= maxErrorTextBytes {", "	if len(s) <= 1<<20 {"}}},
		{name: "the leader is none of few replicas", pkg: pkg, run: "TestTheLeaderIsOneOfTheReplicas", edits: []edit{{"broker/cluster_view.go",
			"		out[n-1] = leader\n", "		_ = n\n"}}},
		{name: "an oversized batch is alone in its answer", pkg: pkg, run: "TestFetchNeverExceedsItsLimits", edits: []edit{{"broker/fetch_read.go",
			"		return f.tryReserveExtra(f.planReads(others, f.maxRecordBytes()-int64(p.result.bytes)))\n", "		return 0\n"}}},
		{name: "a later session renames the cluster", pkg: "./metadata", run: "TestTheFirstSessionNames", edits: []edit{{"metadata/commands_session.go",
			"	if s.cluster.IsZero() {\n", "	if !open.Cluster.IsZero() {\n"}}},
		{name: "a client that means another broker is served", pkg: pkg, run: "TestWhoeverIsMeant", edits: []edit{{"broker/18_api_versions.go",
			"		return kerr.RebootstrapRequired.Code\n", "		return noError\n"}}},
		{name: "a client that names half of whom it means is served", pkg: pkg, run: "TestWhoeverIsMeant", edits: []edit{{"broker/18_api_versions.go",
			"	case q.ClusterID == nil || q.NodeID == -1:\n		return kerr.InvalidRequest.Code\n", "	case q.ClusterID == nil || q.NodeID == -1:\n		return noError\n"}}},
		{name: "a commit that names no topic goes to the coordinator", pkg: pkg, run: "TestPositionsGoByTopicID", edits: []edit{{"broker/08_offset_commit.go",
			"	if len(known) > 0 || len(unknown) == 0 {\n		resp = s.cfg.Groups.CommitOffsets", "	if len(known) >= 0 || len(unknown) == 0 {\n		unknown = nil\n		resp = s.cfg.Groups.CommitOffsets"}}},
		{name: "offsets of topics that do not exist are those of all", pkg: pkg, run: "TestPositionsGoByTopicID", edits: []edit{{"broker/topic_ids.go",
			"	known = make([]T, 0, len(topics))\n", ""}}},
		{name: "what is not tiered yet is found", pkg: pkg, run: "TestNothingWaitsToBeTiered", edits: []edit{{"broker/02_list_offsets.go",
			"	case p.Timestamp == timeLatestTiered, p.Timestamp == timeEarliestPendingUpload:\n		return\n", "	case p.Timestamp == timeLatestTiered:\n		return\n"}}},
		{name: "a marker of version 2 has its transaction's epoch", pkg: pkg, run: "TestTransactionsAreShown", edits: []edit{{"broker/27_write_txn_markers.go",
			" && m.TransactionVersion >= 2)", " && m.TransactionVersion > 2)"}}},
		{name: "an ended transaction has no start", pkg: pkg, run: "TestTransactionsAreShown", edits: []edit{{"broker/65_describe_transactions.go",
			"	if v.Status != metadata.TxnEmpty && v.Started > 0 {", "	if v.Status == metadata.TxnOngoing && v.Started > 0 {"}}},
		{name: "an epoch from the future is out of range", pkg: pkg, run: "TestEpochsFromTheFuture", edits: []edit{{"broker/01_fetch.go",
			"	case p.leaderEpoch > int32(p.view.Epoch):\n", "	case p.leaderEpoch > int32(p.view.Epoch) && p.offset <= p.view.Next:\n"}}},
		{name: "an epoch from the future lists offsets", pkg: pkg, run: "TestEpochsFromTheFuture", edits: []edit{{"broker/02_list_offsets.go",
			"	case p.CurrentLeaderEpoch > int32(h.Epoch):\n", "	case p.CurrentLeaderEpoch > int32(h.Epoch)+1000:\n"}}},
		{name: "a topic named by name and by id is refused twice", pkg: pkg, run: "TestMistakes", edits: []edit{{"broker/20_delete_topics.go",
			"			if ref != both && done[both] {\n", "			if false && done[both] {\n"}, {"broker/20_delete_topics.go",
			"			done[both], code = true, kerr.InvalidRequest.Code\n", "			code = kerr.InvalidRequest.Code\n"}}},
		{name: "more replicas than brokers are taken though it is to check", pkg: pkg, run: "TestReplicasBeyond", edits: []edit{{"broker/19_create_topics.go",
			"s.cfg.CheckReplication && int(replication) > n {", "s.cfg.CheckReplication && int(replication) > n+1 {"}}},
	}
}
