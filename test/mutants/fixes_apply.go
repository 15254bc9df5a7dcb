package main

// applyFixes: entries that stopped apply for long, and what replaced that work.
func applyFixes() []mutant {
	const pkg, cow, epochs, expiry = "./metadata", "metadata/cow_map.go", "metadata/leader_epoch.go", "metadata/expiry.go"
	const rule = "LeaderEpochsAreThoseOfTheRule"
	return []mutant{
		{name: "a copy of a map changes with the original's buckets", pkg: pkg, run: "CowMap", edits: []edit{{cow,
			"m.version + 1, slices.Clone(m.buckets)", "m.version, slices.Clone(m.buckets)"}}},
		{name: "an item that a copy has is changed in place", pkg: pkg, run: "CowMap", edits: []edit{{cow,
			"	if e.item.version != m.version {", "	if e.item.version > m.version {"}}},
		{name: "a new bucket gets nothing of the one that it splits", pkg: pkg, run: "CowMap", edits: []edit{{cow,
			"		if m.bucketOf(e.hash) == n {", "		if m.bucketOf(e.hash) == n+1 {"}}},
		{name: "buckets are not added", pkg: pkg, run: "CowMap", edits: []edit{{cow,
			"m.count > bucketItems*len(m.buckets) {", "m.count > 1000*bucketItems*len(m.buckets) {"}}},
		{name: "a new partition rises by the changes before it", pkg: pkg, run: rule, edits: []edit{{epochs,
			"		from := max(e.done, row.epochFrom)\n", "		from := max(e.done, row.epochFrom-row.epochFrom)\n"}}},
		{name: "a row that is up to date counts its moves twice", pkg: pkg, run: rule, edits: []edit{{epochs,
			"		done = e.goal\n", "		done = e.done\n"}}},
		{name: "changes during a cycle are lost", pkg: pkg, run: rule, edits: []edit{{epochs,
			"e.done, e.goal, e.page = e.goal, 0, 0", "e.done, e.goal, e.page = e.changes, 0, 0"}}},
		{name: "the first broker of a zone moves no leader", pkg: pkg, run: rule, edits: []edit{{epochs,
			"		return true // clients of its zone", "		return false // clients of its zone"}}},
		{name: "a broker that joins counts as leader for no zone of its own", pkg: pkg, run: rule, edits: []edit{{epochs,
			"	return leads(tp, c.only, with.byZone[zone]) || leads", "	return leads"}}},
		{name: "a broker that moves to another zone moves no leader", pkg: pkg, run: rule, edits: []edit{{epochs,
			"c.before.Leader(tp, z) != c.after.Leader(tp, z) })", "c.before.Leader(tp, z) > c.after.Leader(tp, z)+1000 })"}}},
		{name: "changes that are not kept moved nothing", pkg: pkg, run: "BeyondTheChanges", edits: []edit{{epochs,
			"		n += LeaderEpoch(known - from)\n", "		n += LeaderEpoch(known - known)\n"}}},
		{name: "a tick brings every row up to date", pkg: pkg, run: "TouchesNoPartition", edits: []edit{{epochs,
			"work < foldBudget && e.page < tablePages", "work >= 0 && e.page < tablePages"}}},
		{name: "brokers drop different producers", pkg: pkg, run: "ATickExpires", edits: []edit{{expiry,
			"			slices.SortFunc(found, compare)\n", "			slices.SortFunc(found[:0], compare)\n"}}},
		{name: "a tick drops all that is idle", pkg: pkg, run: "ATickExpires", edits: []edit{{expiry,
			"len(gone); len(found) > room {", "len(gone); len(found) > room+1<<20 {"}}},
		{name: "a barrier serves a request that came after its read", pkg: pkg, run: "ABarrierServes", edits: []edit{{"metadata/replica_barrier.go",
			"r.barriers.answered > turn", "r.barriers.answered >= turn"}}},
		{name: "each request on a connection takes a barrier's read", pkg: "./broker", run: "ShareABarrier", edits: []edit{{"broker/error_backoff.go",
			"return s.cfg.Replica.BarrierSince(ctx, r.barrierTurn)", "return s.barrier(ctx)"}}},
		{name: "a partition that a run adds to a transaction is not in the hash", pkg: pkg, run: "Txn|Transaction|Checkpoint", edits: []edit{{"metadata/txn.go",
			"		t.addPartition(tp)\n		s.itemHashSum += hashTxnPartition(id, tp)\n", "		t.addPartition(tp)\n"}}},
		{name: "entries are not timed", pkg: pkg, run: "EveryEntryIsTimed", edits: []edit{{"metadata/replica.go",
			"	if r.cfg.OnApply != nil {", "	if r.cfg.OnApply == nil {"}}},
	}
}
