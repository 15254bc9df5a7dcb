package broker

import (
	"context"
	"fmt"
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

func (a *alteration) fail(code int16, format string, args ...any) {
	a.code, a.text = code, fmt.Sprintf(format, args...)
}

// alter checks all alterations and commits the good ones in one entry.
func (s *Server) alter(ctx context.Context, all []alteration, validateOnly bool) {
	barred := s.barrier(ctx)
	table := s.brokerConfigs()
	var cmds []metadata.Command
	var at []int
	for i := range all {
		a := &all[i]
		for j := range all {
			if j != i && all[j].kind == a.kind && all[j].name == a.name {
				a.fail(errInvalidRequest, "the request names the resource twice")
			}
		}
		if barred != nil {
			a.fail(errTimedOut, "%v", barred)
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
		all[i].code, all[i].text = commandError(out, err, k)
	}
}

// plan turns an alteration into a command.
func (s *Server) plan(a *alteration, brokers []configKey) {
	var table []configKey
	var now map[string]string
	s.cfg.Replica.View(func(st *metadata.State) {
		switch a.kind {
		case kmsg.ConfigResourceTypeTopic:
			t, ok := st.TopicNamed(a.name)
			if !ok {
				a.code = errUnknownTopic
				return
			}
			table, now = topicConfigs(), t.Configs
			a.cmd = metadata.SetConfigs{Resource: metadata.ResourceTopic, Name: t.ID.String()}
		case kmsg.ConfigResourceTypeBroker:
			table, now = brokers, st.Configs(metadata.ResourceBroker, a.name)
			a.cmd = metadata.SetConfigs{Resource: metadata.ResourceBroker, Name: a.name}
		case kmsg.ConfigResourceTypeGroupConfig:
			table, now = groupConfigs(), st.Configs(metadata.ResourceGroup, a.name)
			a.cmd = metadata.SetConfigs{Resource: metadata.ResourceGroup, Name: a.name}
		default:
			a.fail(errInvalidRequest, "configs of resource type %d cannot be altered", a.kind)
		}
	})
	if a.code == errNone && a.kind == kmsg.ConfigResourceTypeBroker && a.name != "" && !s.isBroker(a.name) {
		a.fail(errInvalidRequest, "no such broker: %s", a.name)
	}
	if a.code == errNone && a.kind == kmsg.ConfigResourceTypeGroupConfig && a.name == "" {
		a.fail(errInvalidRequest, "group name is empty")
	}
	if a.code != errNone {
		return
	}
	a.apply(table, now)
}

// apply works the operations out on what is set now.
func (a *alteration) apply(table []configKey, now map[string]string) {
	a.cmd.Set = map[string]string{}
	seen := map[string]bool{}
	for _, op := range a.ops {
		k, ok := findConfig(table, op.name)
		switch {
		case !ok:
			a.fail(errInvalidConfig, "Unknown config name: %s", op.name)
		case seen[op.name]:
			a.fail(errInvalidRequest, "config %s is named twice", op.name)
		case k.readOnly:
			a.fail(errInvalidRequest, "config %s cannot be changed at run time", op.name)
		}
		if a.code != errNone {
			return
		}
		seen[op.name] = true
		if a.one(&k, op, now); a.code != errNone {
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
}

func (a *alteration) one(k *configKey, op configOp, now map[string]string) {
	if op.op == kmsg.IncrementalAlterConfigOpDelete {
		a.cmd.Delete = append(a.cmd.Delete, k.name)
		return
	}
	if op.value == nil {
		a.fail(errInvalidConfig, "null value for config %s", k.name)
		return
	}
	value := *op.value
	if op.op != kmsg.IncrementalAlterConfigOpSet {
		if k.kind != kList {
			a.fail(errInvalidConfig, "config %s is not a list", k.name)
			return
		}
		old, ok := now[k.name]
		if !ok {
			old = k.fallback
		}
		switch op.op {
		case kmsg.IncrementalAlterConfigOpAppend:
			value = appendList(old, value)
		case kmsg.IncrementalAlterConfigOpSubtract:
			value = subtractList(old, value)
		default:
			a.fail(errInvalidRequest, "unknown operation %d", op.op)
			return
		}
	}
	if text := k.check(value); text != "" {
		a.fail(errInvalidConfig, "%s", text)
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
