package recovery_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonewise/zonewise/internal/verify"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// verifyAll reads the whole bucket against a broker's state. Whatever it finds must
// be a leftover, or in flight.
func verifyAll(t *testing.T, k *broker, b bucket.Bucket) (leftovers int64) {
	t.Helper()
	r, err := verify.Run(t.Context(), verify.Config{Bucket: bucket.Prefix(b, cluster+"/"), Log: k.log, State: verify.ReplicaState(k.replica), Deep: true})
	if err != nil {
		t.Fatal(err)
	}
	if r.Result != verify.Clean {
		t.Errorf("%s at revision %d: %+v", r.Result, r.Revision, r.Findings)
	}
	leftovers, _ = r.Count(verify.Leftover)
	return leftovers
}

// After a recovery, and after one more, nothing is missing: neither what the state
// names of former incarnations, nor what their lost tails left there.
func TestTheBucketOfARecoveredClusterIsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bucket.NewMem()
		lived(t, b)
		leftovers := int64(0)
		for seed := range uint64(2) {
			_, c := newEtcd(t, 2+seed)
			mustRecover(t, c, b)
			k := startBroker(t, c, b)
			verifyAll(t, k, b)
			k.produce(3)
			time.Sleep(20 * time.Minute)
			leftovers += verifyAll(t, k, b)
			k.produce(3)
			k.settled()
			name := metadata.ObjectName{Session: k.session.ID(), Lane: metadata.LaneLow, Number: 1}
			if err := b.Put(t.Context(), cluster+"/"+name.Key(), []byte("of the lost tail")); err != nil {
				t.Fatal(err)
			}
			k.crash()
		}
		if leftovers != 1 {
			t.Errorf("%d leftovers, want that of the lost tail", leftovers)
		}
	})
}
