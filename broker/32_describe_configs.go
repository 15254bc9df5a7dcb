package broker

// DescribeConfigs, key 32, versions 1-4.
//
// Behaviour: topics, brokers (by id, and "" for what is set for all), the
// logger of the broker that is asked, groups, client metrics subscriptions.
// Every topic config of Kafka 4.1 with its type, source, synonyms and what it
// means here; zonewise.* only where set. What was set for brokers and nobody
// knows is named without its value. Behind the barrier.
// Gaps: of broker configs only what tools read.

import (
	"context"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

func (s *Server) describeConfigs(ctx context.Context, r *request, q *kmsg.DescribeConfigsRequest) *kmsg.DescribeConfigsResponse {
	resp := kmsg.NewPtrDescribeConfigsResponse()
	barred := s.barrier(ctx)
	d := configDescriber{s: s, table: s.brokerConfigs(), zone: r.from.Zone}
	for i := range q.Resources {
		if ctx.Err() != nil {
			break
		}
		res := &q.Resources[i]
		rr := kmsg.NewDescribeConfigsResponseResource()
		rr.ResourceType, rr.ResourceName = res.ResourceType, res.ResourceName
		values, code, text := d.configsOf(res)
		if barred != nil {
			values, code, text = nil, errTimedOut, barred.Error()
		}
		rr.ErrorCode, rr.ErrorMessage = code, &text // never null, as in Kafka
		if len(res.ConfigNames) == 0 {
			rr.Configs = make([]kmsg.DescribeConfigsResponseResourceConfig, 0, len(values))
		}
		for _, v := range values {
			if len(res.ConfigNames) == 0 || slices.Contains(res.ConfigNames, v.key.name) {
				c := describedConfig(&v, q)
				if !r.spend(len(c.Name) + len(c.ConfigSynonyms)*2*len(c.Name) + 16) {
					return resp
				}
				rr.Configs = append(rr.Configs, c)
			}
		}
		resp.Resources = append(resp.Resources, rr)
	}
	return resp
}

// configDescriber looks up the configs of one request's resources. What is the
// same for many of them is made once: topics without configs of their own, and
// a resource that is named again.
type configDescriber struct {
	s        *Server
	table    []configKey // of brokers
	zone     metadata.ZoneID
	defaults []configValue // of such a topic

	last   kmsg.DescribeConfigsRequestResource // and what was found for it
	values []configValue
	code   int16
	text   string
}

// configsOf returns the configs of a resource, or why there are none.
func (d *configDescriber) configsOf(res *kmsg.DescribeConfigsRequestResource) ([]configValue, int16, string) {
	if d.values == nil || d.last.ResourceType != res.ResourceType || d.last.ResourceName != res.ResourceName {
		d.last = *res
		d.values, d.code, d.text = d.find(res)
	}
	return d.values, d.code, d.text
}

func (d *configDescriber) find(res *kmsg.DescribeConfigsRequestResource) (values []configValue, code int16, text string) {
	s, name := d.s, res.ResourceName
	switch res.ResourceType {
	case kmsg.ConfigResourceTypeTopic:
		if !validTopicName(name) {
			return nil, errInvalidTopic, "topic name is not valid"
		}
		code = errUnknownTopic
		s.cfg.Replica.View(func(st *metadata.State) {
			t, ok := st.TopicNamed(name)
			switch {
			case !ok:
				return
			case len(t.Configs) > 0:
				values = topicValues(st, t.Configs)
			default:
				if d.defaults == nil {
					d.defaults = topicValues(st, nil)
				}
				values = d.defaults
			}
			code = errNone
		})
		return values, code, ""
	case kmsg.ConfigResourceTypeBroker:
		if name != "" && !s.isBroker(name) {
			return nil, errInvalidRequest, "no such broker: " + name
		}
		table := s.addressed(d.table, res, d.zone)
		s.cfg.Replica.View(func(st *metadata.State) { values = s.brokerValues(st, name, table) })
		return values, errNone, ""
	case kmsg.ConfigResourceTypeBrokerLogger:
		if name != strconv.Itoa(int(s.cfg.Self())) {
			return nil, errInvalidRequest, "loggers are described by the broker itself, not for broker " + name
		}
		return s.loggers(), errNone, ""
	case kmsg.ConfigResourceTypeGroupConfig:
		return s.storedValues(name, metadata.ResourceGroup, kmsg.ConfigSourceGroupConfig, groupConfigs(s.cfg.GroupSettings))
	case kmsg.ConfigResourceTypeClientMetrics:
		return s.storedValues(name, metadata.ResourceMetrics, kmsg.ConfigSourceClientMetricsConfig, clientMetricsConfigs())
	}
	return nil, errInvalidRequest, "unknown resource type " + strings.ToLower(res.ResourceType.String())
}

// addressed says where clients of the asker's zone find the broker in question,
// as Metadata tells them.
func (s *Server) addressed(table []configKey, res *kmsg.DescribeConfigsRequestResource, zone metadata.ZoneID) []configKey {
	id, err := strconv.ParseInt(res.ResourceName, 10, 32)
	if res.ResourceType != kmsg.ConfigResourceTypeBroker || err != nil {
		return table
	}
	host, port := s.view().v.Endpoint(metadata.BrokerID(id), zone)
	if host == "" {
		return table
	}
	table = slices.Clone(table)
	i := slices.IndexFunc(table, func(k configKey) bool { return k.name == advertisedConfig })
	table[i].fallback, table[i].null = "PLAINTEXT://"+net.JoinHostPort(host, strconv.Itoa(int(port))), false
	return table
}

// storedValues reports a resource that has defaults and what is set, no more.
func (s *Server) storedValues(name string, kind metadata.ResourceKind, source kmsg.ConfigSource, table []configKey) (values []configValue, code int16, text string) {
	if name == "" {
		return nil, errInvalidRequest, "the resource has no name"
	}
	s.cfg.Replica.View(func(st *metadata.State) {
		set := st.Configs(kind, name)
		for _, k := range table {
			v := configValue{key: k}
			if own, ok := set[k.name]; ok {
				v.offer(k.name, own, source) // Kafka names no default beside it
			} else {
				v.orDefault(k.name)
			}
			values = append(values, v)
		}
	})
	return values, errNone, ""
}

func describedConfig(v *configValue, q *kmsg.DescribeConfigsRequest) kmsg.DescribeConfigsResponseResourceConfig {
	c := kmsg.NewDescribeConfigsResponseResourceConfig()
	c.Name, c.Value, c.Source, c.ConfigType = v.key.name, v.value, v.source, v.key.kind
	c.ReadOnly = v.key.readOnly
	if c.IsSensitive = v.key.kind == kUnknown; c.IsSensitive {
		c.Value = nil
	}
	if q.IncludeDocumentation {
		c.Documentation = textOf(v.key.doc)
	}
	if q.IncludeSynonyms {
		for _, y := range v.synonyms {
			d := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
			d.Name, d.Value, d.Source = y.name, y.value, y.source
			if c.IsSensitive {
				d.Value = nil
			}
			c.ConfigSynonyms = append(c.ConfigSynonyms, d)
		}
	}
	return c
}
