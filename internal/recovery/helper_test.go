package recovery_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/metadata/etcdlog"
	"github.com/zonewise/zonewise/metadata/etcdlog/etcdfake"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// broker is as little of a broker as writes the log, archives it and writes
// checkpoints. Use it in a bubble.
type broker struct {
	t       *testing.T
	log     *etcdlog.Log
	replica *metadata.Replica
	session metadata.Session
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	turn    chan struct{} // of one: who appends
	seq     metadata.LaneSeq

	mu       sync.Mutex
	outcomes map[metadata.EntryKey]metadata.Outcome
}

const cluster = "main"

func newEtcd(t *testing.T, seed uint64) (*etcdfake.Store, etcdlog.Client) {
	t.Helper()
	s := etcdfake.New(etcdfake.Config{Seed: seed})
	t.Cleanup(s.Close)
	return s, s.Client("a", "dev-a")
}

// clusterIDOf is the id that brokers of an incarnation offer the cluster.
func clusterIDOf(i metadata.Incarnation) metadata.ClusterID { return metadata.ClusterID{byte(i)} }

// startBroker opens log, replica and session, and takes the roles.
func startBroker(t *testing.T, c etcdlog.Client, b bucket.Bucket) *broker {
	t.Helper()
	log, err := etcdlog.Open(t.Context(), etcdlog.Config{Cluster: cluster, Client: c, Rand: rand.New(rand.NewPCG(1, 2))})
	if err != nil {
		t.Fatal(err)
	}
	k := &broker{t: t, log: log, turn: make(chan struct{}, 1), outcomes: map[metadata.EntryKey]metadata.Outcome{}}
	ctx, cancel := context.WithCancel(t.Context())
	k.cancel = cancel
	logger := slog.New(slog.DiscardHandler)
	k.replica = metadata.NewReplica(metadata.ReplicaConfig{Log: log, Store: bucket.Prefix(b, cluster+"/"), Logger: logger, Fatal: func(err error) { t.Error(err) }})
	k.replica.Observe(func(e *metadata.AppliedEntry) {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.outcomes[e.Committed.Key()] = *e.Outcome
	})
	log.UseApplied(k.replica)
	k.wg.Go(func() {
		if err := k.replica.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	for !k.replica.CaughtUp() {
		time.Sleep(time.Millisecond)
	}
	if k.session, err = log.OpenSession(ctx, metadata.SessionInfo{Nonce: fmt.Sprint(time.Now().UnixNano()), Zone: "dev-a"}); err != nil {
		t.Fatal(err)
	}
	k.must(metadata.OpenSession{Want: metadata.NoBroker, Zone: "dev-a", Kafka: metadata.Address{Host: "a", Port: 1}, MinLevel: 1, MaxLevel: 1,
		Cluster: clusterIDOf(k.session.ID().Incarnation())})
	times := metadata.DefaultMaintenanceTimes()
	maintenance := metadata.NewMaintenance(metadata.MaintenanceConfig{Log: log, Admin: log, Store: k.replica.Store(), Replica: k.replica, Submitter: k,
		Session: k.session, Logger: logger, Rand: rand.New(rand.NewPCG(3, 4)), Times: times})
	k.wg.Go(func() {
		if err := maintenance.Run(ctx, maintenance.Tasks()); err != nil {
			t.Error(err)
		}
	})
	return k
}

// crash ends it without a word to the log.
func (k *broker) crash() {
	k.cancel()
	k.wg.Wait()
	k.log.Close()
}

// Submit implements metadata.Submitter.
func (k *broker) Submit(ctx context.Context, cmds []metadata.Command, guard *metadata.Guard) (metadata.Outcome, error) {
	return k.append(ctx, metadata.Entry{Commands: cmds}, guard)
}

func (k *broker) append(ctx context.Context, e metadata.Entry, guard *metadata.Guard) (metadata.Outcome, error) {
	k.turn <- struct{}{}
	defer func() { <-k.turn }()
	k.seq++
	e.Level, e.Session, e.Lane, e.Seq, e.Time = 1, k.session.ID(), metadata.LaneControl, k.seq, 1
	body, err := metadata.AppendEntry(nil, &e)
	if err != nil {
		return metadata.Outcome{}, err
	}
	key := metadata.EntryKey{Session: e.Session, Lane: e.Lane, Seq: e.Seq}
	res, err := k.log.Append(ctx, metadata.AppendRequest{Key: key, Bytes: body, Guard: guard})
	if err != nil {
		return metadata.Outcome{}, err
	}
	if err := k.replica.WaitApplied(ctx, res.Revision); err != nil {
		return metadata.Outcome{}, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.outcomes[key], nil
}

func (k *broker) must(cmds ...metadata.Command) {
	k.t.Helper()
	out, err := k.Submit(k.t.Context(), cmds, nil)
	if err != nil || out.Code != metadata.CodeOK {
		k.t.Fatalf("submit %T: %v, %v %s", cmds[0], err, out.Code, out.Text)
	}
	for _, c := range out.Commands {
		if c.Code != metadata.CodeOK {
			k.t.Fatalf("submit %T: %v %s", cmds[0], c.Code, c.Text)
		}
	}
}

var orders = metadata.TopicID{1, 2, 3}

// produce appends one run of so many records to orders/0, inline, and returns
// the offset it got.
func (k *broker) produce(records uint32) metadata.Offset {
	k.t.Helper()
	body := make([]byte, 100)
	out, err := k.append(k.t.Context(), metadata.Entry{Topics: []metadata.TopicID{orders}, Principals: []string{"p"}, Inline: body,
		Parts: []metadata.Part{{Object: metadata.InlineObject, Length: 100,
			Runs: []metadata.Run{{Producer: metadata.NoProducer, Epoch: -1, FirstSequence: -1, Batches: 1, Records: records, Bytes: 100, MaxTimestamp: 5}}}}}, nil)
	if err != nil || out.Code != metadata.CodeOK || out.Parts[0][0].Code != metadata.CodeOK {
		k.t.Fatalf("produce: %v, %+v", err, out)
	}
	return out.Parts[0][0].Offset
}

func (k *broker) next() (next metadata.Offset) {
	k.replica.View(func(s *metadata.State) {
		v, _ := s.Partition(metadata.TopicPartition{Topic: orders})
		next = v.Next
	})
	return next
}

// settled waits until a generation that ended at or after now is archived.
func (k *broker) settled() {
	k.t.Helper()
	at := k.replica.Applied()
	for range 1000 {
		done := false
		k.replica.View(func(s *metadata.State) {
			a := s.Archives()
			done = len(a) > 0 && a[len(a)-1].Last >= at
		})
		if done {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	k.t.Fatal("nothing was archived")
}
