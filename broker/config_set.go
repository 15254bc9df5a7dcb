package broker

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxGrownValue is how long a value may become by appending, in bytes: as much as
// the older versions of DescribeConfigs can tell.
const maxGrownValue = 1<<15 - 1

// one sets a config.
func (a *alteration) one(k *configKey, op configOp, now map[string]string) {
	value := ""
	if op.value != nil {
		value = *op.value
	}
	old, ok := now[k.Name]
	if v := k.current(); !ok && v != nil {
		old = *v
	}
	list := k.Type == kmsg.ConfigTypeList && a.kind != kmsg.ConfigResourceTypeGroupConfig // of which Kafka's controller knows no types
	switch {
	case op.op == kmsg.IncrementalAlterConfigOpSet:
	case op.op == kmsg.IncrementalAlterConfigOpAppend && list:
		value = appendList(old, value)
	case op.op == kmsg.IncrementalAlterConfigOpSubtract && list:
		value = subtractList(old, value)
	case op.op == kmsg.IncrementalAlterConfigOpAppend || op.op == kmsg.IncrementalAlterConfigOpSubtract:
		if a.kind == kmsg.ConfigResourceTypeBroker {
			a.fail(errInvalidConfig, "Config value %s is not allowed for config key: %s", strings.ToLower(op.op.String()), k.Name)
		} else {
			a.fail(errInvalidConfig, "Can't %s to key %s because its type is not LIST.", op.op, k.Name)
		}
		return
	default:
		a.fail(errInvalidRequest, "Unknown operations type %d", op.op)
		return
	}
	if len(value) > maxGrownValue {
		a.fail(errInvalidConfig, "The value of %s would have %d bytes, at most %d", k.Name, len(value), maxGrownValue)
		return
	}
	value, code, text := a.judge(k, value)
	if text != "" {
		a.fail(code, "%s", text)
		return
	}
	a.cmd.Set[k.Name] = value
}

// judge returns a value as it is kept, or what is wrong with it.
func (a *alteration) judge(k *configKey, value string) (canonical string, code int16, problem string) {
	if a.kind != kmsg.ConfigResourceTypeBroker {
		code = errInvalidConfig
		if a.kind == kmsg.ConfigResourceTypeClientMetrics && k.Type == kmsg.ConfigTypeInt {
			code = errInvalidRequest
		}
		canonical, problem = k.check(value)
		return canonical, code, problem
	}
	// Kafka's code for everything about brokers (KAFKA-13609). Whether it can be
	// set at all comes first, whether for all brokers last.
	code = errInvalidRequest
	if problem = k.alterable(false); problem != "" {
		return "", code, problem
	}
	if canonical, problem = k.check(value); problem == "" {
		problem = k.alterable(a.name == "")
	}
	return canonical, code, problem
}

func appendList(old, more string) string {
	out := splitList(old)
	there := setOf(out)
	for _, v := range splitList(more) {
		if !there[v] {
			there[v] = true
			out = append(out, v)
		}
	}
	return strings.Join(out, ",")
}

func subtractList(old, less string) string {
	gone := setOf(splitList(less))
	return strings.Join(slices.DeleteFunc(splitList(old), func(v string) bool { return gone[v] }), ",")
}

func setOf(list []string) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, v := range list {
		set[v] = true
	}
	return set
}

// unknown sets a config that Kafka does not know.
func (a *alteration) unknown(op configOp, now map[string]string) {
	switch a.kind {
	case kmsg.ConfigResourceTypeTopic:
		a.fail(errInvalidConfig, "Unknown topic config name: %s", op.name)
	case kmsg.ConfigResourceTypeGroupConfig:
		a.fail(errInvalidConfig, "Unknown group config name: %s", op.name)
	case kmsg.ConfigResourceTypeClientMetrics:
		a.fail(errInvalidRequest, "Unknown client metrics configuration: %s", op.name)
	default:
		k, problem := unknownConfig(op.name)
		switch {
		case problem != "":
			a.fail(errInvalidConfig, "%s", problem)
		case op.op != kmsg.IncrementalAlterConfigOpSet:
			a.fail(errInvalidConfig, "Unknown config name: %s", op.name)
		default:
			a.one(k, op, now)
		}
	}
}
