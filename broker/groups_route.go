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
		{key: 8, min: 2, max: 10, shown: 2, flexible: 8, serve: plain((*Server).offsetCommit), kind: billGroup},
		{key: 9, min: 1, max: 10, shown: 1, flexible: 6, serve: plain((*Server).offsetFetch), kind: billGroup, answers: (*Server).offsetFetchBytes},
		{key: 10, min: 0, max: 6, shown: 0, flexible: 3, serve: plain((*Server).findCoordinator), kind: billGroup},
		{key: 11, min: 0, max: 9, shown: 0, flexible: 6, serve: grouped(Groups.Join), kind: billGroup, waits: true},
		{key: 12, min: 0, max: 4, shown: 0, flexible: 4, serve: grouped(Groups.Heartbeat), kind: billGroup},
		{key: 13, min: 0, max: 5, shown: 0, flexible: 4, serve: grouped(Groups.Leave), kind: billGroup},
		{key: 14, min: 0, max: 5, shown: 0, flexible: 4, serve: grouped(Groups.Sync), kind: billGroup, waits: true},
		{key: 15, min: 0, max: 6, shown: 0, flexible: 5, serve: grouped(Groups.Describe), kind: billGroup, answers: (*Server).describeGroupsBytes},
		{key: 16, min: 0, max: 5, shown: 0, flexible: 3, serve: grouped(Groups.List), kind: billGroup, answers: (*Server).listGroupsBytes},
		{key: 25, min: 0, max: 4, shown: 0, flexible: 3, serve: plain((*Server).addOffsetsToTxn), kind: billGroup},
		{key: 28, min: 0, max: 6, shown: 0, flexible: 3, serve: plain((*Server).txnOffsetCommit), kind: billGroup},
		{key: 42, min: 0, max: 3, shown: 0, flexible: 2, serve: grouped(Groups.Delete), kind: billGroup},
		{key: 47, min: 0, max: 0, shown: 0, flexible: notFlexible, serve: grouped(Groups.DeleteOffsets), kind: billGroup},
		{key: 68, min: 0, max: 1, shown: 0, flexible: 0, serve: grouped(Groups.ConsumerHeartbeat), kind: billGroup},
		{key: 69, min: 0, max: 1, shown: 0, flexible: 0, serve: grouped(Groups.ConsumerDescribe), kind: billGroup, answers: (*Server).describeGroupsBytes},
	}
}

// grouped makes a serve function of one of the coordinator's.
func grouped[Q any, P interface {
	*Q
	kmsg.Request
}, R kmsg.Response](handle func(Groups, context.Context, groups.Client, P) R) func(*Server, context.Context, *request) (answer, error) {
	return plain(func(s *Server, ctx context.Context, r *request, q P) R {
		return handle(s.cfg.Groups, ctx, r.groupClient(), q)
	})
}

// groupClient is who asks, as package groups wants to know it.
func (r *request) groupClient() groups.Client {
	return groups.Client{ID: r.clientID, Host: r.conn.host(), Zone: r.from.Zone, Principal: r.conn.principal()}
}
