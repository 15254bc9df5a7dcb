package broker

// AlterConfigs, key 33, versions 0-2.
//
// Behaviour: replaces all configs of a resource: configs that the request omits
// return to their default. Old Sarama, kafkajs and Terraform use it.
// Gaps: those of IncrementalAlterConfigs.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func (s *Server) handleAlterConfigs(ctx context.Context, r *request, q *kmsg.AlterConfigsRequest) *kmsg.AlterConfigsResponse {
	resp := kmsg.NewPtrAlterConfigsResponse()
	all := make([]configAlteration, len(q.Resources))
	for i, res := range q.Resources {
		all[i] = configAlteration{kind: res.ResourceType, name: res.ResourceName, replace: true}
		for _, c := range res.Configs {
			all[i].ops = append(all[i].ops, configOp{c.Name, kmsg.IncrementalAlterConfigOpSet, c.Value})
		}
	}
	s.alterResources(ctx, r, all, q.ValidateOnly)
	for i := range all {
		rr := kmsg.NewAlterConfigsResponseResource()
		rr.ResourceType, rr.ResourceName = all[i].kind, all[i].name
		rr.ErrorCode, rr.ErrorMessage = all[i].code, nullableText(all[i].text)
		resp.Resources = append(resp.Resources, rr)
	}
	return resp
}
