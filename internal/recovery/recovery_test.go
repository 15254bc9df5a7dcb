package recovery_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/zonewise/zonewise/internal/recovery"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/metadata/etcdlog"
	"github.com/zonewise/zonewise/metadata/etcdlog/etcdfake"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

const jump = 1 << 30 // of offsets, at each recovery

// lived makes a cluster that has archives, a checkpoint, and a tail that is in
// neither, and lets it die. It returns the offsets that must come back.
func lived(t *testing.T, b bucket.Bucket) (kept, lost metadata.Offset) {
	t.Helper()
	_, c := newEtcd(t, 1)
	if _, _, err := etcdlog.Create(t.Context(), c, cluster, "secret"); err != nil {
		t.Fatal(err)
	}
	k := startBroker(t, c, b)
	k.must(metadata.CreateTopic{ID: orders, Name: "orders", Partitions: 2, ReplicationFactor: 3})
	for range 5 {
		for range 20 {
			k.produce(7)
		}
		time.Sleep(15 * time.Second)
	}
	for group, at := range map[string]metadata.Offset{"at-end": k.next(), "behind": 1} {
		k.must(metadata.ClaimRole{Role: metadata.GroupSlotRole(metadata.GroupSlot(group)), Epoch: 1})
		k.must(metadata.CommitOffsets{Group: group, Epoch: 1, Offsets: []metadata.OffsetCommit{{Topic: orders, Offset: at}}})
	}
	k.settled()
	kept = k.next()
	k.produce(11)
	lost = k.next()
	k.crash()
	return kept, lost
}

func recoverInto(t *testing.T, c etcdlog.Client, b bucket.Bucket) (*recovery.Report, error) {
	t.Helper()
	return recovery.Run(t.Context(), recovery.Config{Cluster: cluster, Client: c, Bucket: b, Token: "t", Rand: rand.New(rand.NewPCG(5, 6)),
		Logger: slog.New(slog.DiscardHandler)})
}

func mustRecover(t *testing.T, c etcdlog.Client, b bucket.Bucket) *recovery.Report {
	t.Helper()
	r, err := recoverInto(t, c, b)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestARecoveredClusterHasWhatWasArchivedAndGivesNoOffsetTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bucket.NewMem()
		kept, lost := lived(t, b)
		_, c := newEtcd(t, 2)
		r := mustRecover(t, c, b)
		if r.Incarnation != 2 || r.Base != 1<<40 || r.Checkpoint == "" || len(r.Partitions) != 2 || len(r.Warnings) != 0 {
			t.Errorf("report %+v", r)
		}
		if p := r.Partitions[0]; p.Topic != "orders" || p.Next != kept || p.Resumes != kept+jump {
			t.Errorf("partition %+v, want offsets up to %d and on from %d", p, kept, kept+jump)
		}
		if want := []recovery.GroupReport{{Group: "behind", Partitions: 1, Records: int64(kept) - 1}}; !reflect.DeepEqual(r.Behind, want) {
			t.Errorf("behind are %+v, want %+v", r.Behind, want)
		}
		if _, err := recoverInto(t, c, b); !errors.Is(err, recovery.ErrPresent) {
			t.Errorf("recovered twice: %v", err)
		}
		k := startBroker(t, c, b)
		// Who reads has one marker to read in the gap, at its end, and what was
		// committed in it is told as its end.
		k.replica.View(func(s *metadata.State) {
			if s.ClusterID() != clusterIDOf(1) {
				t.Errorf("the cluster has another id: %s", s.ClusterID())
			}
			tp := metadata.TopicPartition{Topic: orders}
			for _, at := range []metadata.Offset{kept, lost, kept + jump - 1} {
				spans := s.Spans(nil, tp, at, 2)
				if len(spans) != 1 || spans[0].Object != metadata.MarkerRecovery || spans[0].End() != kept+jump || s.SkipRecoveryGap(tp, at) != kept+jump {
					t.Errorf("from %d on: %+v; told as %d", at, spans, s.SkipRecoveryGap(tp, at))
				}
			}
			if s.SkipRecoveryGap(tp, kept-1) != kept-1 || s.SkipRecoveryGap(tp, kept+jump) != kept+jump {
				t.Errorf("before the gap: %d, behind it: %d", s.SkipRecoveryGap(tp, kept-1), s.SkipRecoveryGap(tp, kept+jump))
			}
			if !s.HasSpan(tp, kept, kept+jump) || s.HasSpan(tp, kept, kept+jump-1) || s.HasSpan(tp, kept+jump, 1<<40) {
				t.Error("something else can be read in the gap, or behind it")
			}
		})
		if at := k.produce(1); at < lost {
			t.Errorf("offset %d was given out before the loss", at)
		}
		for range 3 { // it archives and writes checkpoints again
			k.produce(1)
			time.Sleep(40 * time.Second)
		}
		k.settled()
		k.replica.View(func(s *metadata.State) {
			if n, last := s.Alarms(); n != 0 {
				t.Errorf("%d alarms, the last: %s", n, last)
			}
		})
		k.crash()
	})
}

func TestEachLossAdvancesOffsetsAlsoWhenNothingWasArchivedSinceTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bucket.NewMem()
		kept, _ := lived(t, b)
		_, c2 := newEtcd(t, 2)
		mustRecover(t, c2, b)
		k := startBroker(t, c2, b)
		given := k.produce(3)
		k.crash() // before anything of incarnation 2 is archived
		_, c3 := newEtcd(t, 3)
		r := mustRecover(t, c3, b)
		if r.Incarnation != 3 || r.Partitions[0].Next != kept || r.Partitions[0].Resumes <= given {
			t.Errorf("incarnation %d, %+v; offset %d was given out", r.Incarnation, r.Partitions[0], given)
		}
		k = startBroker(t, c3, b)
		k.produce(1)
		time.Sleep(time.Minute)
		k.settled()
		after := k.next()
		k.crash()
		_, c4 := newEtcd(t, 4)
		if r := mustRecover(t, c4, b); r.Incarnation != 4 || r.Partitions[0].Next != after || r.Partitions[0].Resumes != after+jump {
			t.Errorf("incarnation %d, %+v, want offsets up to %d", r.Incarnation, r.Partitions[0], after)
		}
	})
}

func TestARecoveryThatWasInterruptedIsFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bucket.NewMem()
		kept, _ := lived(t, b)
		finished, resumed := 0, 0
		for i := range 20 { // dies at its i-th transaction, until there are no more
			copied := clone(t, b)
			store := etcdfake.New(etcdfake.Config{Seed: 9})
			c := store.Client("a", "dev-a")
			ctx, cancel := context.WithCancel(t.Context())
			_, err := recovery.Run(ctx, recovery.Config{Cluster: cluster, Client: &dying{Client: c, left: i + 1, die: cancel}, Bucket: copied, Token: "t",
				Rand: rand.New(rand.NewPCG(5, 6)), Logger: slog.New(slog.DiscardHandler)})
			cancel()
			if err == nil {
				store.Close()
				break
			}
			r, again := recoverInto(t, c, copied)
			switch {
			case errors.Is(again, recovery.ErrPresent): // its last step had been taken
				finished++
			case again != nil:
				t.Fatalf("case %d, interrupted with %v: %v", i, err, again)
			default:
				resumed++
				if p := r.Partitions[0]; p.Next != kept || p.Resumes < kept+jump {
					t.Errorf("case %d: %+v", i, p)
				}
			}
			k := startBroker(t, c, copied)
			if at := k.produce(1); at < kept+jump {
				t.Errorf("case %d: offset %d again", i, at)
			}
			k.crash()
			store.Close()
		}
		if finished == 0 || resumed < 2 {
			t.Errorf("%d were finished already and %d resumed: the cases miss a step", finished, resumed)
		}
	})
}

// dying is a client whose process ends at its n-th transaction, after it was
// executed.
type dying struct {
	etcdlog.Client
	left int
	die  func()
}

func (d *dying) Txn(ctx context.Context, r *etcdserverpb.TxnRequest) (*etcdserverpb.TxnResponse, error) {
	resp, err := d.Client.Txn(ctx, r)
	if d.left--; d.left == 0 {
		d.die()
		return nil, context.Canceled
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return resp, err
}

func clone(t *testing.T, b bucket.Bucket) bucket.Bucket {
	t.Helper()
	out := bucket.NewMem()
	list, err := b.List(t.Context(), "", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range list {
		body, err := b.Get(t.Context(), o.Name, 0, -1)
		if err == nil {
			err = out.Put(t.Context(), o.Name, body)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// damage replaces an object by a changed one.
func damage(t *testing.T, b bucket.Bucket, key string) {
	t.Helper()
	body, err := b.Get(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	body = bytes.Clone(body)
	body[len(body)/2] ^= 0x10
	if _, err := b.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if err := b.Put(t.Context(), key, body); err != nil {
		t.Fatal(err)
	}
}

func newest(t *testing.T, b bucket.Bucket, prefix string) string {
	t.Helper()
	list, err := b.List(t.Context(), prefix, "", 0)
	if err != nil || len(list) == 0 {
		t.Fatalf("list %s: %d, %v", prefix, len(list), err)
	}
	return list[len(list)-1].Name
}

func TestDamagedThingsArePassedOverAndNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bucket.NewMem()
		kept, _ := lived(t, b)
		objects := bucket.Prefix(b, cluster+"/")
		list, err := objects.List(t.Context(), "1/checkpoint/", "", 0)
		if err != nil || len(list) == 0 {
			t.Fatal(err, len(list))
		}
		for _, o := range list {
			damage(t, b, cluster+"/"+o.Name)
		}
		r, err := recovery.Rebuild(t.Context(), objects)
		if err != nil {
			t.Fatal(err)
		}
		v, _ := r.State.Partition(metadata.TopicPartition{Topic: orders})
		if r.Checkpoint != nil || v.Next != kept || len(r.Warnings) == 0 || !strings.Contains(r.Warnings[0], "1/checkpoint/") {
			t.Errorf("checkpoint %v, next %d, warnings %q", r.Checkpoint, v.Next, r.Warnings)
		}
		last := newest(t, b, cluster+"/1/archive/")
		damage(t, b, last)
		r, err = recovery.Rebuild(t.Context(), objects)
		if err != nil {
			t.Fatal(err)
		}
		if r.Archive == "" || cluster+"/"+r.Archive == last || !strings.Contains(strings.Join(r.Warnings, "\n"), strings.TrimPrefix(last, cluster+"/")) {
			t.Errorf("archive %s, warnings %q", r.Archive, r.Warnings)
		}
	})
}

func TestAnEmptyBucketHasNothingToRecover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := newEtcd(t, 1)
		if _, err := recoverInto(t, c, bucket.NewMem()); !errors.Is(err, recovery.ErrNothing) {
			t.Errorf("got %v", err)
		}
	})
}

func TestABrokerRefusesAnEtcdThatIsBehindItsBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bucket.NewMem()
		store, c := newEtcd(t, 1)
		if err := recovery.CheckNew(t.Context(), cluster, b); err != nil {
			t.Error(err)
		}
		if _, _, err := etcdlog.Create(t.Context(), c, cluster, "secret"); err != nil {
			t.Fatal(err)
		}
		k := startBroker(t, c, b)
		backup := store.Snapshot()
		k.must(metadata.CreateTopic{ID: orders, Name: "orders", Partitions: 1, ReplicationFactor: 3})
		k.produce(1)
		time.Sleep(time.Minute)
		k.settled()
		objects := bucket.Prefix(b, cluster+"/")
		if err := recovery.CheckStart(t.Context(), k.log, objects); err != nil {
			t.Errorf("healthy: %v", err)
		}
		k.crash()
		store.Restore(backup)
		old, err := etcdlog.Open(t.Context(), etcdlog.Config{Cluster: cluster, Client: c})
		if err != nil {
			t.Fatal(err)
		}
		defer old.Close()
		if err := recovery.CheckStart(t.Context(), old, objects); !errors.Is(err, recovery.ErrBehind) || !strings.Contains(err.Error(), "zonewise recover") {
			t.Errorf("restored from a backup: %v", err)
		}
		if err := recovery.CheckNew(t.Context(), cluster, b); !errors.Is(err, recovery.ErrBehind) || !strings.Contains(err.Error(), "zonewise recover") {
			t.Errorf("empty etcd: %v", err)
		}
	})
}
