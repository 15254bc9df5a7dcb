package broker

// DescribeCluster, key 60, versions 0-2.
//
// Behaviour: brokers by their addresses for the client's zone. Endpoint type 1
// (brokers) only.
// Gaps: no fenced brokers: a broker without a session is not listed.

import (
	"context"
	"math"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// endpointTypeController is the endpoint type of KRaft controllers, which have
// other addresses.
const endpointTypeController = 2

func (s *Server) handleDescribeCluster(_ context.Context, r *request, q *kmsg.DescribeClusterRequest) *kmsg.DescribeClusterResponse {
	resp := kmsg.NewPtrDescribeClusterResponse()
	resp.ControllerID, resp.EndpointType = -1, 1
	resp.ClusterAuthorizedOperations = math.MinInt32
	if q.Version >= 1 && q.EndpointType != 1 {
		resp.ErrorCode, resp.ErrorMessage = kerr.UnsupportedEndpointType.Code, nullableText("only brokers can be described (endpoint type 1)")
		if q.EndpointType == endpointTypeController {
			resp.ErrorCode = kerr.MismatchedEndpointType.Code
		}
		return resp
	}
	if q.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = clusterOperations
	}
	v := s.currentView()
	resp.ClusterID = v.clusterID()
	resp.ControllerID = int32(v.controller(r.evidence.Zone))
	for _, n := range v.brokers(r.evidence.Zone) {
		b := kmsg.NewDescribeClusterResponseBroker()
		b.NodeID, b.Host, b.Port, b.Rack = int32(n.ID), n.Host, n.Port, nullableText(string(n.Rack))
		resp.Brokers = append(resp.Brokers, b)
	}
	return resp
}
