//go:build integration

package integration

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/test/testenv/cluster"
)

// leaseTTL is how long a dead broker's session keeps its slots and roles.
const leaseTTL = 5 * time.Second

// A broker that was killed and restarted within its lease coordinates its groups when
// it reports ready, and does so before the lease has ended.
func TestABrokerThatWasKilledCoordinatesItsGroupsWhenItIsReady(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	time.Sleep(10 * time.Second) // the slots are distributed
	for i := range cluster.Zones {
		c.Brokers[i].Kill()
		begun := time.Now()
		c.Brokers[i].Start()
		c.Ready(c.Brokers[i])
		took := time.Since(begun)
		k := newClient(t, c, i)
		asked := kmsg.NewPtrFindCoordinatorRequest()
		for g := range 60 {
			asked.CoordinatorKeys = append(asked.CoordinatorKeys, fmt.Sprint("g", g))
		}
		found, err := asked.RequestWith(t.Context(), k.Broker(i))
		if err != nil {
			t.Fatal(err)
		}
		own := 0
		for _, f := range found.Coordinators {
			if f.ErrorCode != 0 {
				t.Errorf("coordinator of %s: error %d", f.Key, f.ErrorCode)
				continue
			}
			if f.NodeID == int32(i) {
				own++
			}
			fetch := kmsg.NewPtrOffsetFetchRequest()
			fetch.Group, fetch.Groups = f.Key, []kmsg.OffsetFetchRequestGroup{{Group: f.Key}}
			got, err := fetch.RequestWith(t.Context(), k.Broker(int(f.NodeID)))
			if err != nil {
				t.Errorf("positions of %s at broker %d: %v", f.Key, f.NodeID, err)
			} else if code := got.ErrorCode; code != 0 || len(got.Groups) > 0 && got.Groups[0].ErrorCode != 0 {
				t.Errorf("positions of %s at broker %d: error %d, %+v", f.Key, f.NodeID, code, got.Groups)
			}
		}
		printMeasured(t, "broker %d: kill -9 and ready again after %v, coordinator of %d groups of %d", i, took.Round(time.Millisecond), own, len(found.Coordinators))
		if own == 0 || took >= leaseTTL {
			t.Errorf("broker %d coordinates %d groups, %v after its start", i, own, took)
		}
	}
}
