package metadata

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/big"
	"reflect"
	"slices"
	"testing"

	"github.com/zonewise/zonewise/internal/costkeys"
)

// modelBucket is what a bucket would hold: it hears of every entry and its outcome,
// and does not look into the state.
type modelBucket struct {
	objects map[string]int64
	seen    map[string]bool // leftovers: they are named again where a search goes on
	garbage map[GarbageID]string
}

func newModelBucket() *modelBucket {
	return &modelBucket{map[string]int64{}, map[string]bool{}, map[GarbageID]string{}}
}

func (m *modelBucket) list() (bytes int64) {
	for _, size := range m.objects {
		bytes += size
	}
	return bytes
}

func (m *modelBucket) observe(s *State, e *Entry, out Outcome) {
	for _, g := range s.Garbage(nil, 0, s.revision, s.time, 1<<30) {
		m.garbage[g.ID] = g.Key
	}
	if out.Code != CodeOK {
		return // its objects are no row's until they are found as leftovers
	}
	for _, list := range [][]ObjectRef{e.Objects, e.Orphans} {
		for _, o := range list {
			m.objects[o.Name.Key()] = o.Size
		}
	}
	for i, c := range e.Commands {
		if out.Commands[i].Code != CodeOK {
			continue
		}
		switch c := c.(type) {
		case AcceptArchive:
			m.objects[c.Object] = c.Bytes
		case MoveInline:
			m.objects[c.Object] = c.Size
		case RecordCheckpoint:
			m.objects[c.Objects[0].Key] = c.Objects[0].Size
		case BuryLeftovers:
			m.addOnce(c.Objects)
		case AbandonObjects:
			m.addOnce(c.Objects)
		case ConfirmDeleted:
			for _, id := range c.IDs {
				delete(m.objects, m.garbage[id])
			}
		}
	}
}

func (m *modelBucket) addOnce(list []Leftover) {
	for _, o := range list {
		if !m.seen[o.Key] {
			m.seen[o.Key], m.objects[o.Key] = true, o.Size
		}
	}
}

// rowsOfBill computes live, dead and platform bytes from the state's items.
func (s *State) rowsOfBill() (live, dead map[TopicID]int64, platform int64) {
	live, dead = map[TopicID]int64{}, map[TopicID]int64{}
	s.partitions.each(func(tp TopicPartition, p *partitionState) bool {
		for i := range p.spans {
			if sp := &p.spans[i]; !sp.Marker() {
				live[tp.Topic] += int64(sp.Length)
				if !sp.Inline() {
					dead[tp.Topic] -= int64(sp.Length)
				}
			}
		}
		return true
	})
	records := func(size int64, shares []topicBytes) {
		for _, share := range shares {
			dead[share.topic] += share.bytes
			size -= share.bytes
		}
		platform += size
	}
	s.objects.each(func(_ objectKey, o *objectState) bool { records(o.size, o.shares); return true })
	s.garbage.rows.each(func(_ GarbageID, g *garbageState) bool { records(g.size, g.shares); return true })
	for _, rows := range []*table[Extent, ArchiveRef]{s.archives.rows, s.inlines.rows} {
		rows.each(func(_ Extent, a *ArchiveRef) bool { platform += a.Size - a.LiveInline; return true })
	}
	checkpoints := map[string]int64{}
	for _, c := range s.checkpoints {
		for _, o := range c.Objects {
			checkpoints[o.Key] = o.Size
		}
	}
	for _, size := range checkpoints {
		platform += size
	}
	for _, rows := range []map[TopicID]int64{live, dead} {
		maps.DeleteFunc(rows, func(_ TopicID, bytes int64) bool { return bytes == 0 })
	}
	return live, dead, platform
}

func sumRows(rows map[TopicID]int64) (sum int64) {
	for _, bytes := range rows {
		sum += bytes
	}
	return sum
}

// checkRows compares the rows that the state keeps with those that its items give,
// and their sum with the bucket.
func (w *world) checkRows(t *testing.T, bucket int64) {
	t.Helper()
	live, dead, platform := w.state.rowsOfBill()
	keptLive, keptDead := map[TopicID]int64{}, map[TopicID]int64{}
	w.state.storage.rows.each(func(id TopicID, r *topicStorage) bool {
		if r.live != 0 {
			keptLive[id] = r.live
		}
		if r.dead != 0 {
			keptDead[id] = r.dead
		}
		return true
	})
	if !maps.Equal(live, keptLive) || !maps.Equal(dead, keptDead) {
		t.Fatalf("kept live %v, dead %v; the items give %v, %v", keptLive, keptDead, live, dead)
	}
	total := w.state.StorageTotals()
	if want := (StorageTotals{sumRows(live), w.state.unarchivedInline(), sumRows(dead), platform}); total != want {
		t.Fatalf("totals %+v, the items give %+v", total, want)
	}
	if total.Bucket() != bucket {
		t.Fatalf("%+v are %d bytes, the bucket holds %d", total, total.Bucket(), bucket)
	}
}

// bookedStorage returns the byte-ms of all storage: what the ledger has, and what is
// not booked yet.
func (s *State) bookedStorage() *big.Int {
	sum := new(big.Int)
	for _, m := range s.Ledger(0, s.time+ledgerHour).Meters {
		switch m.Key.Component {
		case costkeys.ComponentStorage, costkeys.ComponentStorageDeleted, costkeys.ComponentPlatformStorage:
			sum.Add(sum, m.Quantity.BigInt())
		}
	}
	s.storage.rows.each(func(_ TopicID, t *topicStorage) bool {
		now := *t
		now.addUpTo(s.time)
		sum.Add(sum, now.liveTime.BigInt())
		sum.Add(sum, now.deadTime.BigInt())
		return true
	})
	return sum
}

// bookInTurns lets a tick book one topic, in about half of the worlds.
func (w *world) bookInTurns() {
	if w.rng.IntN(2) == 0 {
		w.state.limits.StorageTurn = 1
	}
}

// noteUnbooked notes that topics' bytes changed while they waited for their turn.
func (w *world) noteUnbooked(happened map[string]bool) {
	w.state.storage.rows.each(func(_ TopicID, t *topicStorage) bool {
		happened["unbooked live"] = happened["unbooked live"] || !t.liveTime.IsZero()
		happened["unbooked dead"] = happened["unbooked dead"] || !t.deadTime.IsZero()
		return true
	})
}

// Every byte in the bucket is in a row of the bill, whatever was written, refused,
// trimmed, deleted, archived and collected; and what is booked over time is the bytes
// times the time, also where a tick books one topic and the others wait while their
// bytes change. The bytes of records that are not archived yet are in their topic's
// row a few seconds before they are in the bucket.
func TestEveryByteInTheBucketIsInARowOfTheBill(t *testing.T) {
	happened := map[string]bool{}
	for seed := range uint64(30) {
		w := newWorld(seed)
		w.storage = true
		w.bookInTurns()
		bucket, integral := newModelBucket(), new(big.Int)
		var before UnixMilli
		w.onCommit = func(e *Entry, out Outcome) { bucket.observe(w.state, e, out) }
		for step := range 400 {
			held := bucket.list() + w.state.unarchivedInline()
			w.step(t)
			if now := w.state.time; before != 0 && now > before {
				integral.Add(integral, new(big.Int).Mul(big.NewInt(held), big.NewInt(int64(now-before))))
			}
			before = w.state.time
			w.checkRows(t, bucket.list())
			if got := w.state.bookedStorage(); got.Cmp(integral) != 0 {
				t.Fatalf("seed %d, step %d: %v byte-ms are booked, the bucket held %v", seed, step, got, integral)
			}
			w.noteStorage(happened)
			w.noteUnbooked(happened)
		}
	}
	for _, what := range []string{"dead bytes", "garbage", "deleted", "deleted topic", "archive buried", "bases", "unbooked live", "unbooked dead"} {
		if !happened[what] {
			t.Errorf("%q did not happen", what)
		}
	}
}

// Many topics are booked in turns, all in the same number of ticks, and nothing is
// lost or booked twice; a broker that loads a checkpoint between two turns goes on as
// the others.
func TestStorageOfManyTopicsIsBookedInTurns(t *testing.T) {
	const topics = 3*maxStorageTurn + 17
	s, l := storedTopicsState(t, topics)
	booked := func(of *State) int {
		cells := map[TopicID]bool{}
		for _, c := range of.Ledger(0, of.time+ledgerHour).Cells {
			if c.Key.Component == costkeys.ComponentStorage {
				cells[c.Key.Topic] = true
			}
		}
		return len(cells)
	}
	begin := s.time
	var counts []int
	var loaded *State
	for range 4 {
		c := l.commit(t, &Entry{Commands: []Command{Tick{s.time + 5_000}}})
		if loaded != nil {
			loaded.Apply(&c)
			if loaded.Hash() != s.Hash() {
				t.Fatal("a state loaded between two turns differs after the next")
			}
		}
		var ckpt Checkpointer
		store := newMemStore()
		if err := store.Put(t.Context(), "k", ckpt.Encode(s.snapshot(), "k")); err != nil {
			t.Fatal(err)
		}
		var err error
		if loaded, err = LoadCheckpoint(t.Context(), store, "k"); err != nil {
			t.Fatal(err)
		}
		counts = append(counts, booked(s))
	}
	if counts[0] < maxStorageTurn || counts[0] > maxStorageTurn+100 || counts[3] != topics {
		t.Errorf("after 1 to 4 ticks %v of %d topics are booked", counts, topics)
	}
	held := big.NewInt(s.StorageTotals().Bucket())
	if got, want := s.bookedStorage(), held.Mul(held, big.NewInt(int64(s.time-begin))); got.Cmp(want) != 0 {
		t.Errorf("%v byte-ms are booked, the bucket held %v", got, want)
	}
}

// A deleted topic has its row until the deletion of its objects is confirmed, and its
// name as long as the ledger has cells of it.
func TestADeletedTopicKeepsItsRowAndItsName(t *testing.T) {
	s, l := storedTopicsState(t, 3)
	tick := func(by UnixMilli) {
		for ; by > 0; by -= min(by, MaxTickStep) {
			l.commit(t, &Entry{Commands: []Command{Tick{s.time + min(by, MaxTickStep)}}})
		}
	}
	topic := s.Topics()[1]
	at := s.time
	l.commit(t, &Entry{Commands: []Command{DeleteTopic{topic.ID}, ReleaseQueued{1000}}})
	if row := s.storage.rows.get(topic.ID); row == nil || row.live != 0 || row.dead != 2000 {
		t.Fatalf("a topic of 2000 bytes has the row %+v when it is deleted", row)
	}
	tick(10 * ledgerMinute)
	quantity := func(c Component) (q Quantity) {
		for _, cell := range s.Ledger(at-at%ledgerMinute, s.time+1).Cells {
			if cell.Key.Topic == topic.ID && cell.Key.Component == c {
				q = q.Add(cell.Quantity)
			}
		}
		return q
	}
	if got, want := quantity(costkeys.ComponentStorageDeleted), costkeys.Product(2000, uint64(10*ledgerMinute)); got != want {
		t.Errorf("%s byte-ms of deleted records are booked, want %s", got, want)
	}
	for _, other := range s.Topics() {
		l.commit(t, &Entry{Commands: []Command{DeleteTopic{other.ID}, ReleaseQueued{1000}}})
	}
	var ids []GarbageID
	for _, g := range s.Garbage(nil, 0, s.revision, s.time, 10) {
		ids = append(ids, g.ID)
	}
	if total := s.StorageTotals(); len(ids) != 1 || total.Dead != 6000 {
		t.Fatalf("%d objects are dead, %+v", len(ids), total)
	}
	l.commit(t, &Entry{Commands: []Command{ConfirmDeleted{ids}}})
	if total := s.StorageTotals(); total.Dead != 0 {
		t.Errorf("after the deletion %+v", total)
	}
	tick(ledgerMinute)
	was := quantity(costkeys.ComponentStorageDeleted)
	tick(ledgerHour - ledgerMinute)
	if now := quantity(costkeys.ComponentStorageDeleted); now != was || s.storage.rows.count != 0 {
		t.Errorf("deleted objects are booked: %s, then %s, %d rows", was, now, s.storage.rows.count)
	}
	if got := s.DeletedTopics()[topic.ID]; got != topic.Name {
		t.Errorf("the topic's name is %q an hour after", got)
	}
	tick(LedgerHoursFor + ledgerHour)
	if n := len(s.DeletedTopics()); n != 0 {
		t.Errorf("%d names are left when the ledger has no cells of them", n)
	}
}

// Names of deleted topics are bounded, and one whose topic still has bytes is kept
// beyond its time.
func TestNamesOfDeletedTopicsAreBounded(t *testing.T) {
	s := NewState()
	s.time = 1_000_000
	idOf := func(i int) (id TopicID) {
		binary.BigEndian.PutUint64(id[:], uint64(i+1))
		return id
	}
	for i := range maxDeletedNames + 5 {
		s.rememberDeletedTopic(idOf(i), fmt.Sprint("t", i))
	}
	names := s.DeletedTopics()
	if len(names) != maxDeletedNames || names[idOf(4)] != "" || names[idOf(5)] != "t5" {
		t.Errorf("%d names, the fifth %q, the sixth %q", len(names), names[idOf(4)], names[idOf(5)])
	}
	s.addStoredBytes(idOf(7), 0, 9)
	s.time += deletedNameTime
	for range 2 * maxDeletedNames / forgottenPerTick {
		s.forgetDeletedTopics()
	}
	if got := slices.Collect(maps.Values(s.DeletedTopics())); !reflect.DeepEqual(got, []string{"t7"}) {
		t.Errorf("left are %v", got)
	}
}
