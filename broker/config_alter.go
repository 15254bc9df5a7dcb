package broker

import (
	"context"
	"fmt"
	"maps"
	"slices"

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
	var tables ownTables
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
			a.fail(errInvalidRequest, "Each resource must appear at most once.")
		}
		if barred != nil {
			a.fail(errTimedOut, "%v", barred)
		}
		if a.code == errNone && a.kind == kmsg.ConfigResourceTypeBrokerLogger && !a.replace {
			s.alterLogger(a, validateOnly)
			continue
		}
		if a.code == errNone {
			s.plan(a, &tables)
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

// subject is what an alteration is about, as it stands.
type subject struct {
	table  []configKey
	now    map[string]string // what is set
	broker brokerSettings    // of a broker
}

// ownTables are the configs of this broker and of groups here, made once for
// all alterations of a request.
type ownTables struct{ brokers, groups []configKey }

// plan turns an alteration into a command.
func (s *Server) plan(a *alteration, own *ownTables) {
	var on subject
	missing := false
	if own.brokers == nil && (a.kind == kmsg.ConfigResourceTypeBroker || a.kind == kmsg.ConfigResourceTypeGroupConfig) {
		own.brokers = s.brokerConfigs()
	}
	s.cfg.Replica.View(func(st *metadata.State) {
		switch a.kind {
		case kmsg.ConfigResourceTypeTopic:
			t, ok := st.TopicNamed(a.name)
			missing = !ok
			on.table, on.now = topicConfigs(), t.Configs
			a.cmd = metadata.SetConfigs{Resource: metadata.ResourceTopic, Name: t.ID.String()}
		case kmsg.ConfigResourceTypeBroker:
			on.table, on.now, on.broker = own.brokers, st.Configs(metadata.ResourceBroker, a.name), settingsOf(st, a.name, own.brokers)
			a.cmd = metadata.SetConfigs{Resource: metadata.ResourceBroker, Name: a.name}
		case kmsg.ConfigResourceTypeGroupConfig:
			if own.groups == nil {
				b := settingsOf(st, s.ownName(), own.brokers)
				own.groups = groupConfigs(&b)
			}
			on.table, on.now = own.groups, st.Configs(metadata.ResourceGroup, a.name)
			a.cmd = metadata.SetConfigs{Resource: metadata.ResourceGroup, Name: a.name}
		case kmsg.ConfigResourceTypeClientMetrics:
			on.table, on.now = clientMetricsConfigs(), st.Configs(metadata.ResourceMetrics, a.name)
			a.cmd = metadata.SetConfigs{Resource: metadata.ResourceMetrics, Name: a.name}
		default:
			a.fail(errInvalidRequest, "Unknown resource type %d", a.kind)
		}
	})
	if a.code == errNone {
		s.resourceProblem(a)
	}
	if a.code == errNone {
		a.apply(&on)
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
			a.fail(errInvalidRequest, "%s", s.noBroker(a.name))
		}
	case a.name == "":
		a.fail(errInvalidRequest, "the resource has no name")
	case a.kind == kmsg.ConfigResourceTypeTopic && !validTopicName(a.name):
		a.fail(errInvalidTopic, "topic name is not valid")
	}
}

// apply works the operations out on what is set now.
func (a *alteration) apply(on *subject) {
	a.cmd.Set = map[string]string{}
	seen := map[string]bool{}
	for _, op := range a.ops {
		switch {
		case seen[op.name]:
			a.fail(errInvalidRequest, "Error due to duplicate config keys: %s", op.name)
			return
		case op.value == nil && op.op != kmsg.IncrementalAlterConfigOpDelete:
			a.fail(errInvalidRequest, "Null value not supported for : %s", op.name)
			return
		}
		seen[op.name] = true
	}
	for _, op := range a.ops {
		k, ok := findConfig(on.table, op.name)
		switch {
		case op.op == kmsg.IncrementalAlterConfigOpDelete:
			a.cmd.Delete = append(a.cmd.Delete, op.name) // also what is unknown, or cannot be set: Kafka finds nothing to take away
		case ok:
			a.one(k, op, on.now)
		default:
			a.unknown(op, on.now)
		}
		if a.code != errNone {
			return
		}
	}
	if a.replace {
		for name := range on.now {
			if !seen[name] {
				a.cmd.Delete = append(a.cmd.Delete, name)
			}
		}
	}
	slices.Sort(a.cmd.Delete)
	a.conflict(on)
}

// conflict judges all settings of a resource together, as they will be.
func (a *alteration) conflict(on *subject) {
	after := make(map[string]string, len(on.now)+len(a.cmd.Set))
	maps.Copy(after, on.now)
	for _, name := range a.cmd.Delete {
		delete(after, name)
	}
	maps.Copy(after, a.cmd.Set)
	switch a.kind {
	case kmsg.ConfigResourceTypeTopic:
		if text := topicConflict(after); text != "" {
			a.fail(errInvalidConfig, "%s", text)
		}
	case kmsg.ConfigResourceTypeBroker:
		then := on.broker
		if a.name == "" {
			then.all = after
		} else {
			then.own = after
		}
		changed := append(slices.Sorted(maps.Keys(a.cmd.Set)), a.cmd.Delete...)
		if text := brokerConflict(&on.broker, &then, changed); text != "" {
			a.fail(errInvalidRequest, "%s", text)
		}
	}
}
