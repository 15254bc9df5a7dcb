//go:build integration

package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/zonewise/zonewise/internal/node"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/test/testenv/cluster"
)

// A rolling upgrade under load, as docs/operations.md describes it: forwards to a
// version with one more feature level, back, forwards again, and then the raise,
// after which there is no way back.
func TestRollingUpgradeGoesForwardsAndBackUntilTheLevelIsRaised(t *testing.T) {
	next, err := cluster.NextLevelProgram(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	u := &upgradeRun{t: t, c: cluster.Start(t, cluster.Options{}), next: next}
	createTopic(t, u.c, "upgraded", 6, nil)
	load := startLoad(t, u.c, loadOptions{topic: "upgraded", partitions: 6, perFamily: 3, bytesPerSec: 1e6, recordBytes: 1024, allZones: true})
	time.Sleep(2 * time.Second)

	began := time.Now()
	u.replace(0, next)
	u.checkNotYet(0, 2)
	u.awaitCheckpoint(1) // of a new broker and two old ones
	for i := 1; i < cluster.Zones; i++ {
		u.replace(i, next)
	}
	u.checkNewCommand(false)
	for i := range cluster.Zones {
		u.replace(i, u.c.Program)
	}
	for i := range cluster.Zones {
		u.replace(i, next)
	}
	u.checkNewCommand(false)
	u.raise()
	u.checkNewCommand(true)
	u.checkRefused(2, regexp.MustCompile(`\+nextlevel\): |checkpoint`)) // mostly by the log: the newest checkpoint is older than the raise
	u.awaitCheckpoint(2)
	u.checkRefused(1, regexp.MustCompile(`checkpoint`))
	u.checkOldDumpRefused()
	for i := range cluster.Zones { // all start from that checkpoint
		u.replace(i, next)
	}
	u.checkNewCommand(true)
	time.Sleep(time.Second)
	ended := time.Now()
	load.stopProducers(t)
	load.checkPauses(t, "upgrade", []window{{what: "brokers of two versions replaced one by one", from: began, to: ended}})
	verifyTopic(t, u.c, "upgraded", load)
	u.checkNoAlarm()
}

// upgradeRun is a cluster whose brokers' programs are replaced.
type upgradeRun struct {
	t      *testing.T
	c      *cluster.Cluster
	next   string // the program with one more level
	probes int    // counted so far
}

// replace ends a broker as an operator would and starts another program.
func (u *upgradeRun) replace(i int, program string) {
	u.t.Helper()
	began := time.Now()
	if u.c.Brokers[i].Running() {
		if _, err := u.c.Brokers[i].Terminate(); err != nil {
			u.t.Errorf("broker %d ended with %v on SIGTERM", i, err)
		}
	}
	u.c.Brokers[i].UseProgram(program)
	u.c.Brokers[i].Start()
	u.c.Ready(u.c.Brokers[i])
	printMeasured(u.t, "broker %d replaced in %v", i, time.Since(began).Round(time.Millisecond))
}

func (u *upgradeRun) features(i int) (f node.Features) {
	u.t.Helper()
	out, stderr, err := u.c.Run("features", "show", "--format", "json", "--server", u.c.HTTP(i))
	if err == nil {
		err = json.Unmarshal([]byte(out), &f)
	}
	if err != nil {
		u.t.Fatalf("features show: %v: %s", err, stderr)
	}
	return f
}

// checkNotYet checks that nothing raises the level while a broker does not
// understand the next one.
func (u *upgradeRun) checkNotYet(upgraded, missing int) {
	u.t.Helper()
	f := u.features(upgraded)
	if f.Level != 1 || f.UpgradeTo != 1 || len(f.Brokers) != cluster.Zones || len(f.Next) != 1 || len(f.Next[0].Missing) != 2 {
		u.t.Errorf("features %+v", f)
	}
	if out, stderr, err := u.c.Run("features", "upgrade", "--yes", "--server", u.c.HTTP(upgraded)); err != nil || !strings.Contains(out, "upgrade their programs first") {
		u.t.Errorf("upgrade: %v: %s%s", err, out, stderr)
	}
	for _, i := range []int{upgraded, missing} {
		status, body := u.post(i, node.FeaturesPath, `{"level": 2}`)
		if status != http.StatusConflict || !strings.Contains(body, "understands levels up to 1") {
			u.t.Errorf("raise at broker %d: %d %s", i, status, body)
		}
	}
	if status, body := u.post(upgraded, "/test/probe", ""); status != http.StatusConflict || !strings.Contains(body, "needs feature level 2, the entry has level 1") {
		u.t.Errorf("new command: %d %s", status, body)
	}
}

// checkNewCommand sends the command that only the new level has to each broker,
// and compares what the brokers' states have of it.
func (u *upgradeRun) checkNewCommand(works bool) {
	u.t.Helper()
	for i := range cluster.Zones {
		status, body := u.post(i, "/test/probe", "")
		if works {
			u.probes++
			if status != http.StatusOK || strings.TrimSpace(body) != fmt.Sprint(u.probes) {
				u.t.Errorf("new command at broker %d: %d %s, want %d", i, status, body, u.probes)
			}
		} else if status != http.StatusConflict || !strings.Contains(body, "needs feature level 2") {
			u.t.Errorf("new command at broker %d before the raise: %d %s", i, status, body)
		}
	}
	for i := range cluster.Zones {
		if got := strings.TrimSpace(string(u.c.Get(i, "/test/probe"))); got != fmt.Sprint(u.probes) {
			u.t.Errorf("broker %d has counted %s probes, want %d", i, got, u.probes)
		}
	}
}

func (u *upgradeRun) post(i int, path, body string) (status int, answer string) {
	u.t.Helper()
	r, err := http.Post(u.c.HTTP(i)+path, "application/json", strings.NewReader(body))
	if err != nil {
		u.t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		u.t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

// raise raises the level by the command, which first refuses to do so unasked.
func (u *upgradeRun) raise() {
	u.t.Helper()
	var exit *exec.ExitError
	if _, stderr, err := u.c.Run("features", "upgrade", "--server", u.c.HTTP(0)); !errors.As(err, &exit) || exit.ExitCode() != 2 {
		u.t.Errorf("upgrade without a terminal and without --yes: %v: %s", err, stderr)
	}
	out, stderr, err := u.c.RunProgram(u.next, "features", "upgrade", "--yes", "--server", u.c.HTTP(0))
	if err != nil || !strings.Contains(stderr, "Rolling back ends here") || !strings.Contains(out, "feature level 2") {
		u.t.Fatalf("upgrade: %v: %s%s", err, out, stderr)
	}
	for i := range cluster.Zones {
		if f := u.features(i); f.Level != metadata.FeatureLevel(2) || f.UpgradeTo != 2 {
			u.t.Errorf("broker %d after the raise: %+v", i, f)
		}
	}
}

// checkRefused starts the old program in a broker's place: it ends by itself and
// says where it met the new level, and what to do. The new one follows.
func (u *upgradeRun) checkRefused(i int, where *regexp.Regexp) {
	u.t.Helper()
	p := u.c.Brokers[i]
	if _, err := p.Terminate(); err != nil {
		u.t.Errorf("broker %d ended with %v on SIGTERM", i, err)
	}
	p.UseProgram(u.c.Program)
	p.Start()
	var exit *exec.ExitError
	if err := p.Await(20 * time.Second); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		u.t.Errorf("the old program of broker %d ended with %v", i, err)
	}
	said := p.Tail(4000)
	if !where.MatchString(said) {
		u.t.Errorf("the old program of broker %d does not say where it met the level (%s):\n%s", i, where, said)
	}
	for _, want := range []string{"this broker of version ", "it is level 2", "understands levels 1 to 1", "start a later version"} {
		if !strings.Contains(said, want) {
			u.t.Errorf("the old program of broker %d does not say %q:\n%s", i, want, said)
		}
	}
	u.replace(i, u.next)
}

var checkpointKey = regexp.MustCompile(`from checkpoint (\S+),`)

// newestCheckpoint is its key, and what `zonewise dump checkpoint` prints of it.
func (u *upgradeRun) newestCheckpoint() (key, text string) {
	u.t.Helper()
	out, stderr, err := u.c.RunProgram(u.next, "dump", "state", "--bucket", u.c.Bucket())
	m := checkpointKey.FindStringSubmatch(out)
	if m == nil {
		return "", fmt.Sprintf("no checkpoint: %v: %s%s", err, out, stderr) // before the first
	}
	text, stderr, err = u.c.RunProgram(u.next, "dump", "checkpoint", m[1], "--bucket", u.c.Bucket())
	if err != nil {
		u.t.Fatalf("dump checkpoint %s: %v: %s", m[1], err, stderr)
	}
	return m[1], text
}

// awaitCheckpoint waits for another checkpoint, of a level. Its hash is of all
// brokers: two agree on it, and the others compare theirs with it, with an ALARM
// where it differs.
func (u *upgradeRun) awaitCheckpoint(level int) {
	u.t.Helper()
	const compareTime = 3 * time.Second // a broker looks for a new checkpoint every 2 s
	before, _ := u.newestCheckpoint()
	for deadline := time.Now().Add(90 * time.Second); ; time.Sleep(time.Second) {
		key, text := u.newestCheckpoint()
		if key != before && strings.Contains(text, fmt.Sprintf("level %d,", level)) {
			time.Sleep(compareTime)
			return
		}
		if time.Now().After(deadline) {
			u.t.Fatalf("no checkpoint of level %d after %q: %s", level, before, text)
		}
	}
}

// checkOldDumpRefused: tools of the old version refuse the bucket, and take
// nothing older instead.
func (u *upgradeRun) checkOldDumpRefused() {
	u.t.Helper()
	if out, stderr, err := u.c.Run("dump", "state", "--bucket", u.c.Bucket()); err == nil || !strings.Contains(stderr, "it is level 2") {
		u.t.Errorf("dump state of the old program: %v: %s%s", err, out, stderr)
	}
}

// checkNoAlarm: no entry was refused and no two states differed.
func (u *upgradeRun) checkNoAlarm() {
	u.t.Helper()
	for _, p := range u.c.Brokers {
		text, err := os.ReadFile(p.Log)
		if err != nil {
			u.t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, "ALARM") {
				u.t.Errorf("%s: %s", p.Name, line)
			}
		}
	}
}
