package main

import "slices"

// edit replaces a text that occurs exactly once in a file.
type edit struct {
	file, old, new string
}

// mutant is one deliberate breakage, and the test that must notice it.
type mutant struct {
	name  string
	edits []edit
	pkg   string
	run   string // tests
	seeds string // of the simulation: "<from>+<count>"
}

const (
	sim      = "./test/sim"
	simSeeds = "^TestSeeds$"
	// someSeeds include a lost etcd, a restored one, an archive that is damaged in
	// transit, and killed holders of the archive role.
	someSeeds = "0+6"
	// damagedSeeds: in one of them a broker starts from an archive that was damaged.
	damagedSeeds = "12+16"
	// txnSeeds: most mutants of transactions are found with hardly any faults.
	txnSeeds = "0+4"
)

// promiseMutants is the table of changes that break a promise, with the tests that
// guard it.
func promiseMutants() []mutant {
	return slices.Concat(verifyMutants(), []mutant{
		{name: "a commit of unknown outcome is acknowledged", pkg: "./wal", run: "Unknown|Lost|Session|Close", edits: []edit{{"wal/commit.go",
			"			case err != nil:\n				l.answerAll(items, err)\n",
			"			case err != nil:\n				l.answerAll(items, nil)\n"}}},
		{name: "acknowledged before the object is durable", pkg: "./wal", run: "Upload|Storm|Object|Hedge", edits: []edit{{"wal/commit.go",
			"if full || b.state != bufferReady || b.containsAny(l.blockedPartitions)",
			"if full || b.containsAny(l.blockedPartitions)"}}},
		{name: "commits of a partition out of order", pkg: "./wal", run: "TestBufferWaitsForAnOlderOne", edits: []edit{{"wal/commit.go",
			"b.state != bufferReady || b.containsAny(l.blockedPartitions) || !a.fitsBuffer(b) {",
			"b.state != bufferReady || !a.fitsBuffer(b) {"}}},
		{name: "commit without the session's guard", pkg: "./metadata/etcdlog", run: "LostSession|Promises|Landed", edits: []edit{{"metadata/etcdlog/append.go",
			"		compareCreated(a.s.key, a.s.created),\n		compareValueEqual", "		compareValueEqual"}}},
		{name: "commit into a closed generation", pkg: "./metadata/etcdlog", run: "Generation|Promises", edits: []edit{{"metadata/etcdlog/append.go",
			"		compareValueEqual(l.k.extentKey(), formatHex64(uint64(a.p.extent))),\n", ""}}},
		{name: "a key deleted before the question is taken for one that never was", pkg: "./metadata/etcdlog", run: "BetweenAFailedAttempt", edits: []edit{{"metadata/etcdlog/append.go",
			"if a.p.maybeLanded && st.truncated >= a.p.extent {", "if a.p.maybeLanded && before.truncated >= a.p.extent {"}}},
		{name: "an attempt of unknown outcome forgotten by the question", pkg: "./metadata/etcdlog", run: "BetweenAFailedAttempt", edits: []edit{{"metadata/etcdlog/append.go",
			"if a.p.maybeLanded && st.truncated >= a.p.extent {", "if false && st.truncated >= a.p.extent {"}}},
		{name: "keys deleted before their archive is accepted", pkg: sim, run: simSeeds, seeds: someSeeds, edits: []edit{{"metadata/maintenance_archive.go",
			"	cmd := AcceptArchive{",
			"	if err := c.cfg.Admin.DeleteArchived(ctx, role, p.Extent, key); err != nil {\n		return false, err\n	}\n	cmd := AcceptArchive{"}}},
		{name: "an archive that skips an entry", pkg: sim, run: simSeeds, seeds: someSeeds, edits: []edit{{"metadata/archive.go",
			"func (a *ArchiveWriter) Add(c CommittedEntry) error {\n",
			"func (a *ArchiveWriter) Add(c CommittedEntry) error {\n	if c.Seq == 7 {\n		return nil\n	}\n"}}},
		{name: "an archive's digest taken from memory", pkg: sim, run: simSeeds, seeds: damagedSeeds, edits: []edit{{"metadata/maintenance_archive.go",
			"a, err := DecodeArchive(back)", "a, err := DecodeArchive(body)"}}},
		{name: "a request of the platform booked twice", pkg: sim, run: simSeeds, seeds: someSeeds, edits: []edit{{"internal/node/usage.go",
			"	m.addRequests(k, 1)\n", "	m.addRequests(k, 2)\n"}}},
		{name: "LISTs not booked", pkg: sim, run: simSeeds, seeds: "10+1", edits: []edit{{"internal/node/usage.go",
			"		k.Component = costkeys.ComponentListPlatform\n", "		return\n"}}},
		{name: "bytes of deleted records not booked", pkg: "./metadata", run: "EveryByteInTheBucket|ADeletedTopicKeeps", edits: []edit{{"metadata/topic_storage.go",
			"		s.bookQuantity(CellKey{Topic: id, Component: costkeys.ComponentStorageDeleted}, t.deadTime)\n", ""}}},
		{name: "a confirmed deletion does not end the row", pkg: "./metadata", run: "EveryByteInTheBucket|ADeletedTopicKeeps", edits: []edit{{"metadata/garbage.go",
			"		s.addStoredBytes(share.topic, 0, -share.bytes)\n", "		s.addStoredBytes(share.topic, 0, 0)\n"}}},
		{name: "the platform's storage without checkpoints", pkg: "./metadata", run: "EveryByteInTheBucket", edits: []edit{{"metadata/topic_storage.go",
			"s.archiveBytes + s.checkpointBytes + s.garbageBytes", "s.archiveBytes + s.garbageBytes"}}},
		{name: "a wrong clock moves state time", pkg: sim, run: simSeeds, seeds: "94+1", edits: []edit{{"metadata/maintenance.go",
			"by > maxClockSkew || by < -maxClockSkew {", "by > 1000*maxClockSkew || by < -maxClockSkew {"}}},
		{name: "deduplication off", pkg: sim, run: simSeeds, seeds: someSeeds, edits: []edit{{"metadata/producer.go",
			"return r.offset + Offset(ahead), CodeDuplicate", "return 0, CodeOK"}}},
		{name: "waiters keyed without their lane", pkg: sim, run: simSeeds, seeds: someSeeds, edits: []edit{
			{"metadata/waiters.go", "	w := &Waiter{C: c, c: c, key: key, registry: &r.waiters}\n", "	key.Lane = 0\n	w := &Waiter{C: c, c: c, key: key, registry: &r.waiters}\n"},
			{"metadata/waiters.go", "	if it := w.byKey[key]; it != nil && it.appliedAt == 0 {\n", "	key.Lane = 0\n	if it := w.byKey[key]; it != nil && it.appliedAt == 0 {\n"}}},
		{name: "a checkpoint older than believed", pkg: sim, run: simSeeds, seeds: someSeeds, edits: []edit{{"metadata/maintenance_checkpoint.go",
			"	body := c.checkpointer.Encode(snapshot, key)\n",
			"	body := c.checkpointer.Encode(snapshot, key)\n	snapshot.revision += 60\n"}}},
		{name: "a member's epoch moves on before it gave partitions up", pkg: "./broker/groups", run: "ReadTwice", edits: []edit{{"broker/groups/reconcile.go",
			"if len(drop) > 0 && (!reported || owned.intersects(drop)) {", "if len(drop) > 0 && !reported {"}}},
		{name: "a partition given to a member while another has it", pkg: "./broker/groups", run: "ReadTwice", edits: []edit{{"broker/groups/reconcile.go",
			"return !held || holder.member == p.info.ID", "return !held || holder.member != \"\""}}},
		{name: "a heartbeat answered before its changes are written", pkg: "./broker/groups", run: "AnswersWait", edits: []edit{{"broker/groups/write_buffer.go",
			"	if b.durableChanges >= b.changes {\n", "	if b.durableChanges <= b.changes {\n"}}},
		{name: "members' commands of an old slot epoch accepted", pkg: "./metadata", run: "StaleSlots", edits: []edit{{"metadata/commands_member.go",
			"func (c SetAssignments) apply(s *State, _ *Entry) CommandOutcome {\n	if out, stale := s.checkSlotEpoch(c.Group, c.Epoch); stale {\n		return out\n	}\n",
			"func (c SetAssignments) apply(s *State, _ *Entry) CommandOutcome {\n"}}},
		{name: "offsets expire although they were renewed", pkg: "./metadata", run: "Expiry", edits: []edit{{"metadata/commands_offsets.go",
			"o.Time <= c.Before && ", "o.Time <= c.Before+10 && "}}},
		{name: "records behind a hole served at its beginning", pkg: "./s3stream", run: "Trail", edits: []edit{{"s3stream/read_cursor.go",
			" && sp.First <= from && ", " && "}}},
		{name: "an object written twice under one name", pkg: "./s3stream/bucket", run: "Mem|Retry|Faults", edits: []edit{{"s3stream/bucket/retry.go",
			"if !bytes.Equal(there, body) {", "if !bytes.Equal(there, there) {"}}},
		{name: "a recovery gives lost offsets out again", pkg: sim, run: simSeeds, seeds: someSeeds, edits: []edit{{"metadata/commands_cluster.go",
			"			p.next += recoveryOffsetJump - 1\n", ""}}},
		{name: "a suspended role holder is not fenced when it resumes", pkg: "./metadata/etcdlog", run: "ARoleHolder|ARoleWithout", edits: []edit{{"metadata/etcdlog/role.go",
			"return append(s.sessionFence(), compareCreated(l.k.roleKey(role.Name), l.toEtcdRevision(int64(role.Epoch)))), nil", "return s.sessionFence()[:0], nil"}}},
		{name: "a gap stated by a broker that is behind", pkg: sim, run: simSeeds, seeds: someSeeds, edits: []edit{{"wal/sequence.go",
			"		err := l.w.cfg.Replica.Barrier(l.w.ctx)\n", "		var err error\n"}}},
		{name: "a follower misses the entry after its list", pkg: "./metadata/etcdlog", run: "EveryFollowerSees", edits: []edit{{"metadata/etcdlog/follow.go",
			"f.l.k.logPrefix(), f.upTo+1)", "f.l.k.logPrefix(), f.upTo+2)"}}},
		{name: "an etcd that went back in time is believed", pkg: "./metadata/etcdlog", run: "WentBack", edits: []edit{{"metadata/etcdlog/log_state.go",
			"if c.now < c.then {", "if c.now < c.then && c.now < 0 {"}}},
		{name: "a batch passes a refused one", pkg: "./wal", run: "Passes|DoesNotPass", edits: []edit{{"wal/sequence.go",
			"code == metadata.CodeOK && it.Predecessor.Refused() && l.hasUnverifiedGap(t.sequenceQuery(it)):", "code == metadata.CodeOK && it.Predecessor.Refused() && !l.hasUnverifiedGap(t.sequenceQuery(it)):"}}},
		{name: "a group slot held unawares", pkg: "./broker/groups", run: "Unawares", edits: []edit{{"broker/groups/slot_keeper.go",
			"case !p.oursByPlacement && now.Before(k.unsureUntil[i])", "case !p.oursByPlacement && draining && now.Before(k.unsureUntil[i])"}}},
		{name: "an etcd that went back is left open", pkg: "./metadata/etcdlog", run: "IsShut", edits: []edit{{"metadata/etcdlog/older_log.go",
			"if !errors.Is(err, metadata.ErrOlderLog) {", "if !errors.Is(err, metadata.ErrOlderLog) || l.incarnationCreated > 0 {"}}},
		{name: "a transaction's marker on too few partitions", pkg: sim, run: simSeeds, seeds: txnSeeds, edits: []edit{{"metadata/commands_txn_end.go",
			"	for _, tp := range parts {\n", "	for _, tp := range parts[:min(len(parts), 3)] {\n"}}},
		{name: "a transaction's offsets visible before its end", pkg: sim, run: simSeeds, seeds: txnSeeds, edits: []edit{{"metadata/commands_txn.go",
			"		for _, o := range c.Offsets {\n			at, known", "		for _, o := range c.Offsets {\n			s.storeOffset(c.Group, o)\n			at, known"}}},
		{name: "a transaction's offsets from a former slot owner", pkg: "./metadata", run: "PositionsOfATransaction", edits: []edit{{"metadata/commands_txn.go",
			"if out, stale := s.checkSlotEpoch(c.Group, c.Slot); stale {", "if out, stale := s.checkSlotEpoch(c.Group, c.Slot); stale && c.Slot > s.roles[GroupSlotRole(GroupSlot(c.Group))].epoch {"}}},
		{name: "a transaction's timeout against the wrong start", pkg: sim, run: simSeeds, seeds: txnSeeds, edits: []edit{{"metadata/commands_txn.go",
			"	t.status, t.startRevision, t.startTime = TxnOngoing, s.revision, s.entryTime()\n",
			"	if t.status, t.startRevision = TxnOngoing, s.revision; t.startTime == 0 {\n		t.startTime = s.entryTime()\n	}\n"}}},
		{name: "a batch of the transaction before accepted", pkg: sim, run: simSeeds, seeds: txnSeeds, edits: []edit{{"metadata/apply_produce.go",
			"t.status != TxnOngoing || t.startRevision != r.TxnStart || !t.hasPartition(tp)", "t.status != TxnOngoing || !t.hasPartition(tp)"}}},
		{name: "an aborted transaction not in the list", pkg: sim, run: simSeeds, seeds: txnSeeds, edits: []edit{{"metadata/commands_txn_end.go",
			"			p.aborted = append(p.aborted, a)\n", "			if len(p.aborted) != 3 || p.aborted[2].Producer == a.Producer {\n				p.aborted = append(p.aborted, a)\n			}\n"}}},
		{name: "a transaction's fenced producer accepted", pkg: sim, run: simSeeds, seeds: txnSeeds, edits: []edit{{"metadata/apply_produce.go",
			"	case r.Epoch != t.epoch:\n", "	case r.Epoch > t.epoch:\n"}}},
		{name: "OffsetFetch answered after a failed barrier", pkg: "./broker", run: "NothingIsAnswered", edits: []edit{{"broker/groups/offset_fetch.go",
			"	if barrier != noError {\n		out.ErrorCode = barrier\n		return out\n	}\n", ""}}},
		{name: "ListOffsets answered after a failed barrier", pkg: "./broker", run: "NothingIsAnswered", edits: []edit{{"broker/02_list_offsets.go",
			"			case err != nil:\n				rp.ErrorCode = kerr.RequestTimedOut.Code\n", "			case err != nil && len(mentions) == 0:\n				rp.ErrorCode = kerr.RequestTimedOut.Code\n"}}},
		{name: "a barrier one entry short", pkg: "./metadata", run: "ABarrierWaits", edits: []edit{{"metadata/replica_barrier.go",
			"err = r.WaitApplied(ctx, rev)", "err = r.WaitApplied(ctx, rev-1)"}}},
		{name: "a checkpoint agreed on though hashes differ", pkg: "./metadata", run: "NoCheckpointIsAgreedOn", edits: []edit{{"metadata/maintenance_checkpoint.go",
			"			if l.Status.Hash == p.Hash {", "			if l.Status.Hash == p.Hash || l.Status.Hash != 0 {"}}},
		{name: "a lost session's usage given up", pkg: "./internal/node", run: "WhatALostSession", edits: []edit{{"internal/node/usage.go",
			"{wal.ErrSessionLost, metadata.ErrSessionLost, ", "{"}}},
		{name: "a command accepted below its feature level", pkg: "./metadata", run: "BelowItsLevel", edits: []edit{{"metadata/commands.go",
			"	if level < row.from {", "	if level+1 < row.from {"}}},
		{name: "an entry above the state's level opens a session", pkg: "./metadata", run: "AboveTheStatesLevel", edits: []edit{{"metadata/apply.go",
			"		case e.Level > s.level:", "		case e.Level > s.level+9:"}}},
		{name: "the first checkpoint after a raise reuses pages", pkg: "./metadata", run: "AfterARaise", edits: []edit{{"metadata/checkpoint.go",
			"c.lineage != s.lineage || c.level != s.level ||", "c.lineage != s.lineage ||"}}},
		{name: "a broker goes on beyond a level that it does not understand", pkg: "./metadata", run: "AReplicaStops", edits: []edit{{"metadata/replica.go",
			"if level > MaxFeatureLevel { // this", "if level > MaxFeatureLevel+1 { // this"}}},
		{name: "an open transaction shown as committed", pkg: sim, run: simSeeds, seeds: txnSeeds, edits: []edit{{"metadata/txn.go",
			"	if len(p.openTxns) == 0 {\n", "	if len(p.openTxns) <= 1 {\n"}}},
	})
}
