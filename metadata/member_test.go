package metadata

import (
	"reflect"
	"testing"
)

// slotWorld is a state with a slot claimed, and a function that applies
// commands of its group "g".
func slotWorld(t *testing.T) (*world, func(...Command) []CommandOutcome) {
	w := newWorld(1)
	w.openSession(t, "a")
	w.commit(t, &Entry{Session: w.sessions[0], Commands: []Command{ClaimRole{GroupSlotRole(GroupSlot("g")), 5}, Tick{1_700_000_000_000}}})
	return w, func(cmds ...Command) []CommandOutcome {
		_, out := w.commit(t, &Entry{Session: w.sessions[0], Commands: cmds})
		return out.Commands
	}
}

func TestMembersAreStoredOneByOneAndForgottenWithTheirGroup(t *testing.T) {
	w, do := slotWorld(t)
	topic := TopicID{1}
	before := w.state.itemHashSum
	for _, o := range do(
		PutMember{"g", 5, 1, ConsumerMember{ID: "b", Topics: []string{"t"}}},
		PutMember{"g", 5, 2, ConsumerMember{ID: "a", Regex: "x"}},
		SetTargets{"g", 5, 2, 2, []MemberTarget{{"a", []PartitionRange{{topic, 0, 4}}}}},
		SetAssignments{"g", 5, []MemberAssignment{{"a", 2, 0, MemberWaiting, []HeldRange{{PartitionRange{topic, 0, 2}, 1}}, nil}}},
		PutMember{"g", 5, 3, ConsumerMember{ID: "a", Regex: "y"}},
	) {
		if o.Code != CodeOK {
			t.Fatalf("%+v", o)
		}
	}
	v, _ := w.state.Group("g")
	if *v.Consumer != (ConsumerGroup{3, 2, 2}) || v.EmptySince != 0 {
		t.Fatalf("head %+v", v)
	}
	m := w.state.Members("g")
	if len(m) != 2 || m[0].ID != "a" || m[0].Regex != "y" || m[0].Assignment.Epoch != 2 || len(m[0].Target) != 1 || m[1].ID != "b" {
		t.Fatalf("members %+v", m)
	}
	do(RemoveMembers{"g", 5, 4, []string{"a", "b", "unknown"}})
	if v, _ := w.state.Group("g"); v.Consumer.Members != 0 || v.EmptySince != 1_700_000_000_000 {
		t.Fatalf("empty group: %+v %d", v.Consumer, v.EmptySince)
	}
	do(PutMember{"g", 5, 5, ConsumerMember{ID: "c"}})
	if v, _ := w.state.Group("g"); v.EmptySince != 0 {
		t.Fatal("a group with a member is empty")
	}
	do(DeleteGroup{5, "g"})
	if len(w.state.Members("g")) != 0 || w.state.itemHashSum != before {
		t.Fatalf("something is left of a deleted group: hash %x, was %x", w.state.itemHashSum, before)
	}
}

// A group changes its protocol with the first command of the other one, and
// nothing of the former stays.
func TestGroupsChangeTheirProtocol(t *testing.T) {
	w, do := slotWorld(t)
	do(PutGroup{5, Group{Name: "g", Generation: 3, Members: []GroupMember{{ID: "m"}}}}, PutMember{"g", 5, 4, ConsumerMember{ID: "a"}})
	if v, _ := w.state.Group("g"); v.Group != nil || v.Consumer == nil || v.Consumer.Members != 1 {
		t.Fatalf("%+v", v)
	}
	do(PutGroup{5, Group{Name: "g", Generation: 5}})
	if v, _ := w.state.Group("g"); v.Group == nil || v.Consumer != nil || len(w.state.Members("g")) != 0 || v.EmptySince == 0 {
		t.Fatalf("%+v", v)
	}
}

func TestStaleSlotsAndStrangersAreRefused(t *testing.T) {
	_, do := slotWorld(t)
	for _, c := range []Command{PutMember{"g", 4, 1, ConsumerMember{ID: "a"}}, RemoveMembers{"g", 4, 1, nil}, SetAssignments{"g", 4, nil},
		SetTargets{"g", 4, 1, 1, nil}, ExpireOffsets{"g", 4, 1, nil}} {
		if out := do(c); out[0].Code != CodeStaleRole {
			t.Errorf("%T under an old epoch: %+v", c, out)
		}
	}
	if out := do(RemoveMembers{"g", 5, 1, nil}, SetTargets{"g", 5, 1, 1, nil}, ExpireOffsets{"g", 5, 1, nil}); out[0].Code != CodeUnknownGroup ||
		out[1].Code != CodeUnknownGroup || out[2].Code != CodeUnknownGroup {
		t.Errorf("no such group: %+v", out)
	}
	do(PutMember{"g", 5, 1, ConsumerMember{ID: "a"}})
	out := do(SetAssignments{"g", 5, []MemberAssignment{{ID: "a", Epoch: 9}, {ID: "b"}}}, SetTargets{"g", 5, 1, 1, []MemberTarget{{ID: "b"}}}, PutMember{"g", 5, 1, ConsumerMember{}})
	for i := range out {
		if out[i].Code != CodeInvalidRequest {
			t.Errorf("stranger %d: %+v", i, out[i])
		}
	}
}

// Offsets committed since, and groups with members, survive an expiry.
func TestExpiryForgetsWhatNobodyRenewed(t *testing.T) {
	w, do := slotWorld(t)
	id := TopicID{1}
	do(CreateTopic{ID: id, Name: "t", Partitions: 2, ReplicationFactor: 1})
	both := []TopicPartition{{id, 0}, {id, 1}}
	do(CommitOffsets{"g", 5, []OffsetCommit{{Topic: id, Partition: 0, Time: 10}, {Topic: id, Partition: 1, Time: 20}}})
	if out := do(ExpireOffsets{"g", 5, 10, both}); out[0].Value != 1 {
		t.Fatalf("%+v", out)
	}
	if v, ok := w.state.Group("g"); !ok || v.Offsets.Len() != 1 {
		t.Fatalf("%v %+v", ok, v)
	}
	do(PutMember{"g", 5, 1, ConsumerMember{ID: "a"}}, ExpireOffsets{"g", 5, 20, both})
	if v, ok := w.state.Group("g"); !ok || v.Offsets.Len() != 0 {
		t.Fatalf("%v %+v", ok, v)
	}
	do(RemoveMembers{"g", 5, 2, []string{"a"}}, ExpireOffsets{"g", 5, 20, nil})
	if _, ok := w.state.Group("g"); ok || w.state.offsets != 0 {
		t.Fatal("an empty group is left")
	}
}

func TestRangesAndPartitionsAreEachOthersReverse(t *testing.T) {
	a, b := TopicID{1}, TopicID{2}
	list := []TopicPartition{{a, 0}, {a, 1}, {a, 3}, {b, 0}, {b, 9}}
	ranges := Ranges(list)
	if len(ranges) != 4 || !reflect.DeepEqual(Partitions(ranges), list) {
		t.Fatalf("%+v", ranges)
	}
}

// memberEntry uses every command of groups of the consumer protocol.
func memberEntry() *Entry {
	t := TopicID{1, 2, 3}
	return &Entry{Level: 1, Session: 0x1234, Lane: LaneControl, Seq: 9, Time: 1_700_000_000_000, Commands: []Command{
		PutMember{"g", 4, 7, ConsumerMember{"m", "i", "r", "c", "h", 9, []string{"a", "b"}, "x.*", "range", 8, []GroupProtocol{{"range", []byte{1}}}}},
		RemoveMembers{"g", 4, 8, []string{"m"}},
		SetAssignments{"g", 4, []MemberAssignment{{"m", 7, -2, MemberWaiting, []HeldRange{{PartitionRange{t, 0, 3}, 5}, {PartitionRange{t, 3, 1}, 7}, {PartitionRange{t, 5, 1}, 0},
			{PartitionRange{TopicID{2}, 0, 1}, 300}}, []HeldRange{{PartitionRange{t, 4, 1}, 6}}}}},
		SetTargets{"g", 4, 8, 7, []MemberTarget{{"m", []PartitionRange{{t, 0, 9}}}}},
		ExpireOffsets{"g", 4, 1_700_000_000_000, []TopicPartition{{t, 2}}},
	}}
}

func TestCommandsOfMembersComeBackAsTheyWent(t *testing.T) {
	e := memberEntry()
	b, err := AppendEntry(nil, e)
	if err != nil {
		t.Fatal(err)
	}
	var got Entry
	if err := DecodeEntry(b, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Commands, e.Commands) {
		t.Fatalf("got  %+v\nwant %+v", got.Commands, e.Commands)
	}
	golden(t, "entry_member.v1", b)
}

// Lists of ranges that are not sorted, overlap, or exceed the topic are corrupt.
func TestUnsortedRangesAreRefused(t *testing.T) {
	a, b := TopicID{1}, TopicID{2}
	for name, list := range map[string][]PartitionRange{
		"topics out of order": {{b, 0, 1}, {a, 0, 1}},
		"overlap":             {{a, 0, 3}, {a, 2, 1}},
		"touching":            {{a, 0, 3}, {a, 3, 1}},
		"empty":               {{a, 0, 0}},
		"beyond a topic":      {{a, MaxPartitionsPerTopic - 1, 2}},
	} {
		e := memberEntry()
		e.Commands = []Command{SetTargets{"g", 1, 1, 1, []MemberTarget{{"m", list}}}}
		if _, err := AppendEntry(nil, e); err == nil {
			t.Errorf("%s: written", name)
		}
		var held []HeldRange
		for _, r := range list {
			held = append(held, HeldRange{r, 4})
		}
		e.Commands = []Command{SetAssignments{"g", 1, []MemberAssignment{{ID: "m", Assigned: held}}}}
		if _, err := AppendEntry(nil, e); err == nil {
			t.Errorf("%s, held: written", name)
		}
	}
}

func TestHeldRangesEndWhereTheEpochChanges(t *testing.T) {
	a, b := TopicID{1}, TopicID{2}
	since := map[TopicPartition]int32{{a, 0}: 2, {a, 1}: 2, {a, 2}: 3, {a, 4}: 3, {b, 5}: 3}
	list := []TopicPartition{{a, 0}, {a, 1}, {a, 2}, {a, 4}, {b, 5}}
	held := HeldRanges(list, func(tp TopicPartition) int32 { return since[tp] })
	want := []HeldRange{{PartitionRange{a, 0, 2}, 2}, {PartitionRange{a, 2, 1}, 3}, {PartitionRange{a, 4, 1}, 3}, {PartitionRange{b, 5, 1}, 3}}
	if !reflect.DeepEqual(held, want) {
		t.Fatalf("%+v", held)
	}
}

// Members survive a checkpoint, and the state goes on like the live one.
func TestCheckpointedMembersGoOnAsTheLiveOnes(t *testing.T) {
	for seed := range uint64(20) {
		w := newWorld(seed)
		w.members = true
		for range 150 {
			w.step(t)
		}
		var c Checkpointer
		store := newMemStore()
		snapshot := w.state.snapshot()
		if err := store.Put(t.Context(), "k", c.Encode(snapshot, "k")); err != nil {
			t.Fatal(err)
		}
		again, err := LoadCheckpoint(t.Context(), store, "k")
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		stored := 0
		for range 100 {
			e := w.step(t)
			again.Apply(&e)
			stored = max(stored, len(w.state.Members("g")))
			if w.state.Hash() != again.Hash() || !reflect.DeepEqual(w.state.Members("g"), again.Members("g")) {
				t.Fatalf("seed %d: the states differ at %d", seed, e.Revision)
			}
		}
		if seed == 0 && stored == 0 {
			t.Error("no members were ever stored")
		}
		if snapshot.Hash() == w.state.Hash() {
			t.Errorf("seed %d: nothing happened", seed)
		}
	}
}
