//go:build external

package external

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/zonewise/zonewise/test/listappend"
	"github.com/zonewise/zonewise/test/testenv/cluster"
)

// Transactions that append to lists and poll them, from three zones, show none of the
// anomalies that Kafka's guarantees exclude: first without faults, then while brokers
// are killed and paused, an etcd member is lost and S3 is down or late.
// test/listappend checks the history.
func TestLists(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	d := envDuration()
	var v suiteResult
	var said []string
	phase := func(name string, faults bool, d time.Duration) {
		text, err := runLists(t, c, name, d, faults)
		t.Logf("%s: %s", name, text)
		said = append(said, name+": "+text)
		if err != nil {
			v.failed = append(v.failed, fmt.Sprintf("%s: %v", name, err))
			return
		}
		v.passed++
	}
	phase("control", false, max(d/3, 10*time.Second))
	count, err := strconv.Atoi(envOr("SUITE_COUNT", "1"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range count {
		phase(fmt.Sprintf("faults-%d", i+1), true, d)
	}
	writeReport(t, "lists", "Transactional list-append (test/listappend). "+strings.Join(said, "; ")+"; all of it", target{name: "zonewise"}, v)
	checkResult(t, v, 1+count)
}

// runLists runs the clients for a time, and checks their history.
func runLists(t *testing.T, c *cluster.Cluster, name string, d time.Duration, faults bool) (string, error) {
	l := &listRun{c: c, topic: "lists-" + name, began: time.Now(), errs: map[string]int{}}
	if err := l.makeTopic(); err != nil {
		return "", err
	}
	var wait, readers sync.WaitGroup
	stop, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	reading, endReading := context.WithCancel(context.Background())
	defer endReading()
	for i := range listProducers {
		p := &listProducer{run: l, process: i, r: rand.New(rand.NewPCG(uint64(l.began.UnixNano()), uint64(i)))}
		wait.Go(func() { p.runTransactions(stop) })
	}
	for z := range cluster.Zones {
		readers.Go(func() { l.runReader(reading, listProducers+z, z) })
	}
	var done map[string]int
	if faults {
		done = injectFaults(stop, c)
	}
	wait.Wait()
	err := l.readWhole(listProducers + cluster.Zones)
	endReading()
	readers.Wait()
	h := listappend.History{Transactions: l.history, ReadWhole: err == nil}
	r := listappend.Check(h)
	if err == nil && r.Forbidden() > 0 {
		err = fmt.Errorf("%d anomalies: %v", r.Forbidden(), forbiddenExamples(r))
	}
	if err != nil {
		if body, err := json.Marshal(h); err == nil {
			keepOutput(t, body)
		}
	}
	for _, text := range slices.Sorted(maps.Keys(l.errs)) {
		t.Logf("%s: clients met %d times: %s", name, l.errs[text], text)
	}
	return l.summaryText(d, done, r), err
}

// forbiddenExamples returns some examples of forbidden anomalies.
func forbiddenExamples(r listappend.Result) (out []listappend.Anomaly) {
	for _, a := range r.Examples {
		if !listappend.Allowed(a.Kind) && len(out) < 10 {
			out = append(out, a)
		}
	}
	return out
}

func (l *listRun) makeTopic() error {
	k, err := kgo.NewClient(l.seedBrokers(0))
	if err != nil {
		return err
	}
	defer k.Close()
	_, err = kadm.NewClient(k).CreateTopic(context.Background(), listPartitions, -1, nil, l.topic)
	return err
}

func (l *listRun) summaryText(d time.Duration, faults map[string]int, r listappend.Result) string {
	var all, polls int
	by := map[listappend.Status]int{}
	for _, t := range l.history {
		if t.Process >= listProducers {
			polls++
			continue
		}
		all++
		by[t.Status]++
	}
	text := fmt.Sprintf("%.0f s, %d transactions (%d committed, %d aborted, %d of unknown end), %d polls of readers, %d records seen, faults ",
		d.Seconds(), all, by[listappend.Committed], by[listappend.Aborted], by[listappend.Info], polls, r.Records)
	if len(faults) == 0 {
		text += "none"
	}
	for i, f := range slices.Sorted(maps.Keys(faults)) {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%d x %s", faults[f], f)
	}
	return text + fmt.Sprintf(", %d anomalies (allowed by Kafka: %d G0, %d G1c with write-write edges)",
		r.Forbidden(), r.Counts[listappend.CycleG0], r.Counts[listappend.CycleG1cWW])
}

// injectFaults injects one fault after another until stop ends, and repairs all of
// them.
func injectFaults(stop context.Context, c *cluster.Cluster) map[string]int {
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 5))
	done := map[string]int{}
	faults := []struct {
		name string
		do   func()
	}{
		{"kill -9 of a broker", func() {
			b := c.Brokers[r.IntN(len(c.Brokers))]
			b.Kill()
			time.Sleep(time.Second)
			b.Start()
			c.Ready(b)
		}},
		{"broker paused", func() {
			b := c.Brokers[r.IntN(len(c.Brokers))]
			b.Pause()
			time.Sleep(time.Duration(2+r.IntN(14)) * time.Second)
			b.Resume()
			time.Sleep(2 * time.Second)
			if !b.Running() { // it may have noticed that its session is gone, and left
				b.Start()
			}
			c.Ready(b)
		}},
		{"etcd member lost", func() {
			e := c.Etcd[r.IntN(len(c.Etcd))]
			e.Kill()
			time.Sleep(5 * time.Second)
			e.Start()
		}},
		{"S3 stopped", func() {
			c.S3.Stop()
			time.Sleep(5 * time.Second)
			c.S3.Restart()
		}},
		{"S3 late", func() {
			c.S3.Pause()
			time.Sleep(5 * time.Second)
			c.S3.Resume()
		}},
	}
	for i := r.IntN(len(faults)); ; i++ {
		select {
		case <-stop.Done():
			return done
		case <-time.After(time.Duration(2+r.IntN(3)) * time.Second):
		}
		f := faults[i%len(faults)]
		f.do()
		done[f.name]++
	}
}
