package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/zonewise/zonewise/costmodel"
	"github.com/zonewise/zonewise/internal/cli"
	"github.com/zonewise/zonewise/internal/etcdserver"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/metadata/etcdlog"
	"github.com/zonewise/zonewise/test/testenv/logtext"
)

func startMember(t *testing.T) *etcdserver.Member {
	t.Helper()
	m, err := etcdserver.Start(t.Context(), etcdserver.Config{Name: "za", Dir: t.TempDir(), ClientURL: "http://127.0.0.1:0", UnsafeNoFsync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Stop)
	return m
}

// freePorts returns a port with so many free ones behind it.
func freePorts(t *testing.T, n int) int {
	t.Helper()
	for port := 22020; port < 32000; port += n + 7 {
		var held []net.Listener
		for i := range n {
			if ln, err := listenLocal(port + i); err == nil {
				held = append(held, ln)
			}
		}
		for _, ln := range held {
			ln.Close()
		}
		if len(held) == n {
			return port
		}
	}
	t.Fatal("no free ports")
	return 0
}

// runningBroker runs `zonewise broker` in this process; stop is its SIGTERM.
func runningBroker(t *testing.T, args ...string) (port int, url string, stop func() int, log *logtext.Text) {
	t.Helper()
	port = freePorts(t, 6)
	ctx, cancel := context.WithCancel(t.Context())
	log = &logtext.Text{}
	code := make(chan int, 1)
	args = append([]string{"broker", "--zone", "za", "--listen", fmt.Sprintf("127.0.0.1:%d", port), "--peer", fmt.Sprintf("127.0.0.1:%d", port+4),
		"--http", fmt.Sprintf("127.0.0.1:%d", port+5), "--linger", "20ms"}, args...)
	go func() { code <- program(nil, log, log).Main(ctx, args) }()
	url = fmt.Sprintf("http://127.0.0.1:%d", port+5)
	for end := time.Now().Add(time.Minute); ; {
		if resp, err := http.Get(url + "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				break
			}
		}
		select {
		case c := <-code:
			t.Fatalf("broker ended with %d: %s", c, log)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(end) {
			t.Fatalf("broker is not ready: %s", log)
		}
	}
	stopped := false
	stop = func() int {
		if stopped {
			return 0
		}
		stopped = true
		cancel()
		return <-code
	}
	t.Cleanup(func() { stop() })
	return port, url, stop, log
}

func TestABrokerBeginsAClusterDrainsAndTheClusterSurvivesItsEtcd(t *testing.T) {
	dir := t.TempDir()
	m := startMember(t)
	where := []string{"--etcd", "za=" + m.Endpoint(), "--bucket", filepath.Join(dir, "bucket")}
	port, url, stop, log := runningBroker(t, where...)
	c := client(t, port+1)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for i := range 3 {
		if err := c.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: fmt.Append(nil, i)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
	for _, args := range [][]string{{"dump", "log", "--etcd", m.Endpoint()}, {"dump", "state", "--server", url}, {"etcd", "members", "--etcd", m.Endpoint()},
		append([]string{"repair", "archive"}, where...), {"repair", "nospace", "--etcd", m.Endpoint()}, {"zones", "--server", url}} {
		if code, _, stderr := zonewise(t, args...); code != cli.ExitOK {
			t.Errorf("%v: exit %d, %s", args, code, stderr)
		}
	}
	for {
		if list, _ := filepath.Glob(filepath.Join(dir, "bucket/main/1/archive/*/*")); len(list) > 0 {
			break
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("nothing was archived: %s", log)
		}
	}
	if code := stop(); code != cli.ExitOK || !strings.Contains(log.String(), "drained") {
		t.Errorf("exit %d: %s", code, log)
	}
	m.Stop()

	empty := startMember(t)
	where[1] = empty.Endpoint()
	var out bytes.Buffer
	args := append([]string{"broker", "--zone", "za", "--listen", fmt.Sprintf("127.0.0.1:%d", port), "--http", fmt.Sprintf("127.0.0.1:%d", port+5), "--peer", fmt.Sprintf("127.0.0.1:%d", port+4)}, where...)
	if code := program(nil, &out, &out).Main(t.Context(), args); code != cli.ExitFailure || !strings.Contains(out.String(), "zonewise recover") {
		t.Errorf("over an empty etcd: exit %d, %s", code, out.String())
	}
	code, text, stderr := zonewise(t, "recover", "--from", where[3], "--etcd", empty.Endpoint())
	if code != cli.ExitOK || !strings.Contains(text, "GOES ON AT") {
		t.Fatalf("recover: exit %d, %s\n%s", code, stderr, text)
	}
	port, _, stop, log = runningBroker(t, where...)
	r := client(t, port+1, kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer r.Close()
	for n := 0; n < 3; {
		f := r.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d records of 3 after the recovery: %s", n, log)
		}
		n += f.NumRecords()
	}
	if code := stop(); code != cli.ExitOK {
		t.Errorf("exit %d: %s", code, log)
	}
}

func TestOurOwnEtcdPassesTheChecksWhichLeaveNothingBehind(t *testing.T) {
	m := startMember(t)
	c, err := m.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var lines bytes.Buffer
	o := &etcdOptions{endpoints: []string{m.Endpoint(), "zx=" + m.Endpoint()}}
	e, err := o.openMembers("za", slog.New(slog.NewTextHandler(&lines, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.checkMembers(t.Context(), "main"); err != nil || lines.Len() > 0 {
		t.Errorf("our own: %v, %s", err, lines.String())
	}
	if !e.updateZones(t.Context()) || e.all[0].zone != "za" || e.all[1].zone != "zx" {
		t.Errorf("zones %v", e.all)
	}
	for e.usedZone() != "za" { // the own zone's, now that it is known
		time.Sleep(10 * time.Millisecond)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if r, err := c.Get(t.Context(), etcdlog.Root+"main/probe"); err != nil || len(r.Kvs) != 0 {
		t.Errorf("the probe left %v, %v", r, err)
	}
}

func TestRoutesAndTheInlineLimitFollowTheMembers(t *testing.T) {
	book, err := costmodel.Default()
	if err != nil {
		t.Fatal(err)
	}
	members := func(leader int, names ...string) (out []etcdlog.Member) {
		for i, n := range names {
			out = append(out, etcdlog.Member{Name: n, Leader: i == leader})
		}
		return out
	}
	for _, c := range []struct {
		name    string
		zone    metadata.ZoneID
		members []etcdlog.Member
		member  metadata.ZoneID
		min     int
		max     int
	}{
		{"alone", "a", members(0, "a"), "a", metadata.MaxInlineBytes, metadata.MaxInlineBytes},
		{"beside the leader", "a", members(0, "a", "b", "c"), "a", 90 << 10, metadata.MaxInlineBytes},
		{"beside a follower", "b", members(0, "a", "b.1", "c"), "b", 80 << 10, 95 << 10},
		{"without a member", "d", members(0, "a", "b", "c"), "a", 80 << 10, 95 << 10},
		{"without a leader", "d", nil, "", metadata.MaxInlineBytes, metadata.MaxInlineBytes},
	} {
		r := routeOf(c.zone, c.members, memberZone)
		limit, err := inlineLimit(book, r)
		if err != nil || r.Member != c.member || limit < c.min || limit > c.max {
			t.Errorf("%s: %+v, limit %d, %v; want member %q, %d to %d", c.name, r, limit, err, c.member, c.min, c.max)
		}
	}
}

// While the member of the own zone is ill, what goes by another is billed so.
func TestTheRouteTellsTheMemberThatIsUsed(t *testing.T) {
	book, err := costmodel.Default()
	if err != nil {
		t.Fatal(err)
	}
	using := metadata.ZoneID("a")
	top := &topology{zone: "a", zoneOf: memberZone, book: book, usedZone: func() metadata.ZoneID { return using },
		members: func(context.Context) ([]etcdlog.Member, error) {
			return []etcdlog.Member{{Name: "a"}, {Name: "b"}, {Name: "c", Leader: true}}, nil
		}}
	for _, zone := range []metadata.ZoneID{"a", "b"} {
		using = zone
		if err := top.refresh(t.Context()); err != nil || top.route().Member != zone {
			t.Errorf("%+v, %v; used is %s", top.route(), err, zone)
		}
	}
}

func TestEndpointsMayNameTheirZone(t *testing.T) {
	o := etcdOptions{endpoints: []string{"za=h1:1", "zb=https://h2:2", "h3:3"}}
	all, err := o.parseEndpoints()
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(all); got != "[{za http://h1:1} {zb https://h2:2} { http://h3:3}]" {
		t.Error(got)
	}
	o.tls.ca = "x"
	if all, _ := o.parseEndpoints(); all[0].url != "https://h1:1" {
		t.Errorf("with TLS: %v", all)
	}
}

func TestASecondSignalEndsTheProgramAtOnce(t *testing.T) {
	codes := make(chan int, 1)
	ctx, stop := untilSignal(func(code int) { codes <- code })
	defer stop()
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := self.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		<-ctx.Done()
	}
	if code := <-codes; code != cli.ExitFailure {
		t.Errorf("exit %d", code)
	}
}
