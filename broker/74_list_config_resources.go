package broker

// ListConfigResources, key 74, versions 0-1 (KIP-714, KIP-1142).
//
// Behaviour: version 0 lists client metrics subscriptions, version 1 the
// requested types: topics, brokers and their loggers, subscriptions, groups
// with configs; no type means all of these. Another type is
// UNSUPPORTED_VERSION. Reads after a barrier.
// Gaps: none.

import (
	"context"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// listableResourceTypes are the types that can be listed, in the order of the
// response.
func listableResourceTypes() []kmsg.ConfigResourceType {
	return []kmsg.ConfigResourceType{kmsg.ConfigResourceTypeTopic, kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeBrokerLogger,
		kmsg.ConfigResourceTypeClientMetrics, kmsg.ConfigResourceTypeGroupConfig}
}

func (s *Server) handleListConfigResources(ctx context.Context, r *request, q *kmsg.ListConfigResourcesRequest) *kmsg.ListConfigResourcesResponse {
	resp := kmsg.NewPtrListConfigResourcesResponse()
	all := listableResourceTypes()
	wanted := func(kmsg.ConfigResourceType) bool { return true }
	if q.Version == 0 {
		all = []kmsg.ConfigResourceType{kmsg.ConfigResourceTypeClientMetrics}
	} else if len(q.ResourceTypes) > 0 {
		wanted = func(k kmsg.ConfigResourceType) bool { return slices.Contains(q.ResourceTypes, int8(k)) }
		for _, k := range q.ResourceTypes {
			if !slices.Contains(all, kmsg.ConfigResourceType(k)) {
				resp.ErrorCode = kerr.UnsupportedVersion.Code
				return resp
			}
		}
	}
	if err := s.barrier(ctx); err != nil {
		resp.ErrorCode = kerr.RequestTimedOut.Code
		return resp
	}
	for _, kind := range all {
		if !wanted(kind) {
			continue
		}
		for _, name := range s.listResourceNames(r, kind) {
			rr := kmsg.NewListConfigResourcesResponseConfigResource()
			rr.Name, rr.Type = name, int8(kind)
			resp.ConfigResources = append(resp.ConfigResources, rr)
		}
	}
	return resp
}

// listResourceNames lists the resources of a type.
func (s *Server) listResourceNames(r *request, kind kmsg.ConfigResourceType) (names []string) {
	switch kind {
	case kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeBrokerLogger:
		for _, n := range s.currentView().brokers(r.evidence.Zone) {
			names = append(names, strconv.Itoa(int(n.ID)))
		}
		return names
	}
	if kind == kmsg.ConfigResourceTypeTopic {
		for _, t := range s.listTopics() {
			names = append(names, t.Name)
		}
		return names
	}
	s.cfg.Replica.View(func(st *metadata.State) {
		switch kind {
		case kmsg.ConfigResourceTypeClientMetrics:
			names = st.Configured(metadata.ResourceMetrics)
		case kmsg.ConfigResourceTypeGroupConfig:
			names = st.Configured(metadata.ResourceGroup)
		}
	})
	return names
}

func (s *Server) estimateListConfigResources(kmsg.Request) int64 {
	return s.readUseCount("topics") * listedResponseBytes
}
