package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/broker/groups"
)

// groupAPIs are the rows of the table that package groups answers. Versions
// are Kafka 4.4's. Package groups goes by topic names: group_topic_ids.go maps
// the ids of the newest OffsetCommit, OffsetFetch and TxnOffsetCommit.
//
// ConsumerGroupHeartbeat (68) and ConsumerGroupDescribe (69), versions 0-1
// (KIP-848, KIP-1082): groups/consumer_calls.go. DescribeGroups knows classic
// groups only, ConsumerGroupDescribe those of the consumer protocol: the other
// kind is 69. Gaps: rack-aware assignment (racks are kept and shown).
func groupAPIs() []api {
	return []api{
		{key: 8, min: 2, max: 10, minAdvertised: 2, flexible: 8, serve: serveDecoded((*Server).handleOffsetCommit), traffic: trafficGroup},
		{key: 9, min: 1, max: 10, minAdvertised: 1, flexible: 6, serve: serveDecoded((*Server).handleOffsetFetch), traffic: trafficGroup, estimateResponse: (*Server).estimateOffsetFetch},
		{key: 10, min: 0, max: 6, minAdvertised: 0, flexible: 3, serve: serveDecoded((*Server).handleFindCoordinator), traffic: trafficGroup},
		{key: 11, min: 0, max: 9, minAdvertised: 0, flexible: 6, serve: serveGroup(Groups.Join), traffic: trafficGroup, mayBlock: true},
		{key: 12, min: 0, max: 4, minAdvertised: 0, flexible: 4, serve: serveGroup(Groups.Heartbeat), traffic: trafficGroup},
		{key: 13, min: 0, max: 5, minAdvertised: 0, flexible: 4, serve: serveGroup(Groups.Leave), traffic: trafficGroup},
		{key: 14, min: 0, max: 5, minAdvertised: 0, flexible: 4, serve: serveGroup(Groups.Sync), traffic: trafficGroup, mayBlock: true},
		{key: 15, min: 0, max: 6, minAdvertised: 0, flexible: 5, serve: serveGroup(Groups.Describe), traffic: trafficGroup, estimateResponse: (*Server).estimateDescribeGroups},
		{key: 16, min: 0, max: 5, minAdvertised: 0, flexible: 3, serve: serveGroup(Groups.List), traffic: trafficGroup, estimateResponse: (*Server).estimateListGroups},
		{key: 25, min: 0, max: 4, minAdvertised: 0, flexible: 3, serve: serveDecoded((*Server).handleAddOffsetsToTxn), traffic: trafficGroup},
		{key: 28, min: 0, max: 6, minAdvertised: 0, flexible: 3, serve: serveDecoded((*Server).handleTxnOffsetCommit), traffic: trafficGroup},
		{key: 42, min: 0, max: 3, minAdvertised: 0, flexible: 2, serve: serveGroup(Groups.Delete), traffic: trafficGroup},
		{key: 47, min: 0, max: 0, minAdvertised: 0, flexible: notFlexible, serve: serveGroup(Groups.DeleteOffsets), traffic: trafficGroup},
		{key: 68, min: 0, max: 1, minAdvertised: 0, flexible: 0, serve: serveGroup(Groups.ConsumerHeartbeat), traffic: trafficGroup},
		{key: 69, min: 0, max: 1, minAdvertised: 0, flexible: 0, serve: serveGroup(Groups.ConsumerDescribe), traffic: trafficGroup, estimateResponse: (*Server).estimateDescribeGroups},
	}
}

// serveGroup makes a serve function of one of the coordinator's.
func serveGroup[Q any, P interface {
	*Q
	kmsg.Request
}, R kmsg.Response](handle func(Groups, context.Context, groups.Client, P) R) func(*Server, context.Context, *request) (response, error) {
	return serveDecoded(func(s *Server, ctx context.Context, r *request, q P) R {
		return handle(s.cfg.Groups, ctx, r.groupClient(), q)
	})
}

// groupClient is who asks, as package groups wants to know it.
func (r *request) groupClient() groups.Client {
	return groups.Client{ID: r.clientID, Host: r.conn.host(), Zone: r.evidence.Zone, Principal: r.conn.principal()}
}
