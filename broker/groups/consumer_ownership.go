package groups

import "github.com/zonewise/zonewise/metadata"

// holding is a partition's owner, and the epoch of that member since which it
// has the partition: commits under an older epoch of the member are valid from
// that one on (KIP-1251).
type holding struct {
	member string
	since  int32
}

// claimPartitions makes a member the owner of partitions, releasePartitions
// ends that.
func (r *consumerGroup) claimPartitions(p *consumerGroupMember, set partitionSet, since int32) {
	for _, tp := range set {
		r.owners[tp] = holding{p.info.ID, since}
	}
}

func (r *consumerGroup) releasePartitions(p *consumerGroupMember, set partitionSet) {
	for _, tp := range set {
		if r.owners[tp].member == p.info.ID {
			delete(r.owners, tp)
		}
	}
}

// holdRanges gives a member its partitions from the state, and returns them. If
// two members have a partition, because a write was interrupted, the later one
// owns it.
func (r *consumerGroup) holdRanges(p *consumerGroupMember, list []metadata.HeldRange) (out partitionSet) {
	for _, h := range list {
		set := h.Partitions()
		out = append(out, set...)
		r.claimPartitions(p, partitionSet(set).filter(func(tp metadata.TopicPartition) bool { return h.Since >= r.owners[tp].since }), h.Since)
	}
	return out
}

// ranges returns a member's partitions as they are written.
func (r *consumerGroup) ranges(set partitionSet) []metadata.HeldRange {
	return metadata.HeldRanges(set, func(tp metadata.TopicPartition) int32 { return r.owners[tp].since })
}
