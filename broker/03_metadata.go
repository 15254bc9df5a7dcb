package broker

// Metadata, key 3, versions 0-13.
//
// Behaviour: brokers by their addresses for the client's zone; leaders are
// hints for the client's zone, replicas and ISR are the same for all clients;
// leader epochs come from the applied state. Topics are auto-created if the
// client and the configuration allow it, and the response has their leader at
// once. A topic is reported as unknown only after a read barrier.
// Gaps: authorized operations are not computed (no ACLs yet): if requested, all
// bits are set that Kafka sets without an authorizer.

import (
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// Operation bits of Kafka without an authorizer: all operations on a topic or the
// cluster.
const (
	topicOperations = 1<<kmsg.ACLOperationRead | 1<<kmsg.ACLOperationWrite | 1<<kmsg.ACLOperationCreate | 1<<kmsg.ACLOperationDelete |
		1<<kmsg.ACLOperationAlter | 1<<kmsg.ACLOperationDescribe | 1<<kmsg.ACLOperationDescribeConfigs | 1<<kmsg.ACLOperationAlterConfigs
	clusterOperations = 1<<kmsg.ACLOperationCreate | 1<<kmsg.ACLOperationAlter | 1<<kmsg.ACLOperationDescribe | 1<<kmsg.ACLOperationClusterAction |
		1<<kmsg.ACLOperationDescribeConfigs | 1<<kmsg.ACLOperationAlterConfigs | 1<<kmsg.ACLOperationIdempotentWrite
)

func (s *Server) handleMetadata(ctx context.Context, r *request, q *kmsg.MetadataRequest) *kmsg.MetadataResponse {
	resp := kmsg.NewPtrMetadataResponse()
	if slices.ContainsFunc(q.Topics, isUnnamedTopic) {
		return failUnnamedMetadata(q)
	}
	if q.IncludeClusterAuthorizedOperations && q.Version >= 8 && q.Version <= 10 {
		resp.AuthorizedOperations = clusterOperations
	} else {
		resp.AuthorizedOperations = math.MinInt32
	}
	topics, throttled := s.resolveMetadataTopics(ctx, r, q)
	if throttled {
		resp.ThrottleMillis = int32(autoCreateThrottle / time.Millisecond)
	}
	s.delayMetadata(ctx, r)
	v := s.currentView()
	resp.ClusterID = nullableText(v.clusterID())
	for _, n := range v.brokers(r.evidence.Zone) {
		b := kmsg.NewMetadataResponseBroker()
		b.NodeID, b.Host, b.Port, b.Rack = int32(n.ID), n.Host, n.Port, nullableText(string(n.Rack))
		resp.Brokers = append(resp.Brokers, b)
	}
	resp.ControllerID = int32(v.controller(r.evidence.Zone))
	for i := range topics {
		if ctx.Err() != nil {
			break
		}
		t := topics[i].newTopicResponse(v, r.evidence.Zone)
		if q.Version < 8 || !q.IncludeTopicAuthorizedOperations {
			t.AuthorizedOperations = math.MinInt32
		}
		resp.Topics = append(resp.Topics, t)
	}
	return resp
}

// isUnnamedTopic reports whether a requested topic has neither name nor id.
func isUnnamedTopic(t kmsg.MetadataRequestTopic) bool {
	return t.Topic == nil && t.TopicID == [16]byte{}
}

// failUnnamedMetadata is Kafka's response to a request with such a topic: an
// error for all topics. No client sends one.
func failUnnamedMetadata(q *kmsg.MetadataRequest) *kmsg.MetadataResponse {
	resp := kmsg.NewPtrMetadataResponse()
	resp.ErrorCode, resp.AuthorizedOperations = kerr.UnknownServerError.Code, math.MinInt32
	for _, t := range q.Topics {
		rt := kmsg.NewMetadataResponseTopic()
		name := ""
		if t.Topic != nil {
			name = *t.Topic
		}
		rt.ErrorCode, rt.Topic, rt.TopicID, rt.AuthorizedOperations = kerr.UnknownServerError.Code, &name, t.TopicID, math.MinInt32
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// requestedTopic is one topic of a Metadata request, and what was found.
type requestedTopic struct {
	name *string
	id   metadata.TopicID
	view topicView
	code int16
}

// resolveMetadataTopics looks up the requested topics, and creates missing
// ones.
func (s *Server) resolveMetadataTopics(ctx context.Context, r *request, q *kmsg.MetadataRequest) (want []requestedTopic, throttled bool) {
	if q.Topics == nil || q.Version == 0 && len(q.Topics) == 0 {
		return s.readEveryTopic(ctx), false
	}
	want = make([]requestedTopic, 0, len(q.Topics))
	named := make(map[string]bool, len(q.Topics))
	byID := make(map[metadata.TopicID]bool, len(q.Topics))
	for _, t := range q.Topics {
		w := requestedTopic{name: t.Topic, id: t.TopicID}
		switch {
		case byID[w.id]:
			continue // one response for a duplicate
		case !w.id.IsZero():
			byID[w.id], w.name = true, nil // the Java client sends an empty name with each id
		case t.Topic != nil && named[*t.Topic]:
			continue
		case t.Topic != nil:
			named[*t.Topic] = true
		}
		want = append(want, w)
	}
	if missing := s.resolveRequestedTopics(ctx, want); len(missing) == 0 {
		return want, false
	}
	if err := s.barrier(ctx); err != nil {
		for i := range want {
			if want[i].code == kerr.UnknownTopicOrPartition.Code || want[i].code == kerr.UnknownTopicID.Code {
				want[i].code = kerr.LeaderNotAvailable.Code // the barrier failed: unverified
			}
		}
		return want, false
	}
	missing := s.resolveRequestedTopics(ctx, want)
	if s.cfg.AutoCreate && (q.Version < 4 || q.AllowAutoTopicCreation) {
		throttled = s.autoCreateTopics(ctx, r, want, missing)
	}
	for _, i := range missing {
		if w := &want[i]; w.code == kerr.UnknownTopicOrPartition.Code && w.name != nil && !isValidTopicName(*w.name) {
			w.code = kerr.InvalidTopicException.Code
		}
	}
	return want, throttled
}

func (s *Server) readEveryTopic(ctx context.Context) []requestedTopic {
	all := s.listTopics()
	want := make([]requestedTopic, 0, len(all))
	s.viewEach(ctx, len(all), func(st *metadata.State, i int) {
		if t, ok := st.Topic(all[i].ID); ok {
			want = append(want, requestedTopic{view: readTopicView(st, t)})
		}
	})
	return want
}

// resolveRequestedTopics looks up topics and returns the indices of those that
// it did not find.
func (s *Server) resolveRequestedTopics(ctx context.Context, want []requestedTopic) (missing []int) {
	s.viewEach(ctx, len(want), func(st *metadata.State, i int) {
		w := &want[i]
		if !w.view.ID.IsZero() {
			return
		}
		name := ""
		if w.name != nil {
			name = *w.name
		}
		t, ok := lookupTopic(st, name, w.id)
		switch {
		case ok:
			w.view, w.code = readTopicView(st, t), noError
		case !w.id.IsZero():
			w.code = kerr.UnknownTopicID.Code
			missing = append(missing, i)
		default:
			w.code = kerr.UnknownTopicOrPartition.Code
			missing = append(missing, i)
		}
	})
	return missing
}

// defaultReplication is the number of zones: the hints have one replica in
// each.
func (s *Server) defaultReplication() int16 {
	n := 1
	s.cfg.Replica.View(func(st *metadata.State) { n = max(n, len(st.Zones())) })
	return int16(n)
}

func (w *requestedTopic) newTopicResponse(v *clusterView, zone metadata.ZoneID) kmsg.MetadataResponseTopic {
	t := kmsg.NewMetadataResponseTopic()
	t.ErrorCode, t.Topic, t.TopicID = w.code, w.name, w.id
	t.AuthorizedOperations = topicOperations
	if w.code != noError {
		return t
	}
	t.Topic, t.TopicID = &w.view.Name, w.view.ID
	t.IsInternal = InternalTopic(w.view.Name)
	t.Partitions = make([]kmsg.MetadataResponseTopicPartition, len(w.view.partitions))
	for i := range t.Partitions {
		p := &t.Partitions[i]
		*p = kmsg.NewMetadataResponseTopicPartition()
		tp := metadata.TopicPartition{Topic: w.view.ID, Partition: metadata.Partition(i)}
		p.Partition, p.LeaderEpoch = int32(i), int32(w.view.partitions[i].Epoch)
		p.Leader = int32(v.leader(tp, zone))
		p.Replicas = v.replicasWithLeader(tp, w.view.ReplicationFactor, p.Leader)
		p.ISR = p.Replicas
		if p.Leader < 0 {
			p.ErrorCode = kerr.LeaderNotAvailable.Code
		}
	}
	return t
}

// isValidTopicName is Kafka's rule for names.
func isValidTopicName(name string) bool {
	if name == "" || name == "." || name == ".." || len(name) > 249 {
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == "" && !strings.ContainsFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-')
	})
}

func (s *Server) estimateMetadata(q kmsg.Request) (sum int64) {
	topics := q.(*kmsg.MetadataRequest).Topics
	if topics == nil || len(topics) == 0 && q.GetVersion() == 0 {
		return s.readUseCount("topics")*topicResponseBytes + s.readUseCount("partitions")*partitionResponseBytes
	}
	s.viewEach(context.Background(), len(topics), func(st *metadata.State, i int) {
		name := ""
		if topics[i].Topic != nil {
			name = *topics[i].Topic
		}
		t, _ := lookupTopic(st, name, topics[i].TopicID)
		sum += topicResponseBytes + int64(t.Partitions)*partitionResponseBytes
	})
	return sum
}
