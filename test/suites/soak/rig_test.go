//go:build soak

package soak

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/zonewise/zonewise/s3stream/bucket/s3"
	"github.com/zonewise/zonewise/test/testenv/cluster"
)

// The cluster's small limits.
const (
	grace        = 5 * time.Second
	baseInterval = 5 * time.Second
	// cacheBytes is each cache of a broker: full early, so that what grows is not a
	// cache.
	cacheBytes = "64MiB"
	// leastFree is the space of the disk below which a run ends.
	leastFree = 3 << 30
)

// rig is a cluster with what watches it.
type rig struct {
	t       *testing.T
	c       *cluster.Cluster
	history *History
	source  *RecordSource
	reader  *kgo.Client // its requests may go to any broker
	admin   *kadm.Client
	bucket  *s3.Store
	began   time.Time

	mu        sync.Mutex
	producers uint32 // how many there were
}

func startRig(t *testing.T) *rig {
	t.Helper()
	markFolder(t)
	checkDisk(t)
	c := cluster.Start(t, cluster.Options{Flags: []string{"--delete-grace", grace.String(), "--recovery-base-interval", baseInterval.String(),
		"--retention-check-interval", "5s", "--wal-memory", cacheBytes, "--tail-memory", cacheBytes, "--block-memory", cacheBytes}})
	r := &rig{t: t, c: c, history: NewHistory(), source: NewRecordSource(1), began: time.Now()}
	r.reader = r.newClient("reader", kgo.MaxVersions(kversion.V2_8_0()))
	r.admin = kadm.NewClient(r.reader)
	config, err := s3.ParseURL(c.Bucket())
	if err != nil {
		t.Fatal(err)
	}
	config.AccessKey, config.SecretKey = c.S3.AccessKey, c.S3.SecretKey
	if r.bucket, err = s3.Open(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.bucket.Close)
	return r
}

// newClient opens a client that knows every broker.
func (r *rig) newClient(id string, more ...kgo.Opt) *kgo.Client {
	r.t.Helper()
	k, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(r.c.WholeBootstrap(0)...), kgo.ClientID("soak-" + id), kgo.DialTimeout(2 * time.Second)}, more...)...)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(k.Close)
	return k
}

func (r *rig) createTopic(name string, partitions int32, configs map[string]string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	values := map[string]*string{}
	for key, value := range configs {
		values[key] = &value
	}
	if _, err := r.admin.CreateTopic(ctx, partitions, -1, values, name); err != nil {
		r.t.Fatalf("create topic %s: %v", name, err)
	}
}

// say prints progress, with the time since the rig began.
func (r *rig) say(format string, args ...any) {
	r.t.Helper()
	fmt.Printf("%s %7s  %s\n", r.t.Name(), time.Since(r.began).Round(100*time.Millisecond), fmt.Sprintf(format, args...))
}

// takeProblems fails the test for what the history found.
func (r *rig) takeProblems() {
	r.t.Helper()
	list, more := r.history.TakeProblems()
	for _, p := range list {
		r.t.Error(p)
	}
	if more > 0 {
		r.t.Errorf("and %d more problems", more)
	}
}

// checkDisk ends the test while others on this machine still have space.
func checkDisk(t *testing.T) {
	t.Helper()
	var fs syscall.Statfs_t
	if err := syscall.Statfs(os.TempDir(), &fs); err != nil {
		t.Fatal(err)
	}
	if free := int64(fs.Bavail) * fs.Bsize; free < leastFree {
		t.Fatalf("only %d MiB are free in %s: want %d", free>>20, os.TempDir(), leastFree>>20)
	}
}

// bucketContent is a listing of the bucket, in sum.
type bucketContent struct {
	objects, bytes int64
	classes        map[string]int64 // objects by class: wal, archive, checkpoint
	newest         string           // checkpoint
}

const listPage = 1000

// listBucket lists the bucket.
func (r *rig) listBucket(ctx context.Context) (b bucketContent, err error) {
	b.classes = map[string]int64{}
	for after := ""; ; {
		page, err := r.bucket.List(ctx, "", after, listPage)
		if err != nil {
			return b, fmt.Errorf("list the bucket: %w", err)
		}
		for _, o := range page {
			after = o.Name
			b.objects++
			b.bytes += o.Size
			if parts := strings.Split(o.Name, "/"); len(parts) > 2 {
				b.classes[parts[2]]++
				if parts[2] == "checkpoint" {
					b.newest = o.Name
				}
			}
		}
		if len(page) < listPage {
			return b, nil
		}
	}
}

func (b bucketContent) String() string {
	var parts []string
	for class, n := range b.classes {
		parts = append(parts, fmt.Sprintf("%d %s", n, class))
	}
	sort.Strings(parts)
	return fmt.Sprintf("%.1f MiB in %d objects (%s)", float64(b.bytes)/(1<<20), b.objects, strings.Join(parts, ", "))
}

// scrape reads a broker's metrics. A broker that is down is no error of the test.
func (r *rig) scrape(i int) (cluster.Metrics, error) {
	return cluster.FetchMetrics(r.c.HTTP(i) + "/metrics")
}

// settle waits until everything is released and, but for what dies in an idle cluster
// every few seconds, deleted.
func (r *rig) settle() {
	r.t.Helper()
	const (
		patience = 3 * time.Minute
		idleDead = 60 // checkpoints and archives of a grace and two recovery bases
	)
	began := time.Now()
	for {
		var queued, dead float64
		for i := range r.c.Brokers {
			m, err := r.scrape(i)
			if err != nil {
				r.t.Fatalf("broker %d: %v", i, err)
			}
			queued, dead = max(queued, m.Sum("zonewise_queued_releases")), max(dead, m.Sum("zonewise_dead_objects"))
		}
		if queued == 0 && dead <= idleDead {
			r.say("settled after %v: nothing is queued, %.0f objects are dead", time.Since(began).Round(time.Second), dead)
			return
		}
		if time.Since(began) > patience {
			r.t.Errorf("%v after the load ended %.0f releases are queued and %.0f objects are dead: garbage is not collected; held: %s", patience, queued, dead, r.describeHeld())
			return
		}
		pause(r.t, time.Second)
	}
}

// describeHeld says why each broker deletes nothing.
func (r *rig) describeHeld() string {
	var all []string
	for i := range r.c.Brokers {
		m, err := r.scrape(i)
		if err != nil {
			all = append(all, fmt.Sprintf("broker %d: %v", i, err))
			continue
		}
		for key, v := range m {
			if v > 0 && (strings.HasPrefix(key, "zonewise_garbage_held") || strings.HasPrefix(key, "zonewise_job_") || strings.HasPrefix(key, "zonewise_garbage_failed")) {
				all = append(all, fmt.Sprintf("broker %d: %s %.0f", i, key, v))
			}
		}
	}
	sort.Strings(all)
	return strings.Join(all, "; ")
}

// verifyDeep runs `zonewise verify --deep`: nothing may be missing, damaged or orphaned.
func (r *rig) verifyDeep() {
	r.t.Helper()
	content, err := r.listBucket(r.t.Context())
	if err != nil {
		r.t.Error(err)
	}
	began := time.Now()
	out, stderr, err := r.c.Run("verify", "--deep", "--json", "--fail-on", "orphans", "--etcd", r.c.EtcdURLs(), "--bucket", r.c.Bucket())
	r.saveFile("verify.json", out)
	if err != nil {
		r.t.Errorf("zonewise verify --deep: %v\n%.6000s\n%.2000s", err, out, stderr)
		return
	}
	r.say("verify --deep is clean after %v: %v", time.Since(began).Round(100*time.Millisecond), content)
}

// checkLogs fails the test for alarms, panics and bugs that a broker has logged.
func (r *rig) checkLogs() {
	r.t.Helper()
	for _, p := range r.c.Brokers {
		f, err := os.Open(p.Log)
		if err != nil {
			r.t.Error(err)
			continue
		}
		found := 0
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			line := lines.Text()
			if strings.Contains(line, "ALARM") || strings.Contains(line, "BUG:") || strings.HasPrefix(line, "panic:") {
				if found++; found <= 5 {
					r.t.Errorf("%s logged: %.500s", p.Name, line)
				}
			}
		}
		if err := errors.Join(lines.Err(), f.Close()); err != nil {
			r.t.Error(err)
		}
	}
}

// outFolder is where results are kept: SOAK_OUT, or data/soak of the repository.
func (r *rig) outFolder() string {
	r.t.Helper()
	folder := os.Getenv("SOAK_OUT")
	if folder == "" || !strings.HasPrefix(folder, "/") {
		root, err := cluster.Root()
		if err != nil {
			r.t.Fatal(err)
		}
		if folder == "" {
			folder = "data/soak"
		}
		folder = root + "/" + folder
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		r.t.Fatal(err)
	}
	return folder
}

// saveFile keeps a result of this test.
func (r *rig) saveFile(name, text string) (path string) {
	r.t.Helper()
	path = fmt.Sprintf("%s/%s-%s", r.outFolder(), r.t.Name(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		r.t.Error(err)
	}
	return path
}
