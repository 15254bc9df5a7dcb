package broker

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// alteration is what a request wants of one resource, and what becomes of it.
type alteration struct {
	kind kmsg.ConfigResourceType
	name string
	ops  []configOp
	// replace: what is not in ops goes back to its default (AlterConfigs).
	replace bool

	code int16
	text string
	cmd  metadata.SetConfigs
}

type configOp struct {
	name  string
	op    kmsg.IncrementalAlterConfigOp
	value *string
}

// resourceRef tells resources apart.
type resourceRef struct {
	kind kmsg.ConfigResourceType
	name string
}

func (a *alteration) ref() resourceRef { return resourceRef{a.kind, a.name} }

func (a *alteration) fail(code int16, format string, args ...any) {
	a.code, a.text = code, fmt.Sprintf(format, args...)
}

// alter checks all alterations and commits the good ones in one entry.
func (s *Server) alter(ctx context.Context, r *request, all []alteration, validateOnly bool) {
	barred := s.barrier(ctx)
	table := s.brokerConfigs()
	var cmds []metadata.Command
	var at []int
	times := make(map[resourceRef]int, len(all))
	for i := range all {
		times[all[i].ref()]++
	}
	for i := range all {
		if ctx.Err() != nil {
			return
		}
		a := &all[i]
		if times[a.ref()] > 1 {
			a.fail(errInvalidRequest, "the request names the resource twice")
		}
		if barred != nil {
			a.fail(errTimedOut, "%v", barred)
		}
		if a.code == errNone && a.kind == kmsg.ConfigResourceTypeBrokerLogger && !a.replace {
			s.alterLogger(a, validateOnly)
			continue
		}
		if a.code == errNone {
			s.plan(a, table)
		}
		if a.code == errNone && (len(a.cmd.Set) > 0 || len(a.cmd.Delete) > 0) {
			cmds, at = append(cmds, a.cmd), append(at, i)
		}
	}
	if validateOnly || len(cmds) == 0 {
		return
	}
	out, err := s.submit(ctx, cmds)
	for k, i := range at {
		all[i].code, all[i].text = r.commandError(out, err, k)
	}
}

// plan turns an alteration into a command.
func (s *Server) plan(a *alteration, brokers []configKey) {
	var table []configKey
	var now map[string]string
	missing := false
	s.cfg.Replica.View(func(st *metadata.State) {
		switch a.kind {
		case kmsg.ConfigResourceTypeTopic:
			t, ok := st.TopicNamed(a.name)
			missing = !ok
			table, now = topicConfigs(), t.Configs
			a.cmd = metadata.SetConfigs{Resource: metadata.ResourceTopic, Name: t.ID.String()}
		case kmsg.ConfigResourceTypeBroker:
			table, now = brokers, st.Configs(metadata.ResourceBroker, a.name)
			a.cmd = metadata.SetConfigs{Resource: metadata.ResourceBroker, Name: a.name}
		case kmsg.ConfigResourceTypeGroupConfig:
			table, now = groupConfigs(s.cfg.GroupSettings), st.Configs(metadata.ResourceGroup, a.name)
			a.cmd = metadata.SetConfigs{Resource: metadata.ResourceGroup, Name: a.name}
		case kmsg.ConfigResourceTypeClientMetrics:
			table, now = clientMetricsConfigs(), st.Configs(metadata.ResourceMetrics, a.name)
			a.cmd = metadata.SetConfigs{Resource: metadata.ResourceMetrics, Name: a.name}
		default:
			a.fail(errInvalidRequest, "configs of resource type %d cannot be altered", a.kind)
		}
	})
	if a.code == errNone {
		s.resourceProblem(a)
	}
	if a.code == errNone {
		a.apply(table, now)
	}
	if a.code == errNone && missing { // values are judged first, as in Kafka
		a.fail(errUnknownTopic, "topic %s does not exist", a.name)
	}
}

// resourceProblem judges a resource's name.
func (s *Server) resourceProblem(a *alteration) {
	switch {
	case a.kind == kmsg.ConfigResourceTypeBroker:
		if a.name != "" && !s.isBroker(a.name) {
			a.fail(errInvalidRequest, "no such broker: %s", a.name)
		}
	case a.name == "":
		a.fail(errInvalidRequest, "the resource has no name")
	case a.kind == kmsg.ConfigResourceTypeTopic && !validTopicName(a.name):
		a.fail(errInvalidTopic, "topic name is not valid")
	}
}

// apply works the operations out on what is set now.
func (a *alteration) apply(table []configKey, now map[string]string) {
	a.cmd.Set = map[string]string{}
	seen := map[string]bool{}
	for _, op := range a.ops {
		switch {
		case seen[op.name]:
			a.fail(errInvalidRequest, "config %s is named twice", op.name)
			return
		case op.value == nil && op.op != kmsg.IncrementalAlterConfigOpDelete:
			a.fail(errInvalidRequest, "null value for config %s", op.name)
			return
		}
		seen[op.name] = true
	}
	for _, op := range a.ops {
		k, ok := findConfig(table, op.name)
		switch {
		case !ok && op.op == kmsg.IncrementalAlterConfigOpDelete:
			a.cmd.Delete = append(a.cmd.Delete, op.name) // nothing to take away, says Kafka
		case !ok && a.kind == kmsg.ConfigResourceTypeClientMetrics:
			a.fail(errInvalidRequest, "Unknown config name: %s", op.name)
		case !ok && a.kind == kmsg.ConfigResourceTypeBroker:
			if unknown, code, text := keptBrokerConfig(op.name); code != errNone {
				a.fail(code, "%s", text)
			} else {
				a.one(&unknown, op, now)
			}
		case !ok:
			a.fail(errInvalidConfig, "Unknown config name: %s", op.name)
		case k.readOnly:
			a.fail(errInvalidRequest, "%s", notAtRunTime(op.name))
		default:
			a.one(&k, op, now)
		}
		if a.code != errNone {
			return
		}
	}
	if a.replace {
		for name := range now {
			if !seen[name] {
				a.cmd.Delete = append(a.cmd.Delete, name)
			}
		}
	}
	slices.Sort(a.cmd.Delete)
	if a.kind == kmsg.ConfigResourceTypeTopic {
		after := maps.Clone(now)
		if after == nil {
			after = map[string]string{}
		}
		for _, name := range a.cmd.Delete {
			delete(after, name)
		}
		maps.Copy(after, a.cmd.Set)
		if text := topicConflict(after); text != "" {
			a.fail(errInvalidConfig, "%s", text)
		}
	}
}

func (a *alteration) one(k *configKey, op configOp, now map[string]string) {
	value := ""
	if op.value != nil {
		value = *op.value
	}
	old, ok := now[k.name]
	if !ok {
		old = k.fallback
	}
	list := k.kind == kList
	switch {
	case op.op == kmsg.IncrementalAlterConfigOpDelete:
		a.cmd.Delete = append(a.cmd.Delete, k.name)
		return
	case op.op == kmsg.IncrementalAlterConfigOpSet:
	case op.op == kmsg.IncrementalAlterConfigOpAppend && list:
		value = appendList(old, value)
	case op.op == kmsg.IncrementalAlterConfigOpSubtract && list:
		value = subtractList(old, value)
	case op.op == kmsg.IncrementalAlterConfigOpAppend || op.op == kmsg.IncrementalAlterConfigOpSubtract:
		a.fail(errInvalidConfig, "config %s is not a list", k.name)
		return
	default:
		a.fail(errInvalidRequest, "unknown operation %d", op.op)
		return
	}
	value, text := k.check(value)
	if text != "" {
		code := errInvalidConfig
		if a.kind == kmsg.ConfigResourceTypeBroker || a.kind == kmsg.ConfigResourceTypeClientMetrics && k.kind == kInt {
			code = errInvalidRequest // Kafka's, for these (KAFKA-13609)
		}
		a.fail(code, "%s", text)
		return
	}
	a.cmd.Set[k.name] = value
}

func appendList(old, more string) string {
	out := splitList(old)
	for _, v := range splitList(more) {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return strings.Join(out, ",")
}

func subtractList(old, less string) string {
	gone := splitList(less)
	return strings.Join(slices.DeleteFunc(splitList(old), func(v string) bool { return slices.Contains(gone, v) }), ",")
}
