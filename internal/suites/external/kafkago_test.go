//go:build external

package external

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/zonewise/zonewise/internal/testenv/devserver"
)

const kafkaGoVersion = "v0.4.51"

// segmentio/kafka-go's tests speak the lowest versions in the wild. They dial
// localhost:9092, so that is where zonewise must be; the ones that need SASL
// are named in docs/compatibility.md.
func TestKafkaGo(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:9092")
	if err != nil {
		t.Fatalf("kafka-go's tests dial localhost:9092, which is taken: %v", err)
	}
	ln.Close()
	on := served(devserver.StartAt(t, 9092))
	s := goSuite{module: "github.com/segmentio/kafka-go", version: kafkaGoVersion, pkg: "github.com/segmentio/kafka-go",
		env: []string{"KAFKA_SKIP_NETTEST=1", "KAFKA_VERSION=3.7.0"}, limit: 15 * time.Minute}
	v := goVerdicts(s.run(t))
	var rest []string
	for _, f := range v.failed {
		if strings.Contains(f, "SASL") || strings.Contains(f, "9093") {
			v.skipped = append(v.skipped, f+" (security of Kafka listeners comes with an issue of its own)")
			continue
		}
		rest = append(rest, f)
	}
	v.failed = rest
	publish(t, "kafka-go", "segmentio/kafka-go "+kafkaGoVersion, on, v)
	judge(t, v, 60)
}
