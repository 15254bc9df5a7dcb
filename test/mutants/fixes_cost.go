package main

// costFixes: bytes and names that the bill did not have, and a tick that took long.
func costFixes() []mutant {
	const pkg = "./metadata"
	return []mutant{
		{name: "orphaned uploads have no size", pkg: "./wal", run: "OrphansHaveTheSize", edits: []edit{{"wal/upload.go",
			"		l.orphans = append(l.orphans, r)\n", "		r.Size = 0\n		l.orphans = append(l.orphans, r)\n"}}},
		{name: "uploads that the store refused are billed", pkg: "./wal", run: "OrphansHaveTheSize", edits: []edit{{"wal/upload.go",
			"		a.ref.Size = 0 // nothing", "		_ = 0 // nothing"}}},
		{name: "the name of a deleted topic is forgotten", pkg: pkg, run: "ADeletedTopicKeeps", edits: []edit{{"metadata/commands_topic.go",
			"	s.rememberDeletedTopic(c.ID, t.Name)\n", ""}}},
		{name: "names of deleted topics are kept for ever", pkg: pkg, run: "ADeletedTopicKeeps|NamesOfDeleted", edits: []edit{{"metadata/commands_time.go",
			"	s.forgetDeletedTopics()\n", ""}}},
		{name: "the name of a deleted topic that has bytes is forgotten", pkg: pkg, run: "NamesOfDeleted", edits: []edit{{"metadata/deleted_topics.go",
			"		if s.storage.rows.has(t.id) {\n", "		if t.id.IsZero() {\n"}}},
		{name: "names of deleted topics are without bound", pkg: pkg, run: "NamesOfDeleted", edits: []edit{{"metadata/deleted_topics.go",
			"s.deletedTopics.rows.count >= maxDeletedNames {", "s.deletedTopics.rows.count > maxDeletedNames+9 {"}}},
		{name: "a deleted topic is shown by its id", pkg: "./dashboards", run: "DeletedTopicsAreShown|ARealStates", edits: []edit{{"dashboards/cost.go",
			"l.Deleted[id]; ok {", "l.Deleted[id]; ok && name == \"\" {"}}},
		{name: "every topic is booked at every tick", pkg: pkg, run: "InTurns", edits: []edit{{"metadata/topic_storage.go",
			"booked >= s.limits.StorageTurn {", "booked < 0 {"}}},
		{name: "each tick books the first topics", pkg: pkg, run: "InTurns", edits: []edit{{"metadata/topic_storage.go",
			"	booked := 0\n", "	booked := 0\n	s.storage.nextPage = 0\n"}}},
		{name: "checkpoints forget whose turn it is", pkg: pkg, run: "InTurns", edits: []edit{
			{"metadata/codec_storage.go", "	w.uvarint(uint64(s.storage.nextPage))\n", "	w.uvarint(0)\n"}, {"metadata/state_hash.go", ".Word(uint64(s.storage.nextPage))", ""}}},
		{name: "checkpoints forget what is not booked yet", pkg: pkg, run: "InTurns|StorageIsDerived", edits: []edit{
			{"metadata/codec_storage.go", "	for _, q := range []Quantity{t.liveTime, t.deadTime} {\n", "	for _, q := range []Quantity{{}, {}} {\n"}}},
		{name: "storage is booked with the bytes of later", pkg: pkg, run: "EveryByte", edits: []edit{{"metadata/topic_storage.go",
			"		t.addUpTo(s.time)\n		s.itemHashSum += hash", "		s.itemHashSum += hash"}}},
		{name: "storage before state time began is not counted from there", pkg: pkg, run: "EveryByte", edits: []edit{{"metadata/topic_storage.go",
			"			t.since = at\n", "			t.since = 0\n"}}},
	}
}
