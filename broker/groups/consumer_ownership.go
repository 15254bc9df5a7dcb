package groups

import "github.com/zonewise/zonewise/metadata"

// holding is who has a partition, and since which epoch of that member: its
// commits under an epoch that is older than its own are good from that one on
// (KIP-1251).
type holding struct {
	member string
	since  int32
}

// claimPartitions and release keep who has which partition.
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

// holdRanges gives a member what is stored as its, and returns the partitions.
// Where two have one, because a write was cut off in the middle, it is the
// later one's.
func (r *consumerGroup) holdRanges(p *consumerGroupMember, list []metadata.HeldRange) (out partitionSet) {
	for _, h := range list {
		set := h.Partitions()
		out = append(out, set...)
		r.claimPartitions(p, partitionSet(set).filter(func(tp metadata.TopicPartition) bool { return h.Since >= r.owners[tp].since }), h.Since)
	}
	return out
}

// ranges is what a member has, as it is stored.
func (r *consumerGroup) ranges(set partitionSet) []metadata.HeldRange {
	return metadata.HeldRanges(set, func(tp metadata.TopicPartition) int32 { return r.owners[tp].since })
}
