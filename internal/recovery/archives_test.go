package recovery_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/metadata/etcdlog"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// The new etcd names the archive from which its brokers start.
func TestARecoveredLogNamesItsNewestArchive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bucket.NewMem()
		lived(t, b)
		_, c := newEtcd(t, 2)
		r := mustRecover(t, c, b)
		log, err := etcdlog.Open(t.Context(), etcdlog.Config{Cluster: cluster, Client: c})
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		from, err := log.Start(t.Context())
		if err != nil || from.ArchivedUpTo != r.Extent || from.ArchivedObject != r.Archive || r.Archive == "" {
			t.Errorf("start %+v, %v; recovered from %s of extent %d", from, err, r.Archive, r.Extent)
		}
	})
}

// Archives from before the checkpoint may be deleted: neither the recovery nor a
// broker that starts afterwards reads one.
func TestARecoveryNeedsNoArchiveFromBeforeItsCheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bucket.NewMem()
		kept, _ := lived(t, b)
		_, c := newEtcd(t, 2)
		want := mustRecover(t, c, clone(t, b))
		ix := checkpointIndex(t, b, want.Checkpoint)
		deleted := 0
		list, err := b.List(t.Context(), cluster+"/1/archive/", "", 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range list {
			if g := strings.TrimPrefix(o.Name, cluster+"/1/archive/")[:16]; g < archiveFolder(ix.Extent) {
				if _, err := b.Delete(t.Context(), o.Name); err != nil {
					t.Fatal(err)
				}
				deleted++
			}
		}
		if deleted == 0 {
			t.Fatal("no archive is older than the checkpoint")
		}
		_, c = newEtcd(t, 3)
		r := mustRecover(t, c, b)
		if r.Checkpoint != want.Checkpoint || r.Archive != want.Archive || len(r.Warnings) > 0 || r.Partitions[0].Next != kept {
			t.Errorf("recovered %+v, before the deletion %+v", r, want)
		}
		k := startBroker(t, c, b)
		defer k.crash()
		if next := k.next(); next != kept+jump {
			t.Errorf("a broker continues at %d, want %d", next, kept+jump)
		}
	})
}

func archiveFolder(g metadata.Extent) string {
	return strings.Split(metadata.ArchiveKey(1, g, 1, 1), "/")[2]
}

func checkpointIndex(t *testing.T, b bucket.Bucket, key string) *metadata.CheckpointIndex {
	t.Helper()
	body, err := b.Get(t.Context(), cluster+"/"+key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	ix, err := metadata.DecodeCheckpointIndex(body)
	if err != nil {
		t.Fatal(err)
	}
	return ix
}
