//go:build integration

package integration

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/zonewise/zonewise/test/testenv/cluster"
	"github.com/zonewise/zonewise/test/testenv/s3server"
)

// lastError is the last line that a program printed.
func lastError(p *cluster.Process) string {
	last := ""
	for line := range strings.Lines(p.Tail(20_000)) {
		if strings.HasPrefix(line, "zonewise: ") {
			last = strings.TrimSpace(line)
		}
	}
	return last
}

// expectStartError starts broker 0 and expects it to end by itself with an error that
// contains all words.
func expectStartError(t *testing.T, c *cluster.Cluster, what string, words ...string) {
	t.Helper()
	p := c.Brokers[0]
	p.Start()
	if err := p.Await(45 * time.Second); err == nil || strings.Contains(err.Error(), "did not end") {
		t.Errorf("%s: the broker ended with %v; its output:\n%s", what, err, p.Tail(1500))
		return
	}
	text := lastError(p)
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%s: the broker prints %q, without %q", what, text, w)
		}
	}
	printMeasured(t, "%s: %s", what, text)
}

func TestWrongCredentialsAreReported(t *testing.T) {
	c := cluster.Start(t, cluster.Options{NoBrokers: true, Env: map[string]string{"AWS_SECRET_ACCESS_KEY": "wrong-wrong-wrong"}})
	expectStartError(t, c, "wrong credentials", "403")
}

func TestAMissingBucketIsReported(t *testing.T) {
	c := cluster.Start(t, cluster.Options{NoBrokers: true, Bucket: func(s *s3server.Server) string {
		return strings.Replace(s.URL(""), "s3://"+s.Bucket, "s3://no-such-bucket", 1)
	}})
	expectStartError(t, c, "no bucket", "no-such-bucket")
}

func TestAPortInUseIsReported(t *testing.T) {
	c := cluster.Start(t, cluster.Options{NoBrokers: true})
	for _, port := range []struct{ flag, address string }{
		{"--listen", c.Bootstrap(0, -1)}, {"--http", strings.TrimPrefix(c.HTTP(0), "http://")},
	} {
		ln, err := net.Listen("tcp", port.address)
		if err != nil {
			t.Fatal(err)
		}
		expectStartError(t, c, "port of "+port.flag+" taken", port.flag, ln.Addr().String()[strings.LastIndex(ln.Addr().String(), ":")+1:])
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEtcdWithoutQuorumIsReportedAndWaitedFor(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	createTopic(t, c, "quorum", 1, nil)
	k := newClient(t, c, 1, kgo.RecordRetries(1000))
	if err := k.ProduceSync(t.Context(), &kgo.Record{Topic: "quorum", Value: []byte("before")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	for _, p := range c.Etcd[:2] {
		p.Kill()
	}
	sent := make(chan error, 1)
	k.Produce(t.Context(), &kgo.Record{Topic: "quorum", Value: []byte("during")}, func(_ *kgo.Record, err error) { sent <- err })
	select {
	case err := <-sent:
		t.Errorf("a record was answered (%v) though etcd had no quorum", err)
	case <-time.After(12 * time.Second): // sessions end in that time
	}
	for i, p := range c.Brokers {
		if !p.Running() {
			t.Errorf("broker %d is gone", i)
		}
	}
	from := time.Now()
	for _, p := range c.Etcd[:2] {
		p.Start()
	}
	select {
	case err := <-sent:
		if err != nil {
			t.Errorf("the record was given up: %v", err)
		}
		printMeasured(t, "etcd had no quorum for 12 s; the record was acknowledged %.1f s after two members were started again", time.Since(from).Seconds())
	case <-time.After(60 * time.Second):
		t.Error("the record was not acknowledged within 60 s of the quorum's return")
	}
	n := 0
	readAll(t, c, 2, "quorum", func(*kgo.Record) { n++ })
	if n != 2 {
		t.Errorf("%d records, want 2", n)
	}
	for _, p := range append(c.Brokers, c.Etcd[:2]...) {
		p.Kill()
	}
	expectStartError(t, c, "start without quorum", "etcd")
}

// faultyS3 is a proxy before the S3 server that responds itself while status is not 0.
type faultyS3 struct {
	*httptest.Server
	status atomic.Int64
}

func newFaultyS3(t *testing.T, s *s3server.Server) *faultyS3 {
	target, err := url.Parse(s.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	f := &faultyS3{}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host }}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status := f.status.Load(); status != 0 {
			w.WriteHeader(int(status))
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

func TestAnS3ThatRefusesLosesNothing(t *testing.T) {
	var proxy *faultyS3
	c := cluster.Start(t, cluster.Options{Broker: map[string]string{"inline-rate": "0"}, Bucket: func(s *s3server.Server) string {
		proxy = newFaultyS3(t, s)
		return strings.Replace(s.URL(""), s.Endpoint, proxy.URL, 1)
	}})
	createTopic(t, c, "refuse", 3, nil)
	l := startLoad(t, c, loadOptions{topic: "refuse", partitions: 3, perFamily: 3, bytesPerSec: 1e6, recordBytes: 1024})
	time.Sleep(3 * time.Second)
	var windows []window
	for _, status := range []int{403, 404, 412, 500, 503} {
		w := window{what: "S3 answers " + http.StatusText(status), from: time.Now(), limit: 8 * time.Second}
		proxy.status.Store(int64(status))
		time.Sleep(3 * time.Second)
		proxy.status.Store(0)
		time.Sleep(5 * time.Second)
		w.to = time.Now()
		windows = append(windows, w)
	}
	l.stopProducers(t)
	for i, p := range c.Brokers {
		if !p.Running() {
			t.Errorf("broker %d is gone", i)
		}
	}
	l.checkPauses(t, "objects", windows)
	verifyTopic(t, c, "refuse", l)
}
