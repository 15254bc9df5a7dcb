package broker

// DescribeConfigs, key 32, versions 1-4.
//
// Behaviour: topics, brokers (by id, and "" for the cluster-wide defaults), the
// logger of this broker, groups, client metrics subscriptions. Every config
// that Kafka 4.4 defines is listed with its type, source, synonyms and
// documentation, and its meaning in zonewise; zonewise.* only if set. Unknown
// configs that were set for brokers are listed without their value. Reads after
// a barrier.
// Gaps: none known.

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

func (s *Server) handleDescribeConfigs(ctx context.Context, r *request, q *kmsg.DescribeConfigsRequest) *kmsg.DescribeConfigsResponse {
	resp := kmsg.NewPtrDescribeConfigsResponse()
	barred := s.barrier(ctx)
	d := configDescriber{s: s, zone: r.evidence.Zone}
	for i := range q.Resources {
		if ctx.Err() != nil {
			break
		}
		res := &q.Resources[i]
		rr := kmsg.NewDescribeConfigsResponseResource()
		rr.ResourceType, rr.ResourceName = res.ResourceType, res.ResourceName
		values, code, text := d.describeResource(res)
		if barred != nil {
			values, code, text = nil, kerr.RequestTimedOut.Code, barred.Error()
		}
		text = truncateText(text)
		rr.ErrorCode, rr.ErrorMessage = code, &text // never null, as in Kafka
		if len(res.ConfigNames) == 0 {
			rr.Configs = make([]kmsg.DescribeConfigsResponseResourceConfig, 0, len(values))
		}
		for _, v := range values {
			if len(res.ConfigNames) == 0 || slices.Contains(res.ConfigNames, v.key.Name) {
				c := newConfigResponse(&v, q)
				if !r.addResponseBytes(estimateConfigSize(&c)) {
					return resp
				}
				rr.Configs = append(rr.Configs, c)
			}
		}
		resp.Resources = append(resp.Resources, rr)
	}
	return resp
}

// configDescriber looks up the configs of one request's resources. It caches
// what many of them share: topics without configs of their own, and a resource
// that is repeated.
type configDescriber struct {
	s             *Server
	brokerKeys    []configKey              // made on first use
	brokerValues  map[string][]configValue // of brokers, by name
	groupKeys     []configKey
	zone          metadata.ZoneID
	topicDefaults []configValue // of a topic without configs of its own

	lastResource kmsg.DescribeConfigsRequestResource // and its result
	values       []configValue
	code         int16
	text         string
}

// loadBrokerKeys returns the broker's config keys.
func (d *configDescriber) loadBrokerKeys() []configKey {
	if d.brokerKeys == nil {
		d.brokerKeys = d.s.brokerConfigs()
	}
	return d.brokerKeys
}

// describeResource returns the configs of a resource, or an error code.
func (d *configDescriber) describeResource(res *kmsg.DescribeConfigsRequestResource) ([]configValue, int16, string) {
	if d.values == nil || d.lastResource.ResourceType != res.ResourceType || d.lastResource.ResourceName != res.ResourceName {
		d.lastResource = *res
		d.values, d.code, d.text = d.readResource(res)
	}
	return d.values, d.code, d.text
}

func (d *configDescriber) readResource(res *kmsg.DescribeConfigsRequestResource) (values []configValue, code int16, text string) {
	s, name := d.s, res.ResourceName
	switch res.ResourceType {
	case kmsg.ConfigResourceTypeTopic:
		if !isValidTopicName(name) {
			return nil, kerr.InvalidTopicException.Code, "topic name is not valid"
		}
		code = kerr.UnknownTopicOrPartition.Code
		s.cfg.Replica.View(func(st *metadata.State) {
			t, ok := st.TopicNamed(name)
			own := s.readOwnSettings(st)
			switch {
			case !ok:
				return
			case len(t.Configs) > 0:
				values = listTopicValues(&own, t.Configs)
			default:
				if d.topicDefaults == nil {
					d.topicDefaults = listTopicValues(&own, nil)
				}
				values = d.topicDefaults
			}
			code = noError
		})
		return values, code, ""
	case kmsg.ConfigResourceTypeBroker:
		if name != "" && !s.isBroker(name) {
			return nil, kerr.InvalidRequest.Code, s.unknownBrokerMessage(name)
		}
		return d.readBroker(name), noError, ""
	case kmsg.ConfigResourceTypeBrokerLogger:
		if name != strconv.Itoa(int(s.cfg.Self())) {
			return nil, kerr.InvalidRequest.Code, "loggers can only be described by their own broker, not for broker " + name
		}
		return s.listLoggers(), noError, ""
	case kmsg.ConfigResourceTypeGroupConfig:
		if name == "" {
			return nil, kerr.InvalidRequest.Code, "Group name must not be empty"
		}
		s.cfg.Replica.View(func(st *metadata.State) {
			b := readSettings(st, s.brokerResourceName(), d.loadBrokerKeys())
			if d.groupKeys == nil {
				d.groupKeys = groupConfigs(&b)
			}
			values = listGroupValues(d.groupKeys, &b, st.Configs(metadata.ResourceGroup, name))
		})
		return values, noError, ""
	case kmsg.ConfigResourceTypeClientMetrics:
		if name == "" {
			return nil, kerr.InvalidRequest.Code, "Client metrics subscription name must not be empty"
		}
		s.cfg.Replica.View(func(st *metadata.State) { values = listClientMetricsValues(st.Configs(metadata.ResourceMetrics, name)) })
		return values, noError, ""
	}
	return nil, kerr.InvalidRequest.Code, "unknown resource type " + strings.ToLower(res.ResourceType.String())
}

// readBroker describes the configs of a broker or, with "", the cluster-wide
// defaults.
func (d *configDescriber) readBroker(name string) []configValue {
	if id, err := strconv.ParseInt(name, 10, 32); err == nil {
		name = strconv.FormatInt(id, 10) // 01 and +1 are 1
	}
	if values, ok := d.brokerValues[name]; ok {
		return values
	}
	table := d.s.addBrokerAddress(d.loadBrokerKeys(), name, d.zone)
	var values []configValue
	d.s.cfg.Replica.View(func(st *metadata.State) { values = listBrokerValues(st, name, table) })
	if d.brokerValues == nil {
		d.brokerValues = map[string][]configValue{}
	}
	d.brokerValues[name] = values
	return values
}

// estimateConfigSize estimates the bytes of a config in a response.
func estimateConfigSize(c *kmsg.DescribeConfigsResponseResourceConfig) int {
	size := len(c.Name) + textSize(c.Value) + textSize(c.Documentation) + 16
	for i := range c.ConfigSynonyms {
		size += len(c.ConfigSynonyms[i].Name) + textSize(c.ConfigSynonyms[i].Value) + 4
	}
	return size
}

func textSize(text *string) int {
	if text == nil {
		return 0
	}
	return len(*text)
}

func newConfigResponse(v *configValue, q *kmsg.DescribeConfigsRequest) kmsg.DescribeConfigsResponseResourceConfig {
	c := kmsg.NewDescribeConfigsResponseResourceConfig()
	c.Name, c.Value, c.Source, c.ConfigType = v.key.Name, v.value, v.source, v.key.Type
	c.ReadOnly = v.key.isReadOnly()
	if c.IsSensitive = v.key.Sensitive(); c.IsSensitive {
		c.Value = nil
	}
	if q.IncludeDocumentation {
		if text := v.key.documentation(); text != "" {
			c.Documentation = &text
		}
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

func (s *Server) estimateDescribeConfigs(q kmsg.Request) int64 {
	return int64(len(q.(*kmsg.DescribeConfigsRequest).Resources)) * configsResponseBytes
}
