//go:build differential

package differential

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zonewise/zonewise/test/oracle"
	"github.com/zonewise/zonewise/test/testenv/devserver"
	"github.com/zonewise/zonewise/test/testenv/kafkaoracle"
	"github.com/zonewise/zonewise/test/testenv/report"
)

const (
	atOnce          = 4 // scenarios
	defaultDuration = 2 * time.Minute
	shownGenerated  = 10 // differences of generated scenarios that are minimised
)

// suiteRun is the result of a run of the suite.
type suiteRun struct {
	t       *testing.T
	session *oracle.Session
	seed    uint64
	length  time.Duration

	mu                sync.Mutex
	files             int
	filesFailed       []string
	generatedCount    int // generated scenarios
	generatedRequests int // their requests
	unexplained       int
	differing         int       // generated scenarios
	found             []finding // in them, each kind once
	transient         int       // scenarios whose difference did not recur
}

// Every response of zonewise equals Apache Kafka's, except for the allowed differences.
func TestResponsesEqualKafkas(t *testing.T) {
	kafka, zonewise := startKafka(t), startZonewise(t)
	s, err := oracle.NewSession(t.Context(), strconv.FormatInt(time.Now().Unix()%1e6, 36), kafka, zonewise)
	if err != nil {
		t.Fatal(err)
	}
	r := &suiteRun{t: t, session: s, seed: envSeed(t), length: envDuration(t)}
	r.playScenarios()
	r.playGenerated()
	r.writeReport()
}

func envDuration(t *testing.T) time.Duration {
	text := os.Getenv("DURATION")
	if text == "" {
		return defaultDuration
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("DURATION: %v", err)
	}
	return d
}

func envSeed(t *testing.T) uint64 {
	text := os.Getenv("SEED")
	if text == "" {
		return uint64(time.Now().UnixNano())
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("SEED: %v", err)
	}
	return n
}

func (r *suiteRun) playScenarios() {
	root, err := devserver.Repository()
	if err != nil {
		r.t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(root, "test", "oracle", "scenarios", "*.txt"))
	if err != nil || len(files) == 0 {
		r.t.Fatalf("find scenarios: %v", err)
	}
	r.files = len(files)
	r.playFiles(atOnce, slices.DeleteFunc(slices.Clone(files), mustRunAlone))
	r.playFiles(1, slices.DeleteFunc(files, func(path string) bool { return !mustRunAlone(path) }))
}

// mustRunAlone reports whether a scenario changes settings of the whole cluster, so
// that no other can run at the same time.
func mustRunAlone(path string) bool { return strings.HasPrefix(filepath.Base(path), "alone-") }

func (r *suiteRun) playFiles(atOnce int, files []string) {
	at := 0
	r.inParallel(atOnce, func() (*oracle.Scenario, bool) {
		if at == len(files) {
			return nil, false
		}
		at++
		text, err := os.ReadFile(files[at-1])
		if err != nil {
			r.t.Fatal(err)
		}
		sc, err := oracle.Parse(strings.TrimSuffix(filepath.Base(files[at-1]), ".txt"), string(text))
		if err != nil {
			r.t.Fatal(err)
		}
		return sc, true
	}, func(res *oracle.Result) {
		if len(res.Unexplained) > 0 && !r.differsAgain(res) {
			return
		}
		if len(res.Unexplained)+len(res.InvalidSteps) > 0 {
			r.filesFailed = append(r.filesFailed, res.Scenario.Name)
		}
		r.unexplained += len(res.Unexplained)
		for _, d := range res.Unexplained {
			r.t.Errorf("%v", d)
		}
		for _, w := range res.InvalidSteps {
			r.t.Errorf("scenario at fault: %s", w)
		}
	})
}

// inParallel plays the scenarios of next, atOnce at a time; done is called for one at
// a time.
func (r *suiteRun) inParallel(atOnce int, next func() (*oracle.Scenario, bool), done func(*oracle.Result)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for {
		sc, ok := next()
		if !ok {
			break
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			res := r.session.Play(r.t.Context(), sc)
			r.mu.Lock()
			defer r.mu.Unlock()
			done(&res)
		})
	}
	wg.Wait()
}

func (r *suiteRun) playGenerated() {
	r.t.Logf("generated requests: SEED=%d", r.seed)
	g := oracle.NewGenerator(r.seed, r.session.Kafka, r.session.Zonewise)
	ctx, cancel := context.WithTimeout(r.t.Context(), r.length)
	defer cancel()
	r.inParallel(atOnce, func() (*oracle.Scenario, bool) {
		if ctx.Err() != nil {
			return nil, false
		}
		sc, text, err := g.Next()
		if err != nil {
			r.t.Errorf("BUG: generated scenario: %v\n%s", err, text)
			return nil, false
		}
		return sc, true
	}, func(res *oracle.Result) {
		r.generatedCount++
		r.generatedRequests += res.Requests
		if len(res.Unexplained) > 0 && r.differsAgain(res) {
			r.unexplained += len(res.Unexplained)
			r.recordDifference(res)
		}
	})
	for _, f := range r.found {
		r.t.Errorf("%v\nas a scenario file:\n%s", f.first, r.session.Minimise(r.t.Context(), f.scenario, f.first))
	}
}

// differsAgain replays a scenario that differs, and reports whether its first
// difference recurs. If not, it is a race of the clock (two requests in one
// millisecond on one side) or of Kafka's brokers with their controller; it is counted
// and logged.
func (r *suiteRun) differsAgain(res *oracle.Result) bool {
	d := res.Unexplained[0]
	if r.session.Reproduces(r.t.Context(), res.Scenario, d) {
		return true
	}
	r.transient++
	r.t.Logf("not seen again: %v", d)
	return false
}

// finding is the first scenario in which a kind of difference was met.
type finding struct {
	kind     string
	scenario *oracle.Scenario
	first    oracle.Difference
}

// recordDifference records a generated scenario's first difference, each kind once: an
// hour generates more than fits in memory.
func (r *suiteRun) recordDifference(res *oracle.Result) {
	r.differing++
	d := res.Unexplained[0]
	kind := d.API + " " + d.Pattern() + " " + d.Kafka + " " + d.Zonewise
	known := slices.ContainsFunc(r.found, func(f finding) bool { return f.kind == kind })
	if known || len(r.found) == shownGenerated {
		return
	}
	r.t.Logf("differs: %v", d)
	r.found = append(r.found, finding{kind, res.Scenario, d})
}

// writeReport writes the sections of docs/compatibility.md if SUITE_REPORT names it.
func (r *suiteRun) writeReport() {
	c := r.session.Coverage()
	d := &oracle.Document{Kafka: r.session.Kafka, Zonewise: r.session.Zonewise, Allowed: r.session.Allowed, Coverage: c}
	text := r.resultText(c)
	r.t.Log(text)
	path := os.Getenv("SUITE_REPORT")
	if path == "" {
		return
	}
	root, err := devserver.Repository()
	if err != nil {
		r.t.Fatal(err)
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(root, path)
	}
	sections := map[string]string{"apis": d.APIs(), "differences": d.Differences(), "rules": oracle.Rules(), "differential": text}
	if r.length >= time.Hour {
		sections["differential hour"] = text // a shorter run does not replace it
	}
	for section, text := range sections {
		if err := report.Write(path, section, text); err != nil {
			r.t.Error(err)
		}
	}
}

func (r *suiteRun) resultText(c oracle.Coverage) string {
	slices.Sort(r.filesFailed)
	failed := ""
	if len(r.filesFailed) > 0 {
		failed = " Failed: " + strings.Join(r.filesFailed, ", ") + "."
	}
	unused := 0
	for _, n := range c.Used {
		if n == 0 {
			unused++
		}
	}
	return fmt.Sprintf(`Commit %s, %s, Apache Kafka %s.

| | |
|---|---|
| scenario files passed | %d of %d |
| generated | %d scenarios, %d requests in %v, seed %d; %d scenarios differ |
| requests compared in all | %d |
| unexplained differences | %d |
| scenarios whose difference did not come again when they were replayed | %d |
| allowed differences that were not met | %d of %d |
%s`, report.Commit(), time.Now().UTC().Format("2006-01-02"), kafkaoracle.Version, r.files-len(r.filesFailed), r.files,
		r.generatedCount, r.generatedRequests, r.length, r.seed, r.differing, c.Requests, r.unexplained, r.transient, unused, len(c.Used), failed)
}
