package etcdlog_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/metadata/etcdlog"
	"github.com/zonewise/zonewise/metadata/etcdlog/etcdfake"
)

// lines is a log.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, string(b))
	return len(b), nil
}

func (l *lines) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.all
	l.all = nil
	return all
}

// startReporting opens a broker's log over the members of an etcd, with a session, and
// commits and reads all the time.
func startReporting(t *testing.T, cfg etcdfake.Config) (members []*etcdfake.Client, logged *lines) {
	t.Helper()
	store := cluster(t, cfg)
	logged = &lines{}
	logger := slog.New(slog.NewTextHandler(logged, nil))
	var all []etcdlog.MemberConfig
	for i := range 3 {
		c := store.Client(fmt.Sprintf("http://m%d:2379", i), "z")
		members = append(members, c)
		all = append(all, etcdlog.MemberConfig{Name: c.Name(), SameZone: i == 0, Dial: func(context.Context) (etcdlog.MemberClient, error) { return c, nil }})
	}
	m := etcdlog.NewMembers(etcdlog.MembersConfig{Members: all, Logger: slog.New(slog.DiscardHandler), Rand: rand.New(rand.NewPCG(1, 1))})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); wg.Wait() })
	wg.Go(func() { m.Run(ctx) })
	l, err := etcdlog.Open(t.Context(), etcdlog.Config{Cluster: "main", Client: m, Rand: rand.New(rand.NewPCG(1, 2)), Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	for i := range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				s, err := l.OpenSession(ctx, metadata.SessionInfo{Nonce: fmt.Sprintf("n%d-%d", i, time.Now().UnixNano()), Zone: "z"})
				for err == nil && ctx.Err() == nil {
					_, _, err = l.TryRole(ctx, s.ID(), "tick")
					if perr := s.Publish(ctx, metadata.SessionStatus{}); perr != nil {
						err = perr
					}
					if err != nil && !errors.Is(err, metadata.ErrSessionLost) {
						if !errors.Is(err, metadata.ErrUnavailable) && ctx.Err() == nil {
							t.Errorf("an error that does not say what it is: %v", err)
						}
						if strings.Contains(err.Error(), "rpc error") {
							t.Errorf("an error in wrappings: %v", err)
						}
						err = nil
					}
					time.Sleep(100*time.Millisecond + time.Duration(i))
				}
				time.Sleep(100*time.Millisecond + time.Duration(i))
			}
		})
	}
	time.Sleep(5 * time.Second)
	return members, logged
}

func TestALostEtcdIsSaidInALineAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		members, logged := startReporting(t, etcdfake.Config{Seed: 3})
		if all := logged.take(); len(all) > 0 {
			t.Errorf("logged for a healthy etcd: %q", all)
		}
		for _, m := range members {
			m.Cut(true)
		}
		time.Sleep(30 * time.Second)
		all := logged.take()
		if len(all) < 3 || len(all) > 10 {
			t.Errorf("%d lines in 30 s: %q", len(all), all)
		}
		for _, line := range all {
			for _, want := range []string{"etcd is not reachable", "http://m0:2379: no answer", "http://m2:2379: no answer", "since=", "for=", "stands_still=", "goes_on=", "docs/operations.md"} {
				if !strings.Contains(line, want) {
					t.Errorf("no %q in %s", want, line)
				}
			}
		}
		for _, m := range members {
			m.Cut(false)
		}
		time.Sleep(10 * time.Second)
		if all = logged.take(); len(all) > 2 || !strings.Contains(all[len(all)-1], "etcd serves again") {
			t.Errorf("afterwards: %q", all)
		}
	})
}

func TestAnEtcdThatTakesNoWritesIsSaid(t *testing.T) {
	for name, x := range map[string]struct {
		outcome etcdfake.CallOutcome
		want    []string
	}{
		"stalls":  {etcdfake.CallOutcome{Before: time.Minute}, []string{"etcd answers and takes no writes", "not reachable"}},
		"is full": {etcdfake.CallOutcome{NoSpace: true}, []string{"zonewise repair nospace", "etcd fills up"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bad := make(chan struct{})
				_, logged := startReporting(t, etcdfake.Config{Seed: 3, Script: func(c etcdfake.Call) (etcdfake.CallOutcome, bool) {
					select {
					case <-bad:
						if c.Op == "txn" && strings.Contains(c.Key, "/session/") {
							return x.outcome, true
						}
					default:
					}
					return etcdfake.CallOutcome{}, true
				}})
				close(bad)
				time.Sleep(20 * time.Second)
				all := logged.take()
				if len(all) < 2 || len(all) > 10 {
					t.Fatalf("%d lines in 20 s: %q", len(all), all)
				}
				for _, want := range x.want {
					if !strings.Contains(all[0], want) {
						t.Errorf("no %q in %s", want, all[0])
					}
				}
			})
		})
	}
}

// Occasional lost responses are not an outage.
func TestAnswersLostNowAndThenAreNotSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := make(chan struct{})
		_, logged := startReporting(t, etcdfake.Config{Seed: 3, LoseReply: 4, FailBefore: 50, TailOneIn: 20, Script: func(etcdfake.Call) (etcdfake.CallOutcome, bool) {
			select {
			case <-bad:
				return etcdfake.CallOutcome{}, false // by the rates
			default:
				return etcdfake.CallOutcome{}, true
			}
		}})
		close(bad)
		time.Sleep(time.Minute)
		if all := logged.take(); len(all) > 0 {
			t.Errorf("logged: %q", all)
		}
	})
}
