package metadata

// A deleted topic is in the bill as long as the ledger has cells of it, and its bytes
// until they are collected: so its name is remembered.

// deletedNameTime is how long a name is remembered at least, in state time: as long as
// the ledger's hours.
const deletedNameTime = LedgerHoursFor + ledgerHour

// maxDeletedNames bounds the names. Beyond it the oldest are forgotten, and their
// rows are shown with the topic's id.
const maxDeletedNames = MaxTopics

// forgottenPerTick is how many names a tick looks at.
const forgottenPerTick = 1_000

type deletedTopic struct {
	id   TopicID
	name string
	time UnixMilli // state time of the deletion, or when it was last found to have bytes
}

// deletedTopicList is the deleted topics in the order of their times. Numbers are
// contiguous.
type deletedTopicList struct {
	rows        *table[uint64, deletedTopic]
	first, next uint64
}

func newDeletedTopicList(sum *uint64) deletedTopicList {
	return deletedTopicList{rows: newTable(pageOfDeletedTopic, cloneByValue[deletedTopic], hashDeletedTopic, sum), first: 1, next: 1}
}

func pageOfDeletedTopic(number uint64) uint64 { return number >> 6 }

func (l *deletedTopicList) snapshotRows() deletedTopicList {
	return deletedTopicList{l.rows.snapshot(), l.first, l.next}
}

func (l *deletedTopicList) push(t deletedTopic) {
	l.rows.put(l.next, t)
	l.next++
}

func (l *deletedTopicList) dropFirst() {
	l.rows.drop(l.first)
	l.first++
}

// rememberDeletedTopic remembers the name of a topic that is being deleted.
func (s *State) rememberDeletedTopic(id TopicID, name string) {
	if s.deletedTopics.rows.count >= maxDeletedNames {
		s.deletedTopics.dropFirst()
	}
	s.deletedTopics.push(deletedTopic{id, name, s.time})
}

// forgetDeletedTopics forgets names that the ledger does not need any more. One whose
// topic still has bytes in the bucket is kept for another while.
func (s *State) forgetDeletedTopics() {
	for range min(forgottenPerTick, s.deletedTopics.rows.count) {
		t := *s.deletedTopics.rows.get(s.deletedTopics.first)
		if t.time+deletedNameTime > s.time {
			return
		}
		s.deletedTopics.dropFirst()
		if s.storage.rows.has(t.id) {
			s.deletedTopics.push(deletedTopic{t.id, t.name, s.time})
		}
	}
}

// DeletedTopics returns the names of deleted topics that the ledger may have cells
// of, by id.
func (s *State) DeletedTopics() map[TopicID]string {
	out := make(map[TopicID]string, s.deletedTopics.rows.count)
	s.deletedTopics.rows.each(func(_ uint64, t *deletedTopic) bool { out[t.id] = t.name; return true })
	return out
}
