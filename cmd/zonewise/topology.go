package main

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/zonewise/zonewise/costmodel"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/metadata/etcdlog"
)

// topology has the zones of the etcd members, for the price of traffic between
// zones: routes of entries, and up to which size inline is cheaper than a PUT.
// One goroutine (run) updates it; readers take an immutable snapshot.
type topology struct {
	zone     metadata.ZoneID
	members  func(context.Context) ([]etcdlog.Member, error)
	usedZone func() metadata.ZoneID // of the member that this broker uses; unknown: the rule of routeOf
	zoneOf   func(member string) metadata.ZoneID
	book     *costmodel.Book
	logger   *slog.Logger
	current  atomic.Pointer[topologySnapshot]
}

type topologySnapshot struct {
	route  metadata.Route
	inline int // bytes
}

// topologyInterval is how often members and leader are read: the price is wrong
// for at most that long after an election.
const topologyInterval = 5 * time.Second

func (t *topology) route() metadata.Route {
	if p := t.current.Load(); p != nil {
		return p.route
	}
	return metadata.Route{Broker: t.zone}
}

// inlineLimit is 0, so that nothing goes inline, until the first update.
func (t *topology) inlineLimit() int {
	if p := t.current.Load(); p != nil {
		return p.inline
	}
	return 0
}

func (t *topology) run(ctx context.Context) {
	for {
		if err := t.refresh(ctx); err != nil && ctx.Err() == nil {
			metadata.LogFailure(t.logger, "read etcd members", err)
		}
		select {
		case <-time.After(topologyInterval):
		case <-ctx.Done():
			return
		}
	}
}

func (t *topology) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, topologyInterval)
	defer cancel()
	members, err := t.members(ctx)
	if err != nil {
		return err
	}
	p := &topologySnapshot{route: routeOf(t.zone, members, t.zoneOf)}
	if z := t.usedZone(); z != metadata.UnknownZone {
		p.route.Member = z
	}
	if p.inline, err = inlineLimit(t.book, p.route); err != nil {
		return err
	}
	t.current.Store(p)
	return nil
}

// routeOf is the usual route of an entry of a broker in zone: to a member in
// its own zone if there is one, else to the leader; from there to every
// follower.
func routeOf(zone metadata.ZoneID, members []etcdlog.Member, zoneOf func(string) metadata.ZoneID) metadata.Route {
	r := metadata.Route{Broker: zone}
	near := false
	for _, m := range members {
		z := zoneOf(m.Name)
		near = near || z == zone
		if m.Leader {
			r.Leader = z
		} else {
			r.Followers = append(r.Followers, z)
		}
	}
	r.Member = r.Leader
	if near {
		r.Member = zone
	}
	return r
}

// inlineLimit is the most bytes that are cheaper in an entry, which etcd
// carries over every network hop of the route, than in an object.
func inlineLimit(book *costmodel.Book, r metadata.Route) (int, error) {
	limit, err := costmodel.InlineLimit(book, uint64(r.CountNetworkHops()))
	if err != nil {
		return 0, err
	}
	return int(min(limit, metadata.MaxInlineBytes)), nil
}
