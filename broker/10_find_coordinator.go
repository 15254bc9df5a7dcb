package broker

// FindCoordinator, key 10, versions 0-6.
//
// Behaviour: for a group, the broker that owns its slot, by its address for the
// client's zone; COORDINATOR_NOT_AVAILABLE while no broker does. The owner
// comes from the state; before "none" a read barrier is taken. For a
// transactional id, a broker in the client's zone: any broker can coordinate
// it. The first request creates Kafka's internal topic, as in Kafka
// (internal_topics.go).
// Gaps: share groups (key type 2) get INVALID_REQUEST.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/broker/groups"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/router"
)

// Key types of FindCoordinator.
const (
	coordinatorTypeGroup = 0
	coordinatorTypeTxn   = 1
)

func (s *Server) handleFindCoordinator(ctx context.Context, r *request, q *kmsg.FindCoordinatorRequest) *kmsg.FindCoordinatorResponse {
	resp := kmsg.NewPtrFindCoordinatorResponse()
	keys := q.CoordinatorKeys
	if q.Version < 4 {
		keys = []string{q.CoordinatorKey}
	}
	switch q.CoordinatorType {
	case coordinatorTypeGroup:
		s.ensureInternalTopic(ctx, offsetsTopic)
	case coordinatorTypeTxn:
		s.ensureInternalTopic(ctx, txnTopic)
	}
	if q.Version >= 4 {
		resp.Coordinators = make([]kmsg.FindCoordinatorResponseCoordinator, 0, len(keys))
	}
	v := s.currentView()
	barred := false
	for _, key := range keys {
		if ctx.Err() != nil {
			break
		}
		c := kmsg.NewFindCoordinatorResponseCoordinator()
		c.Key, c.NodeID, c.Port = key, -1, -1
		find := v.findTxnCoordinator
		if q.CoordinatorType == coordinatorTypeGroup {
			find = func(key string, zone metadata.ZoneID) (router.Endpoint, bool) {
				return s.findGroupCoordinator(v, key, zone)
			}
		}
		if q.CoordinatorType != coordinatorTypeGroup && q.CoordinatorType != coordinatorTypeTxn {
			c.ErrorCode, c.ErrorMessage = kerr.InvalidRequest.Code, nullableText("only key types 0 (group) and 1 (transactional id) have coordinators")
		} else {
			n, ok := find(key, r.evidence.Zone)
			if !ok && !barred {
				barred = true
				_ = s.barrier(ctx)
				v = s.currentView()
				n, ok = find(key, r.evidence.Zone)
			}
			if ok {
				c.NodeID, c.Host, c.Port, c.ErrorMessage = int32(n.ID), n.Host, n.Port, successText(q.Version)
			} else {
				c.ErrorCode, c.ErrorMessage = kerr.CoordinatorNotAvailable.Code, nullableText("no broker coordinates the group yet")
			}
		}
		if q.Version < 4 {
			resp.ErrorCode, resp.ErrorMessage = c.ErrorCode, c.ErrorMessage
			resp.NodeID, resp.Host, resp.Port = c.NodeID, c.Host, c.Port
			return resp
		}
		resp.Coordinators = append(resp.Coordinators, c)
	}
	return resp
}

// successText is the error message of success: "NONE", and empty from version
// 4. It is never null.
func successText(version int16) *string {
	text := ""
	if version < 4 {
		text = "NONE"
	}
	return &text
}

// findGroupCoordinator returns the broker that coordinates a group.
func (s *Server) findGroupCoordinator(v *clusterView, group string, zone metadata.ZoneID) (n router.Endpoint, ok bool) {
	var id metadata.BrokerID
	s.cfg.Replica.View(func(st *metadata.State) {
		var o metadata.SessionView
		o, ok = groups.SlotOwner(st, metadata.GroupSlot(group))
		id = o.Broker
	})
	if !ok {
		return n, false
	}
	return v.brokerEndpoint(id, zone)
}

// findTxnCoordinator returns the coordinator of a transactional id for clients
// of a zone: a broker in that zone.
func (v *clusterView) findTxnCoordinator(id string, zone metadata.ZoneID) (router.Endpoint, bool) {
	b := v.leader(txnPlacementKey(id), zone)
	if b == metadata.NoBroker {
		return router.Endpoint{}, false
	}
	return v.brokerEndpoint(b, zone)
}
