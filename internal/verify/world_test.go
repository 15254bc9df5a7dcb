package verify_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zonewise/zonewise/internal/verify"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// world is a cluster of one broker in a bubble: its log is real entries, its archives,
// checkpoints and recovery bases are what Maintenance writes.
type world struct {
	t       *testing.T
	log     *metadata.MemLog
	mem     *bucket.Mem // the whole bucket
	bucket  bucket.Bucket
	replica *metadata.Replica
	session metadata.Session
	numbers uint64 // of WAL objects
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	turn     chan struct{} // of one: who appends
	mu       sync.Mutex
	seqs     map[metadata.SessionID]metadata.LaneSeq // guarded by turn
	outcomes map[metadata.EntryKey]metadata.Outcome  // guarded by mu
}

var orders = metadata.TopicID{7}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, log: metadata.NewMemLog(), mem: bucket.NewMem(), turn: make(chan struct{}, 1),
		seqs: map[metadata.SessionID]metadata.LaneSeq{}, outcomes: map[metadata.EntryKey]metadata.Outcome{}}
	w.bucket = bucket.Prefix(w.mem, "main/")
	logger := slog.New(slog.DiscardHandler)
	w.replica = metadata.NewReplica(metadata.ReplicaConfig{Log: w.log, Store: w.bucket, Logger: logger, Fatal: func(err error) { t.Error(err) }})
	w.replica.Observe(func(e *metadata.AppliedEntry) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.outcomes[e.Committed.Key()] = *e.Outcome
	})
	var ctx context.Context
	ctx, w.cancel = context.WithCancel(t.Context())
	w.wg.Go(func() {
		if err := w.replica.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	w.session = w.openSession()
	maintenance := metadata.NewMaintenance(metadata.MaintenanceConfig{Log: w.log, Admin: w.log, Store: w.bucket, Replica: w.replica, Submitter: w,
		Session: w.session, Logger: logger, Rand: rand.New(rand.NewPCG(3, 4)), Times: metadata.DefaultMaintenanceTimes()})
	w.wg.Go(func() {
		if err := maintenance.Run(ctx, maintenance.Tasks()); err != nil {
			t.Error(err)
		}
	})
	w.must(metadata.CreateTopic{ID: orders, Name: "orders", Partitions: 2, ReplicationFactor: 1})
	return w
}

func (w *world) stop() {
	w.cancel()
	w.wg.Wait()
}

func (w *world) openSession() metadata.Session {
	w.t.Helper()
	s, err := w.log.OpenSession(w.t.Context(), metadata.SessionInfo{Nonce: fmt.Sprint(rand.Uint64()), Zone: "dev-a"})
	if err != nil {
		w.t.Fatal(err)
	}
	port := int32(1000 + len(w.seqs))
	w.append(s.ID(), metadata.Entry{Commands: []metadata.Command{metadata.OpenSession{Want: metadata.NoBroker, Zone: "dev-a",
		Kafka: metadata.Address{Host: "a", Port: port}, MinLevel: 1, MaxLevel: 1, Cluster: metadata.ClusterID{1}}}}, nil)
	return s
}

// Submit implements metadata.Submitter.
func (w *world) Submit(ctx context.Context, cmds []metadata.Command, guard *metadata.Guard) (metadata.Outcome, error) {
	return w.appendEntry(ctx, w.session.ID(), metadata.Entry{Commands: cmds}, guard)
}

func (w *world) appendEntry(ctx context.Context, by metadata.SessionID, e metadata.Entry, guard *metadata.Guard) (metadata.Outcome, error) {
	w.turn <- struct{}{}
	defer func() { <-w.turn }()
	w.seqs[by]++
	e.Level, e.Session, e.Lane, e.Seq, e.Time = 1, by, metadata.LaneControl, w.seqs[by], metadata.UnixMilli(time.Now().UnixMilli())
	body, err := metadata.AppendEntry(nil, &e)
	if err != nil {
		return metadata.Outcome{}, err
	}
	key := metadata.EntryKey{Session: by, Lane: e.Lane, Seq: e.Seq}
	res, err := w.log.Append(ctx, metadata.AppendRequest{Key: key, Bytes: body, Guard: guard})
	if err != nil {
		return metadata.Outcome{}, err
	}
	if err := w.replica.WaitApplied(ctx, res.Revision); err != nil {
		return metadata.Outcome{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.outcomes[key], nil
}

func (w *world) append(by metadata.SessionID, e metadata.Entry, guard *metadata.Guard) metadata.Outcome {
	w.t.Helper()
	out, err := w.appendEntry(w.t.Context(), by, e, guard)
	if err != nil || out.Code != metadata.CodeOK {
		w.t.Fatalf("append: %v, %v %s", err, out.Code, out.Text)
	}
	for _, c := range out.Commands {
		if c.Code != metadata.CodeOK {
			w.t.Fatalf("append: %v %s", c.Code, c.Text)
		}
	}
	return out
}

func (w *world) must(cmds ...metadata.Command) {
	w.t.Helper()
	w.append(w.session.ID(), metadata.Entry{Commands: cmds}, nil)
}

// makeBatch makes a valid batch of so many records.
func makeBatch(records int) []byte {
	b := make([]byte, 200)
	for i := metadata.BatchHeaderSize; i < len(b); i++ {
		b[i] = byte(i * 7)
	}
	be := binary.BigEndian
	be.PutUint32(b[8:], uint32(len(b)-metadata.BatchPrefixSize))
	b[16] = 2
	be.PutUint32(b[23:], uint32(records-1))
	be.PutUint64(b[43:], ^uint64(0)) // no producer
	be.PutUint16(b[51:], ^uint16(0))
	be.PutUint32(b[53:], ^uint32(0))
	be.PutUint32(b[57:], uint32(records))
	be.PutUint32(b[17:], metadata.BatchCRC(b))
	return b
}

func runOf(batches int) metadata.Run {
	return metadata.Run{Producer: metadata.NoProducer, Epoch: -1, FirstSequence: -1, Batches: uint32(batches), Records: uint32(3 * batches),
		Bytes: uint32(200 * batches), MaxTimestamp: 5}
}

// upload stores an object of two batches on orders/0 and one on orders/1, of three
// records each, and returns its entry, which is not appended.
func (w *world) upload(by metadata.SessionID) (name metadata.ObjectName, e metadata.Entry) {
	w.t.Helper()
	w.numbers++
	name = metadata.ObjectName{Session: by, Lane: metadata.LaneLow, Number: w.numbers}
	var parts []s3stream.ObjectPart
	for p, batches := range []int{2, 1} {
		parts = append(parts, s3stream.ObjectPart{Partition: metadata.TopicPartition{Topic: orders, Partition: metadata.Partition(p)},
			Batches: slices.Repeat([][]byte{makeBatch(3)}, batches)})
	}
	body, at, err := s3stream.EncodeWAL(name, parts)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.bucket.Put(w.t.Context(), name.Key(), body); err != nil {
		w.t.Fatal(err)
	}
	e = metadata.Entry{Topics: []metadata.TopicID{orders}, Principals: []string{"p"}, Objects: []metadata.ObjectRef{{Name: name, Size: int64(len(body)), Puts: 1}}}
	for p, l := range at {
		e.Parts = append(e.Parts, metadata.Part{Partition: metadata.Partition(p), Object: 0, Position: l.Position, Length: l.Length, Runs: []metadata.Run{runOf(2 - p)}})
	}
	return name, e
}

// produce commits an object and returns its key.
func (w *world) produce() string {
	w.t.Helper()
	name, e := w.upload(w.session.ID())
	w.append(w.session.ID(), e, nil)
	return name.Key()
}

// produceInline commits three records on orders/0 inline.
func (w *world) produceInline() {
	w.t.Helper()
	w.append(w.session.ID(), metadata.Entry{Topics: []metadata.TopicID{orders}, Principals: []string{"p"}, Inline: makeBatch(3),
		Parts: []metadata.Part{{Object: metadata.InlineObject, Length: 200, Runs: []metadata.Run{runOf(1)}}}}, nil)
}

// settle goes on until there are two recovery bases and everything so far is archived.
func (w *world) settle() {
	w.t.Helper()
	at := w.replica.Applied()
	for range 1000 {
		done := false
		w.replica.View(func(s *metadata.State) {
			a := s.Archives()
			done = s.DeletableUpTo() > 0 && len(a) > 0 && a[len(a)-1].Last >= at
		})
		if done {
			return
		}
		w.produceInline()
		time.Sleep(2 * time.Second)
	}
	w.t.Fatal("no two recovery bases")
}

func (w *world) config() verify.Config {
	return verify.Config{Bucket: w.bucket, Log: w.log, State: verify.ReplicaState(w.replica), Deep: true, Concurrency: 2}
}

func (w *world) verify() *verify.Report {
	w.t.Helper()
	return w.verifyWith(w.config())
}

func (w *world) verifyWith(c verify.Config) *verify.Report {
	w.t.Helper()
	r, err := verify.Run(w.t.Context(), c)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// replace puts other bytes where an object was; nil: none.
func (w *world) replace(key string, change func([]byte) []byte) {
	w.t.Helper()
	body, err := w.bucket.Get(w.t.Context(), key, 0, -1)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.bucket.Delete(w.t.Context(), key); err != nil {
		w.t.Fatal(err)
	}
	if body = change(body); body == nil {
		return
	}
	if err := w.bucket.Put(w.t.Context(), key, body); err != nil {
		w.t.Fatal(err)
	}
}

func remove([]byte) []byte    { return nil }
func cut(body []byte) []byte  { return body[:len(body)-100] }
func flip(body []byte) []byte { return flipAt(len(body) / 2)(body) }

func flipAt(at int) func([]byte) []byte {
	return func(body []byte) []byte {
		body[at] ^= 0x10
		return body
	}
}

// state reads the state.
func (w *world) view(f func(*metadata.State)) { w.replica.View(f) }

// lines are a report's findings, without what says why.
func lines(r *verify.Report) (out []string) {
	for _, f := range r.Findings {
		text := fmt.Sprintf("%s %s %s", f.Status, f.Class, f.Key)
		for _, l := range f.Lost {
			text += fmt.Sprintf(" %s/%d:%d-%d", l.Topic, l.Partition, l.First, l.Last)
		}
		out = append(out, text)
	}
	return out
}

// expect fails unless a report has exactly these findings and comes to this.
func expect(t *testing.T, r *verify.Report, result verify.Result, want ...string) {
	t.Helper()
	if got := lines(r); r.Result != result || !slices.Equal(got, want) {
		t.Errorf("%s, want %s; found\n%s\nwant\n%s\n%+v", r.Result, result, strings.Join(got, "\n"), strings.Join(want, "\n"), r.Findings)
	}
}
