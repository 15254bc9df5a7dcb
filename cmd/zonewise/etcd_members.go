package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"github.com/zonewise/zonewise/internal/etcdserver"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/metadata/etcdlog"
)

// Times of the requests for members' names.
const (
	memberTimeout      = 2 * time.Second
	learnZonesInterval = 10 * time.Second
)

// etcdMembers are etcd's members over a connection each, used as one
// (etcdlog.Members): the one of the own zone, while it answers. Close ends it.
type etcdMembers struct {
	*etcdlog.Members
	zone   metadata.ZoneID // ours; "": none
	tls    *tlsFiles       // nil: plain text
	logger *slog.Logger
	cancel context.CancelFunc
	wg     sync.WaitGroup

	clients []memberConn
	mu      sync.Mutex // guards all
	all     []etcdEndpoint
}

// memberConn is the connection to a member, once done is closed.
type memberConn struct {
	c    *clientv3.Client
	done chan struct{}
}

// openMembers connects to the members, and prefers those of a zone. It does not wait
// until one answers.
func (o *etcdOptions) openMembers(zone metadata.ZoneID, logger *slog.Logger) (*etcdMembers, error) {
	all, err := o.parseEndpoints()
	if err != nil {
		return nil, err
	}
	login, err := o.loadLogin()
	if err != nil {
		return nil, err
	}
	e := &etcdMembers{zone: zone, logger: logger, tls: login.tls, all: all, clients: make([]memberConn, len(all))}
	cfg := etcdlog.MembersConfig{Logger: logger, Rand: newRand()}
	for i, one := range all {
		e.clients[i].done = make(chan struct{})
		cfg.Members = append(cfg.Members, etcdlog.MemberConfig{Name: one.url, SameZone: e.isNear(one.zone), Dial: func(context.Context) (etcdlog.MemberClient, error) {
			c, err := login.dialMembers([]string{one.url})
			if err != nil {
				return nil, err
			}
			e.clients[i].c = c
			close(e.clients[i].done)
			return etcdlog.FromMember(c), nil
		}})
	}
	e.Members = etcdlog.NewMembers(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	e.cancel = cancel
	e.wg.Go(func() { e.Run(ctx) })
	e.wg.Go(func() { e.learnZones(ctx) })
	return e, nil
}

// isNear reports whether members of a zone are preferred.
func (e *etcdMembers) isNear(zone metadata.ZoneID) bool {
	return zone != metadata.UnknownZone && zone == e.zone
}

// Close ends the connections.
func (e *etcdMembers) Close() error {
	e.cancel()
	e.wg.Wait()
	var errs []error
	for _, d := range e.clients {
		if d.c != nil {
			errs = append(errs, d.c.Close())
		}
	}
	return errors.Join(errs...)
}

// endpointOf returns the endpoint of a member.
func (e *etcdMembers) endpointOf(i int) etcdEndpoint {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.all[i]
}

// memberStatus requests the status of a member.
func (e *etcdMembers) memberStatus(ctx context.Context, i int) (*clientv3.StatusResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, memberTimeout)
	defer cancel()
	d := &e.clients[i]
	select {
	case <-d.done:
		return d.c.Status(ctx, e.endpointOf(i).url)
	case <-ctx.Done():
		return nil, fmt.Errorf("connect: %w", ctx.Err())
	}
}

// usedZone is the zone of the member that is used; unknown until its name was
// received.
func (e *etcdMembers) usedZone() metadata.ZoneID { return e.endpointOf(e.Using()).zone }

// learnZones requests the names of members without a given zone, which name
// their zones, until all have responded.
func (e *etcdMembers) learnZones(ctx context.Context) {
	for !e.updateZones(ctx) {
		select {
		case <-time.After(learnZonesInterval):
		case <-ctx.Done():
			return
		}
	}
}

// updateZones sends these requests once, all at the same time, and reports
// whether all zones are known.
func (e *etcdMembers) updateZones(ctx context.Context) bool {
	var wg sync.WaitGroup
	known := make([]bool, len(e.all))
	for i := range e.all {
		wg.Go(func() {
			if e.endpointOf(i).zone != metadata.UnknownZone {
				known[i] = true
				return
			}
			name, err := e.memberName(ctx, i)
			if err != nil {
				return
			}
			known[i] = true
			e.mu.Lock()
			e.all[i].zone = memberZone(name)
			e.mu.Unlock()
			e.SetSameZone(i, e.isNear(memberZone(name)))
		})
	}
	wg.Wait()
	for _, k := range known {
		if !k {
			return false
		}
	}
	return true
}

// memberName requests the name of a member.
func (e *etcdMembers) memberName(ctx context.Context, i int) (string, error) {
	s, err := e.memberStatus(ctx, i)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, memberTimeout)
	defer cancel()
	list, err := e.clients[i].c.MemberList(ctx) // it was dialled: it has answered
	if err != nil {
		return "", fmt.Errorf("list etcd members: %w", err)
	}
	for _, m := range list.Members {
		if m.ID == s.Header.GetMemberId() {
			return m.Name, nil
		}
	}
	return "", fmt.Errorf("etcd at %s is no member of its cluster", e.endpointOf(i).url)
}

// etcdLogin is how to connect to a member.
type etcdLogin struct {
	user, password string
	tls            *tlsFiles // nil: plain text
}

// dialMembers connects to endpoints of one etcd. The caller closes the client.
func (l *etcdLogin) dialMembers(urls []string) (*clientv3.Client, error) {
	if l.tls == nil {
		return etcdserver.DialAs(urls, nil, l.user, l.password)
	}
	return etcdserver.DialAs(urls, l.tls.currentConfig(), l.user, l.password, grpc.WithTransportCredentials(reloadingCredentials{l.tls}))
}
