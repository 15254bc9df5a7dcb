package broker

// CreateTopics, key 19, versions 2-7.
//
// Behaviour: names, configs, counts and assignments are checked as in Kafka, in
// that order; all topics of a request are one entry. An assignment gives the
// numbers of partitions and replicas; its brokers are checked, then ignored:
// replicas are synthetic. More replicas than brokers are
// INVALID_REPLICATION_FACTOR if the broker is configured to check that. The
// response echoes the configs (version 5). A topic to be compacted is created, with
// a message that says that it is not compacted yet.
// Gaps: no policies, no quotas.

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// maxTopicsPerRequest bounds the entry: 1000 topics with configs are about 300
// KiB.
const maxTopicsPerRequest = 1000

// compactionNote is the message of a topic that was created. kadm and raw clients
// return it; most tools show messages of failures only, so that the cluster page and
// DescribeConfigs' documentation say it, too.
const compactionNote = "created, but cleanup.policy=compact is not enforced yet: no record is deleted for a newer one of its key"

func (s *Server) handleCreateTopics(ctx context.Context, r *request, q *kmsg.CreateTopicsRequest) *kmsg.CreateTopicsResponse {
	resp := kmsg.NewPtrCreateTopicsResponse()
	var cmds []metadata.Command
	var at []int
	names := map[string]int{}
	for i := range q.Topics {
		names[q.Topics[i].Topic]++
	}
	_ = s.barrier(ctx) // "exists" is final: apply checks it too, this only fails earlier
	for i := range q.Topics {
		if ctx.Err() != nil {
			return resp
		}
		t := &q.Topics[i]
		if names[t.Topic] == 0 {
			continue // one response for a duplicate
		}
		rt := kmsg.NewCreateTopicsResponseTopic()
		rt.Topic, rt.NumPartitions, rt.ReplicationFactor = t.Topic, -1, -1
		rt.Configs = []kmsg.CreateTopicsResponseTopicConfig{}
		cmd, code, text := s.planTopicCreation(t)
		if names[t.Topic] > 1 {
			code, text = kerr.InvalidRequest.Code, "the request names the topic more than once"
		}
		names[t.Topic] = 0
		if code == noError && len(cmds) == maxTopicsPerRequest {
			code, text = kerr.PolicyViolation.Code, fmt.Sprintf("more than %d topics in a request", maxTopicsPerRequest)
		}
		if rt.ErrorCode, rt.ErrorMessage = code, nullableText(text); code == noError {
			rt.ErrorMessage = s.unenforcedPolicy(cmd.Configs)
			rt.TopicID, rt.NumPartitions, rt.ReplicationFactor = cmd.ID, cmd.Partitions, cmd.ReplicationFactor
			rt.Configs = s.echoConfigs(cmd.Configs)
			cmds, at = append(cmds, cmd), append(at, len(resp.Topics))
		}
		resp.Topics = append(resp.Topics, rt)
	}
	if q.ValidateOnly || len(cmds) == 0 {
		return resp // with ids that are not used, as in Kafka
	}
	out, err := s.submit(ctx, cmds)
	for k, i := range at {
		rt := &resp.Topics[i]
		if code, text := r.commandError(out, err, k); code != noError {
			rt.ErrorCode, rt.ErrorMessage = code, nullableText(text)
			rt.TopicID, rt.NumPartitions, rt.ReplicationFactor, rt.Configs = [16]byte{}, -1, -1, []kmsg.CreateTopicsResponseTopicConfig{}
		}
	}
	return resp
}

// unenforcedPolicy returns what an operator must know of a new topic's
// cleanup.policy, or nil. Refusing compact would break Kafka Streams and Connect.
func (s *Server) unenforcedPolicy(set map[string]string) (text *string) {
	s.cfg.Replica.View(func(st *metadata.State) {
		own := s.readOwnSettings(st)
		if readTopicRules(&own, set).batch.compacted {
			text = nullableText(compactionNote)
		}
	})
	return text
}

// planTopicCreation checks one topic and makes its command.
func (s *Server) planTopicCreation(t *kmsg.CreateTopicsRequestTopic) (metadata.CreateTopic, int16, string) {
	cmd := metadata.CreateTopic{Name: t.Topic, Partitions: t.NumPartitions, ReplicationFactor: t.ReplicationFactor}
	if code, text := s.checkNewTopicName(t.Topic); code != noError {
		return cmd, code, text
	}
	for _, c := range t.Configs {
		if c.Value == nil {
			return cmd, kerr.InvalidConfig.Code, "null value for config " + c.Name
		}
		if cmd.Configs == nil {
			cmd.Configs = map[string]string{}
		}
		cmd.Configs[c.Name] = *c.Value
	}
	configs, text := checkTopicConfigs(cmd.Configs)
	if text != "" {
		return cmd, kerr.InvalidConfig.Code, text
	}
	cmd.Configs = configs
	if len(t.ReplicaAssignment) > 0 {
		if t.NumPartitions != -1 || t.ReplicationFactor != -1 {
			return cmd, kerr.InvalidRequest.Code, "partition count and replication factor must be -1 with a replica assignment"
		}
		rf, text := s.checkAssignment(t.ReplicaAssignment)
		if text != "" {
			return cmd, kerr.InvalidReplicaAssignment.Code, text
		}
		cmd.Partitions, cmd.ReplicationFactor = int32(len(t.ReplicaAssignment)), rf
	}
	replication := cmd.ReplicationFactor
	if cmd.Partitions == -1 {
		cmd.Partitions = s.cfg.DefaultPartitions
	}
	if cmd.ReplicationFactor == -1 {
		cmd.ReplicationFactor = s.defaultReplication()
	}
	switch {
	case cmd.ReplicationFactor < 1:
		return cmd, kerr.InvalidReplicationFactor.Code, "replication factor must be larger than 0, or -1"
	case cmd.Partitions < 1:
		return cmd, kerr.InvalidPartitions.Code, "number of partitions must be larger than 0, or -1"
	case cmd.Partitions > metadata.MaxPartitionsPerTopic:
		return cmd, kerr.PolicyViolation.Code, fmt.Sprintf("more than %d partitions in a topic", metadata.MaxPartitionsPerTopic)
	}
	if n := s.currentView().brokerCount(); s.cfg.CheckReplication && int(replication) > n {
		return cmd, kerr.InvalidReplicationFactor.Code, fmt.Sprintf("replication factor %d, with %d brokers", replication, n)
	}
	cmd.ID = s.ids.newTopicID()
	return cmd, noError, ""
}

// checkNewTopicName checks a new topic's name.
func (s *Server) checkNewTopicName(name string) (int16, string) {
	if !isValidTopicName(name) {
		return kerr.InvalidTopicException.Code, fmt.Sprintf("topic name %.260q is not 1 to 249 of [a-zA-Z0-9._-], nor . or ..", name)
	}
	if name == "__cluster_metadata" {
		return kerr.InvalidRequest.Code, "the name is reserved for Kafka's metadata log"
	}
	code, text := noError, ""
	s.cfg.Replica.View(func(st *metadata.State) {
		if _, ok := st.TopicNamed(name); ok {
			code, text = kerr.TopicAlreadyExists.Code, fmt.Sprintf("Topic '%s' already exists.", name)
			return
		}
		if other, ok := st.CollidingTopic(name); ok {
			code, text = kerr.InvalidTopicException.Code, fmt.Sprintf("topic name collides with %s", other)
		}
	})
	return code, text
}

// checkAssignment checks a replica assignment and returns its replication factor.
func (s *Server) checkAssignment(in []kmsg.CreateTopicsRequestTopicReplicaAssignment) (int16, string) {
	v := s.currentView()
	seen := map[int32]bool{}
	for _, a := range in {
		switch {
		case a.Partition < 0 || int(a.Partition) >= len(in) || seen[a.Partition]:
			return 0, "partition ids must be consecutive and start at 0"
		case len(a.Replicas) == 0 || len(a.Replicas) != len(in[0].Replicas):
			return 0, "all partitions must have the same number of replicas, at least one"
		}
		if text := checkReplicas(v, a.Replicas); text != "" {
			return 0, text
		}
		seen[a.Partition] = true
	}
	return int16(len(in[0].Replicas)), ""
}

func checkReplicas(v *clusterView, replicas []int32) string {
	for i, b := range replicas {
		if slices.Contains(replicas[:i], b) {
			return fmt.Sprintf("broker %d is named twice", b)
		}
		if !v.hasBroker(metadata.BrokerID(b)) {
			return fmt.Sprintf("broker %d is not known", b)
		}
	}
	return ""
}

// echoConfigs lists a new topic's configs as DescribeConfigs does.
func (s *Server) echoConfigs(set map[string]string) []kmsg.CreateTopicsResponseTopicConfig {
	var out []kmsg.CreateTopicsResponseTopicConfig
	s.cfg.Replica.View(func(st *metadata.State) {
		own := s.readOwnSettings(st)
		for _, v := range listTopicValues(&own, set) {
			c := kmsg.NewCreateTopicsResponseTopicConfig()
			c.Name, c.Value, c.Source = v.key.Name, v.value, int8(v.source)
			out = append(out, c)
		}
	})
	return out
}
