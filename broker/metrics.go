package broker

import (
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/VictoriaMetrics/metrics"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/router"
)

// counters are the broker's metrics, each listed here once.
type counters struct {
	set *metrics.Set

	badFrames      *metrics.Counter // requests that ended their connection
	faults         *metrics.Counter // handlers that panicked
	turnedAway     *metrics.Counter // connections over the limit
	cut            *metrics.Counter // connections whose client does not read
	refusedBatches *metrics.Counter // batches that broke a rule
	topicsCreated  *metrics.Counter // on first use
	topicsRefused  *metrics.Counter // on first use, over the rate or a limit
	sessionsFull   *metrics.Counter // fetches that got no session

	versions atomic.Int32 // client software seen
}

func newCounters(s *Server) *counters {
	set := s.cfg.Metrics
	c := &counters{set: set,
		badFrames:      set.GetOrCreateCounter("zonewise_kafka_bad_frames_total"),
		faults:         set.GetOrCreateCounter("zonewise_kafka_faults_total"),
		turnedAway:     set.GetOrCreateCounter("zonewise_kafka_connections_turned_away_total"),
		cut:            set.GetOrCreateCounter("zonewise_kafka_connections_cut_total"),
		refusedBatches: set.GetOrCreateCounter("zonewise_kafka_refused_batches_total"),
		topicsRefused:  set.GetOrCreateCounter("zonewise_kafka_topics_auto_create_refused_total"),
		topicsCreated:  set.GetOrCreateCounter("zonewise_kafka_topics_auto_created_total"),
		sessionsFull:   set.GetOrCreateCounter("zonewise_kafka_fetch_sessions_full_total"),
	}
	set.GetOrCreateGauge("zonewise_kafka_connections", func() float64 { return float64(s.connections()) })
	set.GetOrCreateGauge("zonewise_kafka_frame_bytes", func() float64 { return float64(s.frames.used() + s.bulk.used()) })
	set.GetOrCreateGauge("zonewise_kafka_request_bytes", func() float64 { return float64(s.requests.used()) })
	set.GetOrCreateGauge("zonewise_kafka_poll_bytes", func() float64 { return float64(s.polls.used()) })
	set.GetOrCreateGauge("zonewise_kafka_answer_bytes", func() float64 { return float64(s.answers.used()) })
	set.GetOrCreateGauge("zonewise_kafka_fetch_sessions", func() float64 { return float64(s.slots.Load()) })
	return c
}

// limitRefused counts a request that a limit of the cluster refused.
func (c *counters) limitRefused(key int16) {
	c.set.GetOrCreateCounter(fmt.Sprintf(`zonewise_kafka_limit_refused_total{api="%d"}`, key)).Inc()
}

// request returns the counter of an API's requests.
func (c *counters) request(key int16) *metrics.Counter {
	return c.set.GetOrCreateCounter(fmt.Sprintf(`zonewise_kafka_requests_total{api="%d"}`, key))
}

// client counts a connection by the kind of evidence that placed it.
func (c *counters) client(e router.Evidence, zone metadata.ZoneID) {
	c.set.GetOrCreateCounter(fmt.Sprintf(`zonewise_clients_total{source=%q,alignment=%q}`, e.Source, router.AlignmentOf(e, zone))).Inc()
}

// maxSoftware bounds how many names and versions of client software are told
// apart.
const maxSoftware = 200

// software counts a connection by what its client says it is (KIP-511). Both
// texts were checked to be letters, digits, dots and dashes.
func (c *counters) software(name, version string) {
	if len(name)+len(version) > 100 || c.versions.Add(1) > maxSoftware*100 {
		name, version = "other", "other"
	}
	metric := fmt.Sprintf(`zonewise_kafka_client_software_total{name=%q,version=%q}`, strings.ToLower(name), version)
	c.set.GetOrCreateCounter(metric).Inc()
}
