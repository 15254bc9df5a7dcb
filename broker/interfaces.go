package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/broker/groups"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/router"
	"github.com/zonewise/zonewise/s3stream"
	"github.com/zonewise/zonewise/wal"
)

// Replica is the applied state (metadata.Replica).
type Replica interface {
	// View gives read access to the applied state; f must be short.
	View(f func(*metadata.State))
	// Barrier returns when everything that was committed before the call is
	// applied here, and fails after metadata.BarrierTimeout. A handler takes one
	// before every negative response.
	Barrier(ctx context.Context) error
	// BarrierTurn is kept when a request arrives, for BarrierSince: a Barrier that
	// other requests may have served since.
	BarrierTurn() uint64
	BarrierSince(ctx context.Context, turn uint64) error
	// Observe calls f after each applied entry, from the apply goroutine: f
	// must not block.
	Observe(f func(*metadata.AppliedEntry))
	// AfterBatch calls f when all entries that arrived together are applied.
	AfterBatch(f func())
}

// Writer writes to the log: it is the WAL of the current session. Between sessions
// it returns wal.ErrSessionLost.
type Writer interface {
	// Append appends one checked batch; the order of calls is the order in the
	// partition's log. It waits for memory only.
	Append(ctx context.Context, b wal.Batch) (Ack, error)
	// Submit commits commands and returns their outcome.
	Submit(ctx context.Context, cmds []metadata.Command, guard *metadata.Guard) (metadata.Outcome, error)
}

// Ack is the pending result of one batch (*wal.Ack).
type Ack interface {
	Done() <-chan struct{}
	Result() (metadata.Offset, error)
}

// Reader reads stored batches (s3stream.Store).
type Reader interface {
	Read(ctx context.Context, r s3stream.ReadRequest) (s3stream.ReadResult, error)
	// OffsetForTime finds the first record that is not older than ts.
	OffsetForTime(ctx context.Context, tp metadata.TopicPartition, ts metadata.UnixMilli) (metadata.Offset, metadata.UnixMilli, bool, error)
	// MaxTimestamp finds the first record with the largest timestamp.
	MaxTimestamp(ctx context.Context, tp metadata.TopicPartition) (metadata.Offset, metadata.UnixMilli, bool, error)
}

// Resolver finds a client's zone (*router.Resolver, or a wrapper that replaces it
// as zones appear).
type Resolver interface {
	Resolve(c router.Client) router.Evidence
}

// Groups coordinates consumer groups (*groups.Coordinator).
type Groups interface {
	groupMembership
	groupOffsets
	groupAdmin
}

type groupMembership interface {
	Join(ctx context.Context, from groups.Client, r *kmsg.JoinGroupRequest) *kmsg.JoinGroupResponse
	Sync(ctx context.Context, from groups.Client, r *kmsg.SyncGroupRequest) *kmsg.SyncGroupResponse
	Heartbeat(ctx context.Context, from groups.Client, r *kmsg.HeartbeatRequest) *kmsg.HeartbeatResponse
	Leave(ctx context.Context, from groups.Client, r *kmsg.LeaveGroupRequest) *kmsg.LeaveGroupResponse
	ConsumerHeartbeat(ctx context.Context, from groups.Client, r *kmsg.ConsumerGroupHeartbeatRequest) *kmsg.ConsumerGroupHeartbeatResponse
	MemberBytes() (used, limit int)
}

type groupOffsets interface {
	CommitOffsets(ctx context.Context, from groups.Client, r *kmsg.OffsetCommitRequest) *kmsg.OffsetCommitResponse
	CommitTxnOffsets(ctx context.Context, from groups.Client, r *kmsg.TxnOffsetCommitRequest) *kmsg.TxnOffsetCommitResponse
	FetchOffsets(ctx context.Context, from groups.Client, r *kmsg.OffsetFetchRequest) *kmsg.OffsetFetchResponse
	DeleteOffsets(ctx context.Context, from groups.Client, r *kmsg.OffsetDeleteRequest) *kmsg.OffsetDeleteResponse
}

type groupAdmin interface {
	Describe(ctx context.Context, from groups.Client, r *kmsg.DescribeGroupsRequest) *kmsg.DescribeGroupsResponse
	ConsumerDescribe(ctx context.Context, from groups.Client, r *kmsg.ConsumerGroupDescribeRequest) *kmsg.ConsumerGroupDescribeResponse
	List(ctx context.Context, from groups.Client, r *kmsg.ListGroupsRequest) *kmsg.ListGroupsResponse
	Delete(ctx context.Context, from groups.Client, r *kmsg.DeleteGroupsRequest) *kmsg.DeleteGroupsResponse
}

var _ Groups = (*groups.Coordinator)(nil)
