package broker

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// configAlteration is a request's alteration of one resource, and its result.
type configAlteration struct {
	kind kmsg.ConfigResourceType
	name string
	ops  []configOp
	// replace: configs that are not in ops return to their default (AlterConfigs).
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

// resourceRef identifies a resource.
type resourceRef struct {
	kind kmsg.ConfigResourceType
	name string
}

func (a *configAlteration) ref() resourceRef { return resourceRef{a.kind, a.name} }

func (a *configAlteration) fail(code int16, format string, args ...any) {
	a.code, a.text = code, fmt.Sprintf(format, args...)
}

// alterResources checks all alterations and commits the valid ones in one
// entry.
func (s *Server) alterResources(ctx context.Context, r *request, all []configAlteration, validateOnly bool) {
	barred := s.barrier(ctx)
	var tables configTables
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
			a.fail(kerr.InvalidRequest.Code, "Each resource must appear at most once.")
		}
		if barred != nil {
			a.fail(kerr.RequestTimedOut.Code, "%v", barred)
		}
		if a.code == noError && a.kind == kmsg.ConfigResourceTypeBrokerLogger && !a.replace {
			s.alterLogger(a, validateOnly)
			continue
		}
		if a.code == noError {
			s.planAlteration(a, &tables)
		}
		if a.code == noError && (len(a.cmd.Set) > 0 || len(a.cmd.Delete) > 0) {
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

// alterationTarget is the current state of an alteration's resource.
type alterationTarget struct {
	table   []configKey
	current map[string]string // its configs
	broker  brokerSettings    // of a broker
}

// configTables are the configs of this broker and of groups, made once for all
// alterations of a request.
type configTables struct{ brokers, groups []configKey }

// planAlteration makes an alteration's command.
func (s *Server) planAlteration(a *configAlteration, own *configTables) {
	var on alterationTarget
	missing := false
	if own.brokers == nil && (a.kind == kmsg.ConfigResourceTypeBroker || a.kind == kmsg.ConfigResourceTypeGroupConfig) {
		own.brokers = s.brokerConfigs()
	}
	s.cfg.Replica.View(func(st *metadata.State) {
		switch a.kind {
		case kmsg.ConfigResourceTypeTopic:
			t, ok := st.TopicNamed(a.name)
			missing = !ok
			on.table, on.current = topicConfigs(), t.Configs
			a.cmd = metadata.SetConfigs{Resource: metadata.ResourceTopic, Name: t.ID.String()}
		case kmsg.ConfigResourceTypeBroker:
			on.table, on.current, on.broker = own.brokers, st.Configs(metadata.ResourceBroker, a.name), readSettings(st, a.name, own.brokers)
			a.cmd = metadata.SetConfigs{Resource: metadata.ResourceBroker, Name: a.name}
		case kmsg.ConfigResourceTypeGroupConfig:
			if own.groups == nil {
				b := readSettings(st, s.brokerResourceName(), own.brokers)
				own.groups = groupConfigs(&b)
			}
			on.table, on.current = own.groups, st.Configs(metadata.ResourceGroup, a.name)
			a.cmd = metadata.SetConfigs{Resource: metadata.ResourceGroup, Name: a.name}
		case kmsg.ConfigResourceTypeClientMetrics:
			on.table, on.current = clientMetricsConfigs(), st.Configs(metadata.ResourceMetrics, a.name)
			a.cmd = metadata.SetConfigs{Resource: metadata.ResourceMetrics, Name: a.name}
		default:
			a.fail(kerr.InvalidRequest.Code, "Unknown resource type %d", a.kind)
		}
	})
	if a.code == noError {
		s.checkResourceName(a)
	}
	if a.code == noError {
		a.apply(&on)
	}
	if a.code == noError && missing { // values are checked first, as in Kafka
		a.fail(kerr.UnknownTopicOrPartition.Code, "topic %s does not exist", a.name)
	}
}

// checkResourceName checks a resource's name.
func (s *Server) checkResourceName(a *configAlteration) {
	switch {
	case a.kind == kmsg.ConfigResourceTypeBroker:
		if a.name != "" && !s.isBroker(a.name) {
			a.fail(kerr.InvalidRequest.Code, "%s", s.unknownBrokerMessage(a.name))
		}
	case a.name == "":
		a.fail(kerr.InvalidRequest.Code, "the resource has no name")
	case a.kind == kmsg.ConfigResourceTypeTopic && !isValidTopicName(a.name):
		a.fail(kerr.InvalidTopicException.Code, "topic name is not valid")
	}
}

// apply applies the operations to the current configs.
func (a *configAlteration) apply(on *alterationTarget) {
	a.cmd.Set = map[string]string{}
	seen := map[string]bool{}
	for _, op := range a.ops {
		switch {
		case seen[op.name]:
			a.fail(kerr.InvalidRequest.Code, "Error due to duplicate config keys: %s", op.name)
			return
		case op.value == nil && op.op != kmsg.IncrementalAlterConfigOpDelete:
			a.fail(kerr.InvalidRequest.Code, "Null value not supported for : %s", op.name)
			return
		}
		seen[op.name] = true
	}
	for _, op := range a.ops {
		k, ok := findConfig(on.table, op.name)
		switch {
		case op.op == kmsg.IncrementalAlterConfigOpDelete:
			a.cmd.Delete = append(a.cmd.Delete, op.name) // even if unknown or read-only: Kafka does not check what it deletes
		case ok:
			a.setConfig(k, op, on.current)
		default:
			a.setUnknownConfig(op, on.current)
		}
		if a.code != noError {
			return
		}
	}
	if a.replace {
		for name := range on.current {
			if !seen[name] {
				a.cmd.Delete = append(a.cmd.Delete, name)
			}
		}
	}
	slices.Sort(a.cmd.Delete)
	a.checkConflicts(on)
}

// checkConflicts checks the resulting configs of a resource together.
func (a *configAlteration) checkConflicts(on *alterationTarget) {
	after := make(map[string]string, len(on.current)+len(a.cmd.Set))
	maps.Copy(after, on.current)
	for _, name := range a.cmd.Delete {
		delete(after, name)
	}
	maps.Copy(after, a.cmd.Set)
	switch a.kind {
	case kmsg.ConfigResourceTypeTopic:
		if text := checkTopicConflict(after); text != "" {
			a.fail(kerr.InvalidConfig.Code, "%s", text)
		}
	case kmsg.ConfigResourceTypeBroker:
		then := on.broker
		if a.name == "" {
			then.all = after
		} else {
			then.own = after
		}
		changed := append(slices.Sorted(maps.Keys(a.cmd.Set)), a.cmd.Delete...)
		if text := checkBrokerConflict(&on.broker, &then, changed); text != "" {
			a.fail(kerr.InvalidRequest.Code, "%s", text)
		}
	}
}
