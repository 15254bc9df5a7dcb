package broker

import (
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/broker/groups"
)

// groupConfigs are the configs of a group resource, in Kafka's default ranges,
// or in wider ones where the broker's own setting is outside of them.
func groupConfigs(c groups.Config) []configKey {
	c = c.WithDefaults()
	beat, session := c.ConsumerHeartbeatInterval.Milliseconds(), c.ConsumerSessionTimeout.Milliseconds()
	const share, streams = "Of share groups, which this version does not serve.", "Of streams groups, which this version does not serve."
	return []configKey{
		{name: "consumer.heartbeat.interval.ms", kind: kInt, fallback: strconv.FormatInt(beat, 10), min: min(5000, beat), max: max(15_000, beat),
			doc: "How often members of a group of the new consumer protocol report."},
		{name: "consumer.session.timeout.ms", kind: kInt, fallback: strconv.FormatInt(session, 10), min: min(45_000, session), max: max(60_000, session),
			doc: "After what silence a member of a group of the new consumer protocol is taken for gone."},
		{name: "share.auto.offset.reset", kind: kString, fallback: "latest", valid: shareReset, use: useInert, doc: share},
		{name: "share.heartbeat.interval.ms", kind: kInt, fallback: "5000", min: 5000, max: 15_000, use: useInert, doc: share},
		{name: "share.isolation.level", kind: kString, fallback: "read_uncommitted", oneOf: []string{"read_committed", "read_uncommitted"}, use: useInert, doc: share},
		{name: "share.record.lock.duration.ms", kind: kInt, fallback: "30000", min: 15_000, max: 60_000, use: useInert, doc: share},
		{name: "share.session.timeout.ms", kind: kInt, fallback: "45000", min: 45_000, max: 60_000, use: useInert, doc: share},
		{name: "streams.heartbeat.interval.ms", kind: kInt, fallback: "5000", min: 5000, max: 15_000, use: useInert, doc: streams},
		{name: "streams.num.standby.replicas", kind: kInt, fallback: "0", max: 2, use: useInert, doc: streams},
		{name: "streams.session.timeout.ms", kind: kInt, fallback: "45000", min: 45_000, max: 60_000, use: useInert, doc: streams},
	}
}

// shareReset checks where a share group begins to read.
func shareReset(v string) string {
	if v == "latest" || v == "earliest" || strings.HasPrefix(v, "by_duration:P") {
		return ""
	}
	return "it must be latest, earliest, or by_duration: with a duration"
}

// clientMetricsConfigs are the configs of a client metrics subscription
// (KIP-714). They are kept for tools; no client is asked for metrics.
func clientMetricsConfigs() []configKey {
	return []configKey{
		{name: "interval.ms", kind: kInt, fallback: "300000", min: 100, max: 3_600_000, use: useInert, doc: "How often clients would send their metrics."},
		{name: "match", kind: kList, valid: metricsMatch, use: useInert, doc: "Which clients the subscription is about."},
		{name: "metrics", kind: kList, use: useInert, doc: "Prefixes of the metrics that clients would send."},
	}
}

// metricsMatch checks a list of selector=pattern.
func metricsMatch(v string) string {
	for _, p := range splitList(v) {
		name, pattern, ok := strings.Cut(p, "=")
		switch strings.TrimSpace(name) {
		case "client_instance_id", "client_id", "client_software_name", "client_software_version", "client_source_address", "client_source_port":
		default:
			return fmt.Sprintf("%s is no selector of clients", name)
		}
		if _, err := regexp.Compile(strings.TrimSpace(pattern)); !ok || err != nil {
			return fmt.Sprintf("%s is no pattern", p)
		}
	}
	return ""
}

// rootLogger is the one logger of a broker.
const rootLogger = "root"

// loggers are the log levels of a broker, as a resource: one, and read only
// where nothing can change it.
func (s *Server) loggers() []configValue {
	level := "INFO"
	v := configValue{key: configKey{name: rootLogger, kind: kString, readOnly: s.cfg.LogLevel == nil, doc: "The least level that this broker logs."}}
	if s.cfg.LogLevel != nil {
		level = levelName(s.cfg.LogLevel.Level())
	}
	v.offer(rootLogger, level, kmsg.ConfigSourceDynamicBrokerLoggerConfig)
	return []configValue{v}
}

// alterLogger changes this broker's log level, until it ends (KIP-412).
func (s *Server) alterLogger(a *alteration, validateOnly bool) {
	if a.name != fmt.Sprint(int32(s.cfg.Self())) {
		a.fail(errInvalidRequest, "broker %s: loggers are changed at the broker itself", a.name)
		return
	}
	seen := map[string]bool{}
	for _, op := range a.ops {
		level, known := slog.LevelInfo, false
		if op.value != nil {
			level, known = levelNamed(*op.value)
		}
		switch {
		case seen[op.name]:
			a.fail(errInvalidRequest, "logger %s is named twice", op.name)
		case op.op != kmsg.IncrementalAlterConfigOpSet && op.op != kmsg.IncrementalAlterConfigOpDelete:
			a.fail(errInvalidRequest, "operation %d has no meaning for a logger", op.op)
		case op.name != rootLogger:
			a.fail(errInvalidConfig, "there is no logger %s, only %s", op.name, rootLogger)
		case op.op == kmsg.IncrementalAlterConfigOpDelete:
			a.fail(errInvalidRequest, "the level of %s cannot be taken away", rootLogger)
		case op.value == nil:
			a.fail(errInvalidRequest, "null level")
		case !known:
			a.fail(errInvalidConfig, "the level must be of TRACE, DEBUG, INFO, WARN, ERROR, FATAL")
		case s.cfg.LogLevel == nil:
			a.fail(errInvalidConfig, "the level of this broker is fixed")
		}
		if a.code != errNone {
			return
		}
		seen[op.name] = true
		if !validateOnly {
			s.cfg.LogLevel.Set(level)
		}
	}
}

// levelNamed maps Kafka's levels to slog's.
func levelNamed(name string) (slog.Level, bool) {
	switch name {
	case "TRACE", "DEBUG":
		return slog.LevelDebug, true
	case "INFO":
		return slog.LevelInfo, true
	case "WARN":
		return slog.LevelWarn, true
	case "ERROR", "FATAL":
		return slog.LevelError, true
	}
	return 0, false
}

func levelName(l slog.Level) string {
	switch {
	case l < slog.LevelInfo:
		return "DEBUG"
	case l < slog.LevelWarn:
		return "INFO"
	case l < slog.LevelError:
		return "WARN"
	}
	return "ERROR"
}
