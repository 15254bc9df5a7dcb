package broker

import (
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// limitThrottle is the throttle time of a request that a cluster limit refuses.
const limitThrottle = time.Second

// limitErrorCode returns the error code of a request that a cluster limit refuses.
// The limit may clear (records and topics are deleted, idle groups and producers
// expire), so it is the code after which Kafka's clients retry that API, and not
// POLICY_VIOLATION, upon which they drop records.
//
//	Produce                              NOT_ENOUGH_REPLICAS
//	Metadata (auto-creation)             THROTTLING_QUOTA_EXCEEDED
//	CreateTopics, DeleteTopics,
//	  CreatePartitions                   THROTTLING_QUOTA_EXCEEDED; before it existed REQUEST_TIMED_OUT
//	InitProducerId, the transaction's
//	  requests, groups                   COORDINATOR_LOAD_IN_PROGRESS
//	SyncGroup                            COORDINATOR_NOT_AVAILABLE: clients retry no other of these
//	all others                           REQUEST_TIMED_OUT
//
// Package groups has its own codes. What can never succeed gets a fatal one there:
// MESSAGE_TOO_LARGE for a classic member with which its group could not be written,
// INVALID_REQUEST with a message for one of the consumer protocol.
// GROUP_MAX_SIZE_REACHED is for group.max.size only: clients report that the group
// has too many members.
func limitErrorCode(key, version int16) int16 {
	switch api := kmsg.Key(key); {
	case api == kmsg.Produce:
		return kerr.NotEnoughReplicas.Code
	case api == kmsg.Metadata, api == kmsg.CreateTopics && version >= 6, api == kmsg.DeleteTopics && version >= 5, api == kmsg.CreatePartitions && version >= 3:
		return kerr.ThrottlingQuotaExceeded.Code
	case api == kmsg.InitProducerID, api == kmsg.AddPartitionsToTxn, api == kmsg.AddOffsetsToTxn, api == kmsg.EndTxn, api == kmsg.WriteTxnMarkers, api == kmsg.TxnOffsetCommit:
		return kerr.CoordinatorLoadInProgress.Code
	}
	return kerr.RequestTimedOut.Code
}

// recordLimitRefusal returns the code for a request that a limit refuses,
// counts it, and logs it at most once a minute.
func (s *Server) recordLimitRefusal(r *request) int16 {
	code := limitErrorCode(r.key, r.version)
	s.metrics.countLimitRefused(r.key)
	if s.logLimit.allow("limit", time.Now()) {
		s.cfg.Log.Error("ALARM: a cluster limit refuses requests; clients retry; see docs/operations.md, \"A limit is reached\"",
			"limits", s.describeFullLimits(), "api", r.key, "code", code, "client", r.clientID, "host", r.conn.host())
	}
	return code
}

// LimitUsages lists this broker's own limits that reject clients, and their use.
func (s *Server) LimitUsages() []metadata.LimitUsage {
	uses := []metadata.LimitUsage{{Name: "connections", Used: s.connectionCount(), Limit: s.connectionLimit()}}
	if s.cfg.Groups != nil {
		used, limit := s.cfg.Groups.MemberBytes()
		uses = append(uses, metadata.LimitUsage{Name: "group_member_bytes", Used: used, Limit: limit})
	}
	return uses
}

// connectionCount is how many connections are open.
func (s *Server) connectionCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// describeFullLimits lists the state's limits that are nearly reached.
func (s *Server) describeFullLimits() string {
	var full []string
	s.cfg.Replica.View(func(st *metadata.State) {
		for _, u := range st.LimitUsages() {
			if u.Percent() >= 95 {
				full = append(full, fmt.Sprintf("%s %d of %d", u.Name, u.Used, u.Limit))
			}
		}
	})
	if len(full) == 0 {
		return "a per-partition or per-transaction limit"
	}
	return strings.Join(full, ", ")
}

// recordLimitedBatches sets the code of the batches that a cluster limit
// refused; false if there are none.
func (s *Server) recordLimitedBatches(p *produceRequestState) (limited bool) {
	code := noError
	for i := range p.parts {
		for j := range p.parts[i] {
			out := &p.parts[i][j]
			if !out.overLimit {
				continue
			}
			if code == noError {
				code = s.recordLimitRefusal(p.r)
			}
			s.metrics.refusedBatches.Inc()
			out.code, out.text = code, "the cluster is at a limit: "+s.describeFullLimits()
		}
	}
	return code != noError
}
