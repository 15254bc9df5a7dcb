//go:build performance

package performance

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/zonewise/zonewise/internal/testenv/cluster"
)

// What the Go runtime's pace costs and saves: processor time and peak memory of
// three brokers that are written to flat out and read from, at several GOGC.
func TestCollectPercent(t *testing.T) {
	where := machine(t)
	percents := []string{"100", "50", "25"}
	got := map[string][]measured{}
	for round := range 3 {
		for i := range percents {
			percent := percents[(i+round)%len(percents)]
			t.Run(fmt.Sprint(round, percent), func(t *testing.T) {
				c := cluster.Start(t, cluster.Options{Env: map[string]string{"GOGC": percent}})
				var bootstrap []string
				for z := range cluster.Zones {
					bootstrap = append(bootstrap, c.ZoneBootstrap(z)...)
				}
				p := &peer{name: "GOGC=" + percent, bootstrap: bootstrap, replicas: -1, brokers: pids(c.Brokers)}
				topic := p.create(t, "flat", middle)
				p.bench(t, c.Program, "produce", 10*time.Second, "--topic", topic, "--create=false") // fills the caches
				m := produceFor(t, p, c.Program, topic, 12*time.Second)
				t.Logf("MEASURED %s: %+v", p.name, m)
				got[percent] = append(got[percent], m)
			})
		}
	}
	var b strings.Builder
	b.WriteString("| GOGC | MB/s | CPU seconds a GiB, brokers | peak memory of three brokers, MiB |\n|---|---|---|---|\n")
	for _, percent := range percents {
		all := got[percent]
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", percent, spread(of(all, mbps), 1), spread(of(all, servers), 2), spread(of(all, func(m measured) float64 { return m.memory }), 0))
	}
	publish(t, "collect percent", where+"\n\n"+b.String())
}
