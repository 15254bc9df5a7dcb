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
	table := s.brokerConfigs()
	for i := range q.Resources {
		res := &q.Resources[i]
		rr := kmsg.NewDescribeConfigsResponseResource()
		rr.ResourceType, rr.ResourceName = res.ResourceType, res.ResourceName
		values, code, text := s.configsOf(res, s.addressed(table, res, r.from.Zone))
		if barred != nil {
			values, code, text = nil, errTimedOut, barred.Error()
		}
		rr.ErrorCode, rr.ErrorMessage = code, &text // never null, as in Kafka
		for _, v := range values {
			if len(res.ConfigNames) == 0 || slices.Contains(res.ConfigNames, v.key.name) {
				rr.Configs = append(rr.Configs, describedConfig(&v, q))
			}
		}
		resp.Resources = append(resp.Resources, rr)
	}
	return resp
}

func (s *Server) configsOf(res *kmsg.DescribeConfigsRequestResource, table []configKey) (values []configValue, code int16, text string) {
	name := res.ResourceName
	switch res.ResourceType {
	case kmsg.ConfigResourceTypeTopic:
		if !validTopicName(name) {
			return nil, errInvalidTopic, "topic name is not valid"
		}
		code = errUnknownTopic
		s.cfg.Replica.View(func(st *metadata.State) {
			if t, ok := st.TopicNamed(name); ok {
				values, code = topicValues(st, t.Configs), errNone
			}
		})
		return values, code, ""
	case kmsg.ConfigResourceTypeBroker:
		if name != "" && !s.isBroker(name) {
			return nil, errInvalidRequest, "no such broker: " + name
		}
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
