package broker

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxAppendedValue is the maximum size in bytes of a value after APPEND: older
// versions of DescribeConfigs cannot encode more.
const maxAppendedValue = 1<<15 - 1

// setConfig sets a config.
func (a *configAlteration) setConfig(k *configKey, op configOp, now map[string]string) {
	value := ""
	if op.value != nil {
		value = *op.value
	}
	old, ok := now[k.Name]
	if v := k.currentValue(); !ok && v != nil {
		old = *v
	}
	list := k.Type == kmsg.ConfigTypeList && a.kind != kmsg.ConfigResourceTypeGroupConfig // Kafka's controller has no types for group configs
	switch {
	case op.op == kmsg.IncrementalAlterConfigOpSet:
	case op.op == kmsg.IncrementalAlterConfigOpAppend && list:
		value = appendList(old, value)
	case op.op == kmsg.IncrementalAlterConfigOpSubtract && list:
		value = subtractList(old, value)
	case op.op == kmsg.IncrementalAlterConfigOpAppend || op.op == kmsg.IncrementalAlterConfigOpSubtract:
		if a.kind == kmsg.ConfigResourceTypeBroker {
			a.fail(kerr.InvalidConfig.Code, "Config value %s is not allowed for config key: %s", strings.ToLower(op.op.String()), k.Name)
		} else {
			a.fail(kerr.InvalidConfig.Code, "Can't %s to key %s because its type is not LIST.", op.op, k.Name)
		}
		return
	default:
		a.fail(kerr.InvalidRequest.Code, "Unknown operations type %d", op.op)
		return
	}
	if len(value) > maxAppendedValue {
		a.fail(kerr.InvalidConfig.Code, "The value of %s would have %d bytes, at most %d", k.Name, len(value), maxAppendedValue)
		return
	}
	value, code, text := a.checkValue(k, value)
	if text != "" {
		a.fail(code, "%s", text)
		return
	}
	a.cmd.Set[k.Name] = value
}

// checkValue returns a value as it is kept, or what is wrong with it.
func (a *configAlteration) checkValue(k *configKey, value string) (canonical string, code int16, problem string) {
	if a.kind != kmsg.ConfigResourceTypeBroker {
		code = kerr.InvalidConfig.Code
		if a.kind == kmsg.ConfigResourceTypeClientMetrics && k.Type == kmsg.ConfigTypeInt {
			code = kerr.InvalidRequest.Code
		}
		canonical, problem = k.checkValue(value)
		return canonical, code, problem
	}
	// Kafka's code for all broker errors (KAFKA-13609). Whether the config can be set
	// at all is checked first, whether for all brokers last.
	code = kerr.InvalidRequest.Code
	if problem = k.checkAlterable(false); problem != "" {
		return "", code, problem
	}
	if canonical, problem = k.checkValue(value); problem == "" {
		problem = k.checkAlterable(a.name == "")
	}
	return canonical, code, problem
}

func appendList(old, more string) string {
	out := splitList(old)
	there := newStringSet(out)
	for _, v := range splitList(more) {
		if !there[v] {
			there[v] = true
			out = append(out, v)
		}
	}
	return strings.Join(out, ",")
}

func subtractList(old, less string) string {
	gone := newStringSet(splitList(less))
	return strings.Join(slices.DeleteFunc(splitList(old), func(v string) bool { return gone[v] }), ",")
}

func newStringSet(list []string) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, v := range list {
		set[v] = true
	}
	return set
}

// setUnknownConfig sets a config that Kafka does not define.
func (a *configAlteration) setUnknownConfig(op configOp, now map[string]string) {
	switch a.kind {
	case kmsg.ConfigResourceTypeTopic:
		a.fail(kerr.InvalidConfig.Code, "Unknown topic config name: %s", op.name)
	case kmsg.ConfigResourceTypeGroupConfig:
		a.fail(kerr.InvalidConfig.Code, "Unknown group config name: %s", op.name)
	case kmsg.ConfigResourceTypeClientMetrics:
		a.fail(kerr.InvalidRequest.Code, "Unknown client metrics configuration: %s", op.name)
	default:
		k, problem := newUnknownConfig(op.name)
		switch {
		case problem != "":
			a.fail(kerr.InvalidConfig.Code, "%s", problem)
		case op.op != kmsg.IncrementalAlterConfigOpSet:
			a.fail(kerr.InvalidConfig.Code, "Unknown config name: %s", op.name)
		default:
			a.setConfig(k, op, now)
		}
	}
}
