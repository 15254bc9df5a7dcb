package broker

// DescribeConfigs, key 32, versions 1-4.
//
// Behaviour: topics, brokers (by id, and "" for what is set for all), the
// logger of the broker that is asked, groups, client metrics subscriptions.
// Every config that Kafka 4.4 defines with its type, source, synonyms and
// documentation, and what it means here; zonewise.* only where set. What was
// set for brokers and nobody knows is named without its value. Behind the
// barrier.

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

func (s *Server) describeConfigs(ctx context.Context, r *request, q *kmsg.DescribeConfigsRequest) *kmsg.DescribeConfigsResponse {
	resp := kmsg.NewPtrDescribeConfigsResponse()
	barred := s.barrier(ctx)
	d := configDescriber{s: s, zone: r.from.Zone}
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
		text = shortened(text)
		rr.ErrorCode, rr.ErrorMessage = code, &text // never null, as in Kafka
		if len(res.ConfigNames) == 0 {
			rr.Configs = make([]kmsg.DescribeConfigsResponseResourceConfig, 0, len(values))
		}
		for _, v := range values {
			if len(res.ConfigNames) == 0 || slices.Contains(res.ConfigNames, v.key.Name) {
				c := describedConfig(&v, q)
				if !r.spend(sizeOfConfig(&c)) {
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
	brokers  []configKey              // made where one is asked for
	told     map[string][]configValue // of brokers, by name
	groups   []configKey
	zone     metadata.ZoneID
	defaults []configValue // of such a topic

	last   kmsg.DescribeConfigsRequestResource // and what was found for it
	values []configValue
	code   int16
	text   string
}

// table is the broker's own.
func (d *configDescriber) table() []configKey {
	if d.brokers == nil {
		d.brokers = d.s.brokerConfigs()
	}
	return d.brokers
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
			own := s.settings(st)
			switch {
			case !ok:
				return
			case len(t.Configs) > 0:
				values = topicValues(&own, t.Configs)
			default:
				if d.defaults == nil {
					d.defaults = topicValues(&own, nil)
				}
				values = d.defaults
			}
			code = errNone
		})
		return values, code, ""
	case kmsg.ConfigResourceTypeBroker:
		if name != "" && !s.isBroker(name) {
			return nil, errInvalidRequest, s.noBroker(name)
		}
		return d.broker(name), errNone, ""
	case kmsg.ConfigResourceTypeBrokerLogger:
		if name != strconv.Itoa(int(s.cfg.Self())) {
			return nil, errInvalidRequest, "loggers are described by the broker itself, not for broker " + name
		}
		return s.loggers(), errNone, ""
	case kmsg.ConfigResourceTypeGroupConfig:
		if name == "" {
			return nil, errInvalidRequest, "Group name must not be empty"
		}
		s.cfg.Replica.View(func(st *metadata.State) {
			b := settingsOf(st, s.ownName(), d.table())
			if d.groups == nil {
				d.groups = groupConfigs(&b)
			}
			values = groupValues(d.groups, &b, st.Configs(metadata.ResourceGroup, name))
		})
		return values, errNone, ""
	case kmsg.ConfigResourceTypeClientMetrics:
		if name == "" {
			return nil, errInvalidRequest, "Client metrics subscription name must not be empty"
		}
		s.cfg.Replica.View(func(st *metadata.State) { values = clientMetricsValues(st.Configs(metadata.ResourceMetrics, name)) })
		return values, errNone, ""
	}
	return nil, errInvalidRequest, "unknown resource type " + strings.ToLower(res.ResourceType.String())
}

// broker reports the configs of a broker, or with "" what is set for all.
func (d *configDescriber) broker(name string) []configValue {
	if id, err := strconv.ParseInt(name, 10, 32); err == nil {
		name = strconv.FormatInt(id, 10) // 01 and +1 are 1, too
	}
	if values, ok := d.told[name]; ok {
		return values
	}
	table := d.s.addressed(d.table(), name, d.zone)
	var values []configValue
	d.s.cfg.Replica.View(func(st *metadata.State) { values = brokerValues(st, name, table) })
	if d.told == nil {
		d.told = map[string][]configValue{}
	}
	d.told[name] = values
	return values
}

// sizeOfConfig is about what a config takes in an answer, in bytes.
func sizeOfConfig(c *kmsg.DescribeConfigsResponseResourceConfig) int {
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

func describedConfig(v *configValue, q *kmsg.DescribeConfigsRequest) kmsg.DescribeConfigsResponseResourceConfig {
	c := kmsg.NewDescribeConfigsResponseResourceConfig()
	c.Name, c.Value, c.Source, c.ConfigType = v.key.Name, v.value, v.source, v.key.Type
	c.ReadOnly = v.key.readOnly()
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
