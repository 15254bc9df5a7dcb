//go:build performance

package performance

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/zonewise/zonewise/test/testenv/cluster"
)

// Cost of Go's garbage collection at several values of GOGC: CPU time and peak
// memory of three brokers under flat-out load.
func TestCollectPercent(t *testing.T) {
	where := describeMachine(t)
	percents := []string{"100", "50", "25"}
	got := map[string][]measurement{}
	for round := range 3 {
		for i := range percents {
			percent := percents[(i+round)%len(percents)]
			t.Run(fmt.Sprint(round, percent), func(t *testing.T) {
				c := cluster.Start(t, cluster.Options{Env: map[string]string{"GOGC": percent}})
				var bootstrap []string
				for z := range cluster.Zones {
					bootstrap = append(bootstrap, c.ZoneBootstrap(z)...)
				}
				p := &comparedSystem{name: "GOGC=" + percent, bootstrap: bootstrap, replicas: -1, brokers: processIDs(c.Brokers)}
				topic := p.createTopic(t, "flat", middle)
				p.runBench(t, c.Program, "produce", 10*time.Second, "--topic", topic, "--create=false") // fills the caches
				m := produceFor(t, p, c.Program, topic, 12*time.Second)
				t.Logf("MEASURED %s: %+v", p.name, m)
				got[percent] = append(got[percent], m)
			})
		}
	}
	var b strings.Builder
	b.WriteString("| GOGC | MB/s | CPU seconds per GiB, brokers | peak memory of three brokers, MiB |\n|---|---|---|---|\n")
	for _, percent := range percents {
		all := got[percent]
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", percent, formatSpread(figuresOf(all, throughputOf), 1), formatSpread(figuresOf(all, serverCPU), 2), formatSpread(figuresOf(all, func(m measurement) float64 { return m.memory }), 0))
	}
	publishSection(t, "collect percent", where+"\n\n"+b.String())
}
