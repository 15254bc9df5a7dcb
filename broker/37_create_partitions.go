package broker

// CreatePartitions, key 37, versions 0-3.
//
// Behaviour: counts can only increase (else INVALID_PARTITIONS). An assignment
// must name known brokers for each new partition; replicas are synthetic, so it
// is then ignored.
// Gaps: no quotas.

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

func (s *Server) handleCreatePartitions(ctx context.Context, r *request, q *kmsg.CreatePartitionsRequest) *kmsg.CreatePartitionsResponse {
	resp := kmsg.NewPtrCreatePartitionsResponse()
	barred := s.barrier(ctx)
	names := map[string]int{}
	for i := range q.Topics {
		names[q.Topics[i].Topic]++
	}
	var cmds []metadata.Command
	var at []int
	for i := range q.Topics {
		if ctx.Err() != nil {
			return resp
		}
		t := &q.Topics[i]
		if names[t.Topic] == 0 {
			continue // one response for a duplicate
		}
		id, code, text := s.checkPartitionGrowth(t, barred)
		if names[t.Topic] > 1 {
			code, text = kerr.InvalidRequest.Code, "the request names the topic twice"
		}
		names[t.Topic] = 0
		rt := kmsg.NewCreatePartitionsResponseTopic()
		rt.Topic, rt.ErrorCode, rt.ErrorMessage = t.Topic, code, nullableText(text)
		if code == noError {
			cmds, at = append(cmds, metadata.CreatePartitions{ID: id, Count: t.Count}), append(at, len(resp.Topics))
		}
		resp.Topics = append(resp.Topics, rt)
	}
	if len(cmds) == 0 || q.ValidateOnly {
		return resp
	}
	out, err := s.submit(ctx, cmds)
	for k, i := range at {
		code, text := r.commandError(out, err, k)
		resp.Topics[i].ErrorCode, resp.Topics[i].ErrorMessage = code, nullableText(text)
	}
	return resp
}

func (s *Server) checkPartitionGrowth(w *kmsg.CreatePartitionsRequestTopic, barred error) (metadata.TopicID, int16, string) {
	var t metadata.Topic
	ok := false
	s.cfg.Replica.View(func(st *metadata.State) { t, ok = st.TopicNamed(w.Topic) })
	switch {
	case !ok && barred != nil:
		return t.ID, kerr.RequestTimedOut.Code, barred.Error()
	case !ok:
		return t.ID, kerr.UnknownTopicOrPartition.Code, "" // no message, as in Kafka
	case w.Count <= t.Partitions:
		return t.ID, kerr.InvalidPartitions.Code, fmt.Sprintf("topic already has %d partitions, the new count %d must be larger", t.Partitions, w.Count)
	case w.Count > metadata.MaxPartitionsPerTopic:
		return t.ID, kerr.InvalidPartitions.Code, fmt.Sprintf("at most %d partitions in a topic", metadata.MaxPartitionsPerTopic)
	}
	if w.Assignment == nil {
		return t.ID, noError, ""
	}
	if len(w.Assignment) != int(w.Count-t.Partitions) {
		return t.ID, kerr.InvalidReplicaAssignment.Code, "assignment must name replicas for each new partition"
	}
	v := s.currentView()
	for _, a := range w.Assignment {
		if len(a.Replicas) == 0 {
			return t.ID, kerr.InvalidReplicaAssignment.Code, "a partition needs a replica"
		}
		if text := checkReplicas(v, a.Replicas); text != "" {
			return t.ID, kerr.InvalidReplicaAssignment.Code, text
		}
	}
	return t.ID, noError, ""
}
