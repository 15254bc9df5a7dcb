package broker

import (
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/router"
)

// counters are the broker's metrics.
type counters struct {
	badFrames          prometheus.Counter // requests that ended their connection
	handlerPanics      prometheus.Counter // handlers that panicked
	connectionsRefused prometheus.Counter // connections over the limit
	connectionsCut     prometheus.Counter // connections whose client does not read
	refusedBatches     prometheus.Counter // batches that broke a rule
	topicsCreated      prometheus.Counter // on first use
	topicsRefused      prometheus.Counter // on first use, over the rate or a limit
	sessionsFull       prometheus.Counter // fetches that got no session

	requests, limitRefusals           *prometheus.CounterVec // by API
	clientConnections, clientSoftware *prometheus.CounterVec

	softwareSeen atomic.Int32 // client software versions counted
}

func newCounters(s *Server) *counters {
	r := s.cfg.Metrics
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "zonewise_kafka_" + name, Help: help})
		r.MustRegister(c)
		return c
	}
	vector := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "zonewise_" + name, Help: help}, labels)
		r.MustRegister(v)
		return v
	}
	gauge := func(name, help string, f func() float64) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "zonewise_kafka_" + name, Help: help}, f))
	}
	gauge("connections", "Connections of Kafka clients.", func() float64 { return float64(s.connectionCount()) })
	gauge("frame_bytes", "Memory of request frames that are not answered yet.", func() float64 { return float64(s.frames.used() + usedBytes(s.bulkFrames)) })
	gauge("request_bytes", "Memory of decoded requests under way.", func() float64 { return float64(s.requests.used()) })
	gauge("poll_bytes", "Memory of fetches that wait and of fetch sessions.", func() float64 { return float64(s.polls.used()) })
	gauge("answer_bytes", "Memory of answers that are not written yet.", func() float64 { return float64(s.responses.used()) })
	gauge("fetch_sessions", "Fetch sessions (KIP-227).", func() float64 { return float64(s.sessionSlots.Load()) })
	return &counters{
		badFrames:          counter("bad_frames_total", "Requests that could not be read and ended their connection."),
		handlerPanics:      counter("faults_total", "Requests whose handler failed inside: bugs."),
		connectionsRefused: counter("connections_turned_away_total", "Connections over the limit of a broker."),
		connectionsCut:     counter("connections_cut_total", "Connections closed because the client does not read or send while others wait."),
		refusedBatches:     counter("refused_batches_total", "Batches refused for what is in them."),
		topicsRefused:      counter("topics_auto_create_refused_total", "Topics not made on first use, over a client's rate or a limit."),
		topicsCreated:      counter("topics_auto_created_total", "Topics made on first use."),
		sessionsFull:       counter("fetch_sessions_full_total", "Fetches that got no session because there were too many."),
		requests:           vector("kafka_requests_total", "Requests, by Kafka API.", "api"),
		limitRefusals:      vector("kafka_limit_refused_total", "Requests that a limit of the cluster refused, by Kafka API.", "api"),
		clientConnections:  vector("clients_total", "Connections, by what placed their client in a zone and whether it is this broker's.", "source", "alignment"),
		clientSoftware:     vector("kafka_client_software_total", "Connections, by what their client says it is (KIP-511).", "name", "version"),
	}
}

// apiName is an API's name in metrics; its number if it has no name.
func apiName(key int16) string {
	if name := kmsg.NameForKey(key); name != "Unknown" && name != "" {
		return name
	}
	return strconv.Itoa(int(key))
}

// countLimitRefused counts a request that a limit of the cluster refused.
func (c *counters) countLimitRefused(key int16) { c.limitRefusals.WithLabelValues(apiName(key)).Inc() }

// requestCounter returns the counter of an API's requests.
func (c *counters) requestCounter(key int16) prometheus.Counter {
	return c.requests.WithLabelValues(apiName(key))
}

// countClient counts a connection by the kind of evidence for its zone.
func (c *counters) countClient(e router.Evidence, zone metadata.ZoneID) {
	c.clientConnections.WithLabelValues(e.Source.String(), router.AlignmentOf(e, zone).String()).Inc()
}

// maxSoftwareVersions bounds the client software names and versions that are
// counted separately.
const maxSoftwareVersions = 200

// countSoftware counts a connection by its client software (KIP-511). Both
// strings were checked to be letters, digits, dots and dashes.
func (c *counters) countSoftware(name, version string) {
	if len(name)+len(version) > 100 || c.softwareSeen.Add(1) > maxSoftwareVersions*100 {
		name, version = "other", "other"
	}
	c.clientSoftware.WithLabelValues(strings.ToLower(name), version).Inc()
}
