package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/zonewise/zonewise/metadata"
)

// Transactions. Any broker coordinates any transactional id: every step is an entry,
// and apply decides. A step with an unknown outcome gets COORDINATOR_NOT_AVAILABLE,
// and the client's retry finds its result.

// commitTxnCommand commits one step of a transaction.
func (s *Server) commitTxnCommand(ctx context.Context, r *request, c metadata.Command) (metadata.CommandOutcome, int16) {
	out, err := s.submit(ctx, []metadata.Command{c})
	if err != nil || out.Code != metadata.CodeOK || len(out.Commands) != 1 {
		return metadata.CommandOutcome{}, kerr.CoordinatorNotAvailable.Code
	}
	o := out.Commands[0]
	if o.Code == metadata.CodeLimit {
		return o, s.recordLimitRefusal(r)
	}
	return o, mapStateCode(o.Code)
}

// mapFencedCode maps a code to one that the request's version has:
// PRODUCER_FENCED came with KIP-588, before it a fenced producer gets
// INVALID_PRODUCER_EPOCH.
func mapFencedCode(code int16, knows bool) int16 {
	if code == kerr.ProducerFenced.Code && !knows {
		return kerr.InvalidProducerEpoch.Code
	}
	return code
}

// txnPlacementKey is a transactional id's key in the placement.
func txnPlacementKey(id string) metadata.TopicPartition {
	return metadata.TopicPartition{Partition: metadata.Partition(metadata.TxnHash(id) >> 33)}
}

// lookupPartitions looks up partitions by topic name; known reports which
// exist.
func lookupPartitions(st *metadata.State, topic string, indexes []int32) (out []metadata.TopicPartition, known []bool) {
	t, ok := st.TopicNamed(topic)
	for _, i := range indexes {
		out = append(out, metadata.TopicPartition{Topic: t.ID, Partition: metadata.Partition(i)})
		known = append(known, ok && i >= 0 && i < t.Partitions)
	}
	return out, known
}
