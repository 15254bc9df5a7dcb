package etcdlog_test

import (
	"bytes"
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

// membersRig is a broker of zone 0 whose etcd has a member in each of three
// zones: clients of one store, each with its own faults.
type membersRig struct {
	*node
	store   *etcdfake.Store
	member  [3]*etcdfake.Client
	members *etcdlog.Members
	follows *replica

	mu    sync.Mutex
	sent  map[string]int // calls by client and op
	stall map[string]time.Duration
	log   bytes.Buffer
}

// Write takes the log.
func (r *membersRig) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(b)
}

// newMembersRig starts it with a session and a follower. near are the members in
// the broker's zone.
func newMembersRig(t *testing.T, near ...int) *membersRig {
	t.Helper()
	r := &membersRig{sent: map[string]int{}, stall: map[string]time.Duration{}}
	r.store = cluster(t, etcdfake.Config{Seed: 5, Script: func(c etcdfake.Call) (etcdfake.CallOutcome, bool) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.sent[c.Client+" "+c.Op]++
		if c.Op == "alive" || c.Op == "watch" {
			return etcdfake.CallOutcome{}, true
		}
		if c.Op == "txn" && strings.Contains(c.Key, "/log/") {
			return etcdfake.CallOutcome{Before: r.stall["writes"] + r.stall[c.Client]}, true
		}
		return etcdfake.CallOutcome{Before: r.stall[c.Client]}, true
	}})
	cfg := etcdlog.MembersConfig{Logger: slog.New(slog.NewTextHandler(r, nil)), Rand: rand.New(rand.NewPCG(1, 1))}
	for i := range r.member {
		c := r.store.Client(fmt.Sprintf("m%d", i), "z")
		r.member[i] = c
		m := etcdlog.MemberConfig{Name: c.Name(), Dial: func(context.Context) (etcdlog.MemberClient, error) { return c, nil }}
		for _, n := range near {
			m.SameZone = m.SameZone || n == i
		}
		cfg.Members = append(cfg.Members, m)
	}
	r.members = etcdlog.NewMembers(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { r.members.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	l, err := etcdlog.Open(t.Context(), etcdlog.Config{Cluster: "main", Client: r.members, Rand: rand.New(rand.NewPCG(1, 2))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	r.node = &node{Log: l}
	if r.session, err = l.OpenSession(t.Context(), metadata.SessionInfo{Nonce: "n", Zone: "z"}); err != nil {
		t.Fatal(err)
	}
	r.follows = r.follow(t)
	time.Sleep(time.Second)
	return r
}

// pause returns the longest time between two commits that are sent one after the
// other, and until they are followed.
func (r *membersRig) pause(t *testing.T, during time.Duration) (longest time.Duration) {
	t.Helper()
	for end := time.Now().Add(during); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		begun := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		res, err := r.Append(ctx, r.next(metadata.LaneLow))
		if err == nil {
			err = r.follows.wait(ctx, res.Revision)
		}
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		longest = max(longest, time.Since(begun))
	}
	return longest
}

func (r *membersRig) stalls(who string, d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stall[who] = d
}

func (r *membersRig) calls(who string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, v := range r.sent {
		if strings.HasPrefix(k, who+" ") {
			n += v
		}
	}
	return n
}

// Whatever the fault of a member, its zone's commits and followers wait little
// more than a second, and return to it when it is healthy.
func TestAnIllMemberIsGivenUpAndUsedAgain(t *testing.T) {
	faults := map[string]struct{ begin, end func(r *membersRig) }{
		"hung": {func(r *membersRig) { r.member[0].Cut(true) }, func(r *membersRig) { r.member[0].Cut(false) }},
		"slow": {func(r *membersRig) { r.member[0].Slow(time.Second) }, func(r *membersRig) { r.member[0].Slow(0) }},
		// It answers by itself, but not for anything that needs its raft log.
		"its disk stalls": {func(r *membersRig) { r.stalls("m0", time.Minute) }, func(r *membersRig) { r.stalls("m0", 0) }},
	}
	for name, x := range faults {
		for phase := range 6 {
			t.Run(fmt.Sprint(name, phase), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newMembersRig(t, 0)
					r.pause(t, time.Second+time.Duration(phase)*50*time.Millisecond)
					x.begin(r)
					if p := r.pause(t, 20*time.Second); p > 1200*time.Millisecond {
						t.Errorf("a commit took %v", p)
					}
					if r.members.Using() == 0 {
						t.Fatal("the ill member is used")
					}
					x.end(r)
					if p := r.pause(t, 5*time.Second); p > 100*time.Millisecond {
						t.Errorf("on the way back a commit took %v", p)
					}
					if r.members.Using() != 0 {
						t.Fatalf("the zone's member is well and not used: %s", r.log.String())
					}
					far := r.calls("m1") + r.calls("m2")
					r.pause(t, 5*time.Second)
					if n := r.calls("m1") + r.calls("m2") - far; n > 0 {
						t.Errorf("%d calls still go to other zones", n)
					}
					if r.follows.lists != 1 {
						t.Errorf("the follower read %d times from the top", r.follows.lists)
					}
				})
			})
		}
	}
}

// A session goes on although the member that renewed its lease hangs.
func TestAnIllMemberEndsNoSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newMembersRig(t, 0)
		r.member[0].Cut(true)
		time.Sleep(20 * time.Second) // nothing but renewals
		select {
		case <-r.session.Done():
			t.Error("the session was lost")
		default:
		}
	})
}

// A broker's requests cross no zones while its zone's member is healthy.
func TestAWellMemberIsAskedAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newMembersRig(t, 0)
		r.pause(t, time.Minute)
		if n := r.calls("m1") + r.calls("m2"); n > 0 {
			t.Errorf("%d calls to members of other zones", n)
		}
	})
}

// If commits are slow through every member, or no member answers, the member in
// use is not replaced.
func TestAWellMemberIsNotLeftForTheClustersTroubles(t *testing.T) {
	for name, trouble := range map[string]func(r *membersRig){
		"slow writes": func(r *membersRig) { r.stalls("writes", 900*time.Millisecond) },
		"no quorum": func(r *membersRig) {
			for i := range r.member {
				r.stalls(fmt.Sprintf("m%d", i), 1200*time.Millisecond)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newMembersRig(t, 0)
				trouble(r)
				r.pause(t, 20*time.Second)
				if strings.Contains(r.log.String(), "another") || r.members.Using() != 0 {
					t.Errorf("it was left: %s", r.log.String())
				}
			})
		})
	}
}

// A member that fails whenever it is used is tried less and less often.
func TestAMemberThatFallsIllAgainAndAgainIsTriedRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newMembersRig(t, 0)
		returns := 0
		for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); {
			r.member[0].Cut(true)
			for r.members.Using() == 0 && time.Now().Before(end) {
				r.pause(t, 100*time.Millisecond)
			}
			r.member[0].Cut(false)
			for r.members.Using() != 0 && time.Now().Before(end) {
				r.pause(t, 100*time.Millisecond)
			}
			returns++
		}
		if returns > 10 {
			t.Errorf("it was used again %d times in five minutes", returns)
		}
		r.member[0].Cut(false)
		time.Sleep(time.Minute) // healthy at last
		if r.pause(t, 5*time.Second); r.members.Using() != 0 {
			t.Error("it is well and not used")
		}
	})
}

// A broker of a zone without a member uses any, and replaces it, too.
func TestWithoutANearMemberAnyIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newMembersRig(t)
		first := r.members.Using()
		r.member[first].Cut(true)
		if p := r.pause(t, 20*time.Second); p > 2*time.Second || r.members.Using() == first {
			t.Errorf("a commit took %v; member %d, then %d", p, first, r.members.Using())
		}
		r.members.SetSameZone(first, true) // its zone is known at last
		r.member[first].Cut(false)
		if r.pause(t, 5*time.Second); r.members.Using() != first {
			t.Error("the zone's member is not used")
		}
	})
}

// A member that cannot be dialled (an etcd that requires passwords, and is down)
// delays no caller.
func TestAMemberThatCannotBeDialledIsUsedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := cluster(t, etcdfake.Config{Seed: 5})
		up := time.Now().Add(5 * time.Second)
		var all []etcdlog.MemberConfig
		for i := range 2 {
			all = append(all, etcdlog.MemberConfig{Name: fmt.Sprint(i), SameZone: i == 0, Dial: func(context.Context) (etcdlog.MemberClient, error) {
				if i == 0 && time.Now().Before(up) {
					return nil, errors.New("no route")
				}
				return store.Client(fmt.Sprint(i), "z"), nil
			}})
		}
		m := etcdlog.NewMembers(etcdlog.MembersConfig{Members: all, Logger: slog.New(slog.DiscardHandler), Rand: rand.New(rand.NewPCG(1, 1))})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { m.Run(ctx) })
		defer wg.Wait()
		defer cancel()
		begun := time.Now()
		if _, ok, err := etcdlog.ReadFormat(t.Context(), m, "main"); err != nil || !ok || time.Since(begun) > time.Second {
			t.Fatalf("%v, %v after %v", ok, err, time.Since(begun))
		}
		time.Sleep(10 * time.Second)
		if m.Using() != 0 {
			t.Error("the near member is up and not used")
		}
	})
}
