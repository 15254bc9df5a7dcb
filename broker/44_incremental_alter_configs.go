package broker

// IncrementalAlterConfigs, key 44, versions 0-1.
//
// Behaviour: SET, DELETE, APPEND and SUBTRACT on topics, brokers (one, or ""
// for all) and groups; each resource stands or falls by itself, all good ones
// are one entry. Retention settings are stored and reported, not enforced yet.
// Gaps: broker loggers and CLIENT_METRICS cannot be altered.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func (s *Server) incrementalAlterConfigs(ctx context.Context, _ *request, q *kmsg.IncrementalAlterConfigsRequest) *kmsg.IncrementalAlterConfigsResponse {
	resp := kmsg.NewPtrIncrementalAlterConfigsResponse()
	all := make([]alteration, len(q.Resources))
	for i, res := range q.Resources {
		all[i] = alteration{kind: res.ResourceType, name: res.ResourceName}
		for _, c := range res.Configs {
			all[i].ops = append(all[i].ops, configOp{c.Name, c.Op, c.Value})
		}
	}
	s.alter(ctx, all, q.ValidateOnly)
	for i := range all {
		rr := kmsg.NewIncrementalAlterConfigsResponseResource()
		rr.ResourceType, rr.ResourceName = all[i].kind, all[i].name
		rr.ErrorCode, rr.ErrorMessage = all[i].code, textOf(all[i].text)
		resp.Resources = append(resp.Resources, rr)
	}
	return resp
}
