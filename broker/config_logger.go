package broker

import (
	"fmt"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/broker/configs"
)

// rootLogger is the only logger of a broker.
const rootLogger = "root"

// listLoggers describes a broker's log levels: one, which is read-only on other
// brokers or if it is fixed.
func (s *Server) listLoggers() []configValue {
	level := "INFO"
	row := configRow{meaning: "The minimum level that this broker logs."}
	if s.cfg.LogLevel != nil {
		level = formatLogLevel(s.cfg.LogLevel.Level())
	} else {
		row.use = useFixed
	}
	k := &configKey{Key: configs.Key{Name: rootLogger, Type: kmsg.ConfigTypeString}, configRow: row}
	source := kmsg.ConfigSourceDynamicBrokerLoggerConfig
	return []configValue{{key: k, value: &level, source: source, synonyms: []synonymValue{{rootLogger, &level, source}}}}
}

// alterLogger changes this broker's log level until it restarts (KIP-412).
func (s *Server) alterLogger(a *configAlteration, validateOnly bool) {
	if a.name != fmt.Sprint(int32(s.cfg.Self())) {
		a.fail(kerr.InvalidRequest.Code, "broker %s: loggers can only be changed on that broker", a.name)
		return
	}
	seen, to := map[string]bool{}, s.cfg.LogLevel
	var wanted slog.Level
	for _, op := range a.ops {
		level, known := slog.LevelInfo, false
		if op.value != nil {
			level, known = parseLogLevel(*op.value)
		}
		switch {
		case seen[op.name]:
			a.fail(kerr.InvalidRequest.Code, "logger %s is named twice", op.name)
		case op.op != kmsg.IncrementalAlterConfigOpSet && op.op != kmsg.IncrementalAlterConfigOpDelete:
			a.fail(kerr.InvalidRequest.Code, "operation %d is not supported for loggers", op.op)
		case op.name != rootLogger:
			a.fail(kerr.InvalidConfig.Code, "there is no logger %s, only %s", op.name, rootLogger)
		case op.op == kmsg.IncrementalAlterConfigOpDelete:
			a.fail(kerr.InvalidRequest.Code, "the level of %s cannot be deleted", rootLogger)
		case op.value == nil:
			a.fail(kerr.InvalidRequest.Code, "null level")
		case !known:
			a.fail(kerr.InvalidConfig.Code, "the level must be one of TRACE, DEBUG, INFO, WARN, ERROR, FATAL")
		case s.cfg.LogLevel == nil:
			a.fail(kerr.InvalidConfig.Code, "the log level of this broker cannot be changed")
		}
		if a.code != noError {
			return
		}
		seen[op.name], wanted = true, level
	}
	if len(a.ops) > 0 && !validateOnly { // all operations are valid
		to.Set(wanted)
	}
}

// parseLogLevel maps Kafka's levels to slog's.
func parseLogLevel(name string) (slog.Level, bool) {
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

func formatLogLevel(l slog.Level) string {
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
