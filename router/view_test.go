package router

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/zonewise/zonewise/metadata"
)

func TestEndpointsFollowTheClientsZone(t *testing.T) {
	c := newCluster(t)
	_, a := c.open("a")
	_, b := c.open("b", 19001, 19002)
	c.open("c")
	v := NewView(c.state)
	for _, x := range []struct {
		broker metadata.BrokerID
		zone   metadata.ZoneID
		port   int32
	}{
		{a, "", 9092}, {a, "a", 9093}, {a, "b", 9094}, {a, "c", 9095}, {a, "nowhere", 9092},
		{b, "", 9092}, {b, "a", 19001}, {b, "b", 19002}, {b, "c", 9092}, {99, "a", -1},
	} {
		host, port := v.Endpoint(x.broker, x.zone)
		if port != x.port || (host == "") != (port == -1) {
			t.Errorf("broker %d for zone %q: %s:%d, want port %d", x.broker, x.zone, host, port, x.port)
		}
	}
	for _, e := range v.Brokers("b") {
		host, port := v.Endpoint(e.ID, "b")
		if zone, _ := v.ZoneOf(e.ID); e.Host != host || e.Port != port || e.Rack != zone {
			t.Errorf("%+v", e)
		}
	}
	if len(v.Brokers("b")) != 3 || v.Cluster() != (metadata.ClusterID{1}) || v.Revision() != c.rev {
		t.Error("wrong picture")
	}
}

// TestLeaderIsAlwaysInTheClientsZone: whenever the zone has a live, healthy
// broker; and whatever is named is a broker of the cluster.
func TestLeaderIsAlwaysInTheClientsZone(t *testing.T) {
	zones := []metadata.ZoneID{"a", "b", "c", "d"}
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 1))
		c := newCluster(t)
		type live struct {
			s        metadata.SessionID
			id       metadata.BrokerID
			zone     metadata.ZoneID
			draining bool
		}
		var all []live
		for range 30 {
			switch n := rng.IntN(10); {
			case n < 5 || len(all) == 0:
				z := zones[rng.IntN(4)]
				s, id := c.open(z)
				all = append(all, live{s, id, z, false})
			case n < 7:
				if i := rng.IntN(len(all)); !all[i].draining {
					c.apply(all[i].s, metadata.DrainSession{})
					all[i].draining = true
				}
			case len(all) > 1:
				i := rng.IntN(len(all))
				by := (i + 1) % len(all)
				c.apply(all[by].s, metadata.CloseSession{Session: all[i].s})
				all = slices.Delete(all, i, i+1)
			}
			dead := map[metadata.BrokerID]bool{}
			for _, b := range all {
				dead[b.id] = rng.IntN(4) == 0
			}
			healthy := func(b metadata.BrokerID) bool { return !dead[b] }
			inZone := func(z metadata.ZoneID, ok func(live) bool) bool {
				return slices.ContainsFunc(all, func(b live) bool { return b.zone == z && !b.draining && ok(b) })
			}
			v := NewView(c.state)
			for range 10 {
				tp := partition(rng)
				for _, z := range append(zones, "", "nowhere") {
					alive := inZone(z, func(b live) bool { return !dead[b.id] })
					for what, got := range map[string]metadata.BrokerID{
						"leader": v.Leader(tp, z, healthy), "controller": v.Controller(z, healthy), "coordinator": v.Coordinator("k", z, healthy),
						"spread": v.Spread(SpreadRequest{tp, z, rng.Uint64(), 3}, healthy)} {
						at, known := v.ZoneOf(got)
						if !known || alive && at != z || alive && dead[got] {
							t.Fatalf("seed %d: %s for zone %q is %d in %q", seed, what, z, got, at)
						}
						if host, _ := v.Endpoint(got, z); host == "" {
							t.Fatalf("%s %d has no address", what, got)
						}
						somewhere := slices.ContainsFunc(all, func(b live) bool { return !b.draining && !dead[b.id] })
						if somewhere && dead[got] {
							t.Fatalf("%s for zone %q is the dead %d", what, z, got)
						}
					}
					if inZone(z, func(live) bool { return true }) {
						if at, _ := v.ZoneOf(v.Leader(tp, z, nil)); at != z {
							t.Fatalf("leader for %q is in %q", z, at)
						}
					}
				}
			}
		}
	}
}

func TestReplicasAreStableAndOnePerZoneFirst(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	c := newCluster(t)
	for _, z := range []metadata.ZoneID{"a", "b", "c", "a", "b", "a"} {
		c.open(z)
	}
	v := NewView(c.state)
	for range 200 {
		tp := partition(rng)
		for rf := -1; rf < 9; rf++ {
			got := v.Replicas(tp, rf)
			want := rf
			if rf < 1 {
				want = 3
			}
			zones, ids := map[metadata.ZoneID]int{}, map[metadata.BrokerID]bool{}
			for i, b := range got {
				z, _ := v.ZoneOf(b)
				zones[z]++
				ids[b] = true
				if i == 2 && len(zones) != 3 {
					t.Fatalf("first three of %v are not in three zones", got)
				}
			}
			if len(got) != min(want, 6) || len(ids) != len(got) {
				t.Fatalf("rf %d: %v", rf, got)
			}
			if again := NewView(c.state).Replicas(tp, rf); !slices.Equal(got, again) {
				t.Fatal("not stable")
			}
		}
	}
}

func TestAClusterThatDrainsStillNamesSomebody(t *testing.T) {
	c := newCluster(t)
	if v := NewView(c.state); v.Leader(metadata.TopicPartition{}, "a", nil) != metadata.NoBroker || v.Controller("a", nil) != metadata.NoBroker {
		t.Error("somebody is named who is not there")
	}
	s, id := c.open("a")
	c.apply(s, metadata.DrainSession{})
	v := NewView(c.state)
	tp := metadata.TopicPartition{}
	dead := func(metadata.BrokerID) bool { return false }
	if v.Leader(tp, "a", dead) != id || v.Controller("b", nil) != id || !slices.Equal(v.Replicas(tp, 3), []metadata.BrokerID{id}) || len(v.Brokers("a")) != 1 {
		t.Error("nobody is named")
	}
	if v.HasZone("a") {
		t.Error("a draining broker counts as its zone's")
	}
}

func TestSpreadIsStickyAndMovesOnlyToNewBrokers(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 1))
	c := newCluster(t)
	for range 6 {
		c.open("a")
	}
	c.open("b")
	v := NewView(c.state)
	tp := partition(rng)
	before := map[metadata.BrokerID]bool{}
	seen := map[uint64]metadata.BrokerID{}
	for width := 1; width <= 6; width++ {
		used := map[metadata.BrokerID]int{}
		for conn := range uint64(600) {
			b := v.Spread(SpreadRequest{tp, "a", conn, width}, nil)
			if was, ok := seen[conn]; ok && was != b && before[b] {
				t.Fatalf("width %d: connection %d moved from %d to %d, which is not new", width, conn, was, b)
			}
			seen[conn] = b
			used[b]++
		}
		if len(used) != width {
			t.Errorf("width %d: %d brokers used", width, len(used))
		}
		for b, n := range used {
			before[b] = true
			if n < 600/width/2 {
				t.Errorf("width %d: broker %d has %d of 600", width, b, n)
			}
		}
	}
	if v.Spread(SpreadRequest{tp, "a", 5, 1}, nil) != v.Leader(tp, "a", nil) {
		t.Error("width 1 is not the leader")
	}
}

func TestPeersAreTheOthersOfTheZone(t *testing.T) {
	c := newCluster(t)
	_, a := c.open("a")
	s, a2 := c.open("a")
	c.open("b")
	c.apply(s, metadata.DrainSession{})
	v := NewView(c.state)
	if p := v.Peers(a, "a"); len(p) != 1 || p[0].ID != a2 || p[0].Addr == "" {
		t.Errorf("%+v", p)
	}
}
