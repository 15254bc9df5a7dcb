package groups

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/zonewise/zonewise/metadata"
)

// checkCommit checks an OffsetCommit of the listed offsets against the members
// and their epochs.
func (r *consumerGroup) checkCommit(id string, epoch int32, version int16, list []pendingOffset) int16 {
	if epoch < 0 && len(r.members) == 0 {
		return noError
	}
	p := r.members[id]
	switch {
	case p == nil:
		return kerr.UnknownMemberID.Code
	case !p.isClassic() && version < 9:
		return kerr.UnsupportedVersion.Code
	case !r.isCurrent(p, epoch, list):
		return pickCode(p.isClassic(), kerr.IllegalGeneration.Code, kerr.StaleMemberEpoch.Code)
	}
	return noError
}

// checkTxnCommit checks a TxnOffsetCommit, which has stale epochs from version
// 6 on (KIP-1319). version is that of the OffsetCommit with the same error
// codes.
func (r *consumerGroup) checkTxnCommit(id, instance string, epoch int32, version int16, list []pendingOffset) int16 {
	if epoch < 0 && (len(r.members) == 0 || id == "" && instance == "") {
		return noError
	}
	switch p := r.members[id]; {
	case p == nil:
		return kerr.UnknownMemberID.Code
	case !r.isCurrent(p, epoch, list):
		return pickCode(p.isClassic() || version < 9, kerr.IllegalGeneration.Code, kerr.StaleMemberEpoch.Code)
	}
	return noError
}

// isCurrent reports whether a member may commit the listed offsets under an
// epoch: its current one, or an older one if it has owned every one of the
// partitions since then (KIP-1251). Its epoch may be bumped while a commit is
// in flight, and a partition that it never gave up had no other owner.
func (r *consumerGroup) isCurrent(p *consumerGroupMember, epoch int32, list []pendingOffset) bool {
	if epoch >= p.epoch {
		return epoch == p.epoch
	}
	return !slices.ContainsFunc(list, func(o pendingOffset) bool {
		h := r.owners[metadata.TopicPartition{Topic: o.Topic, Partition: o.Partition}]
		return h.member != p.info.ID || epoch < h.since
	})
}

// checkFetch checks an OffsetFetch with a member id (version 9).
func (r *consumerGroup) checkFetch(id *string, epoch int32) int16 {
	if id == nil && epoch < 0 {
		return noError
	}
	switch p := r.members[textOrEmpty(id)]; {
	case p == nil:
		return kerr.UnknownMemberID.Code
	case epoch != p.epoch:
		return pickCode(p.isClassic(), kerr.IllegalGeneration.Code, kerr.StaleMemberEpoch.Code)
	}
	return noError
}
