package broker

// IncrementalAlterConfigs, key 44, versions 0-1.
//
// Behaviour: SET, DELETE, APPEND and SUBTRACT on topics, brokers (one, or ""
// for all), groups and client metrics subscriptions. Each resource succeeds or
// fails by itself; all that succeed are one entry. A broker's log level is
// changed in memory, on that broker. docs/topic-configs.md has the effect of
// each topic config.
// Gaps: an unknown config is INVALID_CONFIG for brokers too, where Kafka keeps
// it for plug-ins.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func (s *Server) handleIncrementalAlterConfigs(ctx context.Context, r *request, q *kmsg.IncrementalAlterConfigsRequest) *kmsg.IncrementalAlterConfigsResponse {
	resp := kmsg.NewPtrIncrementalAlterConfigsResponse()
	all := make([]configAlteration, len(q.Resources))
	for i, res := range q.Resources {
		all[i] = configAlteration{kind: res.ResourceType, name: res.ResourceName}
		for _, c := range res.Configs {
			all[i].ops = append(all[i].ops, configOp{c.Name, c.Op, c.Value})
		}
	}
	s.alterResources(ctx, r, all, q.ValidateOnly)
	for i := range all {
		rr := kmsg.NewIncrementalAlterConfigsResponseResource()
		rr.ResourceType, rr.ResourceName = all[i].kind, all[i].name
		rr.ErrorCode, rr.ErrorMessage = all[i].code, nullableText(all[i].text)
		resp.Resources = append(resp.Resources, rr)
	}
	return resp
}
