package groups

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// CommitTxnOffsets handles TxnOffsetCommit, versions 0 to 6: the offsets become
// visible when their transaction commits. From version 5 (KIP-890) the request
// adds the group to the transaction; before, AddOffsetsToTxn did. From version
// 3 (KIP-447) a member that sends its generation is fenced by it, also while
// the group rebalances.
func (c *Coordinator) CommitTxnOffsets(ctx context.Context, _ Client, r *kmsg.TxnOffsetCommitRequest) *kmsg.TxnOffsetCommitResponse {
	q := toOffsetCommit(r)
	j := &commitJob{c: c, r: q, response: kmsg.NewPtrOffsetCommitResponse(), txn: &metadata.TxnOffsets{ID: r.TransactionalID,
		Producer: metadata.ProducerID(r.ProducerID), Epoch: metadata.ProducerEpoch(r.ProducerEpoch), Group: r.Group, Implicit: r.Version >= 5}}
	j.initResponse()
	switch g, code := c.acquireCommitGroup(q); {
	case r.Group == "":
		j.failRemaining(kerr.InvalidGroupID.Code)
	case r.TransactionalID == "":
		j.failRemaining(kerr.InvalidRequest.Code)
	case code == noError:
		j.run(ctx, g)
		c.releaseGroup(g)
	default:
		j.failRemaining(code)
	}
	return toTxnResponse(r, j.response)
}

// toOffsetCommit converts the request to an OffsetCommit.
func toOffsetCommit(r *kmsg.TxnOffsetCommitRequest) *kmsg.OffsetCommitRequest {
	q := kmsg.NewPtrOffsetCommitRequest()
	q.Version = 8 // error codes of classic groups
	if r.Version >= 6 {
		q.Version = 9 // and of the consumer protocol
	}
	q.Group, q.Generation, q.MemberID, q.InstanceID = r.Group, -1, "", nil
	if r.Version >= 3 {
		q.Generation, q.MemberID, q.InstanceID = r.Generation, r.MemberID, r.InstanceID
	}
	for _, t := range r.Topics {
		at := kmsg.NewOffsetCommitRequestTopic()
		at.Topic = t.Topic
		for _, p := range t.Partitions {
			ap := kmsg.NewOffsetCommitRequestTopicPartition()
			ap.Partition, ap.Offset, ap.Metadata, ap.LeaderEpoch = p.Partition, p.Offset, p.Metadata, noLeaderEpoch
			if r.Version >= 2 {
				ap.LeaderEpoch = p.LeaderEpoch
			}
			at.Partitions = append(at.Partitions, ap)
		}
		q.Topics = append(q.Topics, at)
	}
	return q
}

// toTxnResponse converts the response back. A transient failure is
// COORDINATOR_LOAD_IN_PROGRESS: after COORDINATOR_NOT_AVAILABLE and
// NOT_COORDINATOR producers look up the coordinator instead of waiting.
func toTxnResponse(r *kmsg.TxnOffsetCommitRequest, from *kmsg.OffsetCommitResponse) *kmsg.TxnOffsetCommitResponse {
	out := kmsg.NewPtrTxnOffsetCommitResponse()
	out.Version = r.Version
	for _, t := range from.Topics {
		rt := kmsg.NewTxnOffsetCommitResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewTxnOffsetCommitResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, p.ErrorCode
			switch {
			case p.ErrorCode == kerr.CoordinatorNotAvailable.Code:
				rp.ErrorCode = kerr.CoordinatorLoadInProgress.Code
			case p.ErrorCode == kerr.InvalidTxnState.Code && r.Version >= 4:
				rp.ErrorCode = kerr.TransactionAbortable.Code
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		out.Topics = append(out.Topics, rt)
	}
	return out
}

// checkTxnCommit is checkCommit for a transaction's offsets: a request without
// a member id is not fenced, and a member may commit while the group completes
// a rebalance.
func (m *classicGroup) checkTxnCommit(now time.Time, id, instance string, generation int32) int16 {
	if generation < 0 && (m.state == stateEmpty || id == "" && instance == "") {
		return noError
	}
	mem, code := m.identifyMember(id, instance)
	switch {
	case code != noError:
		return code
	case generation != m.generation:
		return kerr.IllegalGeneration.Code
	}
	m.restartSession(now, mem)
	return noError
}
