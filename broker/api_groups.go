package broker

import "github.com/zonewise/zonewise/broker/groups"

// groupAPIs are the rows of the table that package groups serves. Versions are
// those of Kafka 4.4.
func groupAPIs() []api {
	return []api{
		{key: 8, name: "OffsetCommit", min: 2, max: 10, minAdvertised: 2, flexible: 8, serve: serveDecoded((*Server).handleOffsetCommit), traffic: trafficGroup},
		{key: 9, name: "OffsetFetch", min: 1, max: 10, minAdvertised: 1, flexible: 6, serve: serveDecoded((*Server).handleOffsetFetch), traffic: trafficGroup, estimateResponse: (*Server).estimateOffsetFetch},
		{key: 10, name: "FindCoordinator", min: 0, max: 6, minAdvertised: 0, flexible: 3, serve: serveDecoded((*Server).handleFindCoordinator), traffic: trafficGroup},
		{key: 11, name: "JoinGroup", min: 0, max: 9, minAdvertised: 0, flexible: 6, serve: serveDecoded((*Server).handleJoinGroup), traffic: trafficGroup, mayBlock: true},
		{key: 12, name: "Heartbeat", min: 0, max: 4, minAdvertised: 0, flexible: 4, serve: serveDecoded((*Server).handleHeartbeat), traffic: trafficGroup},
		{key: 13, name: "LeaveGroup", min: 0, max: 5, minAdvertised: 0, flexible: 4, serve: serveDecoded((*Server).handleLeaveGroup), traffic: trafficGroup},
		{key: 14, name: "SyncGroup", min: 0, max: 5, minAdvertised: 0, flexible: 4, serve: serveDecoded((*Server).handleSyncGroup), traffic: trafficGroup, mayBlock: true},
		{key: 15, name: "DescribeGroups", min: 0, max: 6, minAdvertised: 0, flexible: 5, serve: serveDecoded((*Server).handleDescribeGroups), traffic: trafficGroup, estimateResponse: (*Server).estimateDescribeGroups},
		{key: 16, name: "ListGroups", min: 0, max: 5, minAdvertised: 0, flexible: 3, serve: serveDecoded((*Server).handleListGroups), traffic: trafficGroup, estimateResponse: (*Server).estimateListGroups},
		{key: 25, name: "AddOffsetsToTxn", min: 0, max: 4, minAdvertised: 0, flexible: 3, serve: serveDecoded((*Server).handleAddOffsetsToTxn), traffic: trafficGroup},
		{key: 28, name: "TxnOffsetCommit", min: 0, max: 6, minAdvertised: 0, flexible: 3, serve: serveDecoded((*Server).handleTxnOffsetCommit), traffic: trafficGroup},
		{key: 42, name: "DeleteGroups", min: 0, max: 3, minAdvertised: 0, flexible: 2, serve: serveDecoded((*Server).handleDeleteGroups), traffic: trafficGroup},
		{key: 47, name: "OffsetDelete", min: 0, max: 0, minAdvertised: 0, flexible: notFlexible, serve: serveDecoded((*Server).handleOffsetDelete), traffic: trafficGroup},
		{key: 68, name: "ConsumerGroupHeartbeat", min: 0, max: 1, minAdvertised: 0, flexible: 0, serve: serveDecoded((*Server).handleConsumerGroupHeartbeat), traffic: trafficGroup},
		{key: 69, name: "ConsumerGroupDescribe", min: 0, max: 1, minAdvertised: 0, flexible: 0, serve: serveDecoded((*Server).handleConsumerGroupDescribe), traffic: trafficGroup, estimateResponse: (*Server).estimateDescribeGroups},
	}
}

// groupClient returns the request's client for package groups.
func (r *request) groupClient() groups.Client {
	return groups.Client{ID: r.clientID, Host: r.conn.host(), Zone: r.evidence.Zone, Principal: r.conn.principal()}
}
