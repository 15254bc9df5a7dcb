package broker

// ListOffsets, key 2, versions 1-11.
//
// Behaviour: always after a read barrier. -1 latest (the high watermark), -2
// earliest, -3 largest timestamp, -4 earliest local (the log start), -5 latest
// tiered and -6 earliest that is not tiered yet (none: -1); a timestamp finds
// the first record that is not older. For read_committed the latest is the last
// stable offset.
// Gaps: the offset list of version 0 is not served, as in Kafka 4.

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// Special timestamps of ListOffsets.
const (
	timeLatest                = -1
	timeEarliest              = -2
	timeMaxTimestamp          = -3
	timeEarliestLocal         = -4
	timeLatestTiered          = -5
	timeEarliestPendingUpload = -6 // KIP-1023
)

// listOffsetsTimeout bounds a search by timestamp if the client has no timeout
// (before version 10).
const listOffsetsTimeout = 30 * time.Second

func (s *Server) handleListOffsets(ctx context.Context, r *request, q *kmsg.ListOffsetsRequest) *kmsg.ListOffsetsResponse {
	resp := kmsg.NewPtrListOffsetsResponse()
	err := s.barrierSinceArrival(ctx, r)
	wait := listOffsetsTimeout
	if q.TimeoutMillis > 0 {
		wait = min(wait, time.Duration(q.TimeoutMillis)*time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	mentions := countPartitionMentions(q)
	for _, t := range q.Topics {
		rt := kmsg.NewListOffsetsResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			if r.conn.ctx.Err() != nil {
				return resp
			}
			rp := kmsg.NewListOffsetsResponseTopicPartition()
			rp.Partition, rp.Offset, rp.Timestamp, rp.LeaderEpoch = p.Partition, -1, -1, -1
			switch {
			case mentions[t.Topic][p.Partition] > 1:
				mentions[t.Topic][p.Partition] = -1 // one response for it
				rp.ErrorCode = kerr.InvalidRequest.Code
			case mentions[t.Topic][p.Partition] < 0:
				continue
			case err != nil:
				rp.ErrorCode = kerr.RequestTimedOut.Code
			default:
				s.listPartitionOffset(ctx, r, q.IsolationLevel == readCommitted, listOffsetsPart{t.Topic, &p, &rp})
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// countPartitionMentions counts how often the request has each partition:
// duplicates are refused, as in Kafka.
func countPartitionMentions(q *kmsg.ListOffsetsRequest) map[string]map[int32]int {
	out := map[string]map[int32]int{}
	for _, t := range q.Topics {
		if out[t.Topic] == nil {
			out[t.Topic] = make(map[int32]int, len(t.Partitions))
		}
		for _, p := range t.Partitions {
			out[t.Topic][p.Partition]++
		}
	}
	return out
}

// lookupPartition reads a partition by topic name.
func (s *Server) lookupPartition(name string, index int32) (tp metadata.TopicPartition, h metadata.PartitionView, ok bool) {
	s.cfg.Replica.View(func(st *metadata.State) {
		var t metadata.Topic
		if t, ok = st.TopicNamed(name); ok {
			tp = metadata.TopicPartition{Topic: t.ID, Partition: metadata.Partition(index)}
			h, ok = st.Partition(tp)
		}
	})
	return tp, h, ok
}

// listOffsetsPart is one requested partition, and its response.
type listOffsetsPart struct {
	topic    string
	request  *kmsg.ListOffsetsRequestTopicPartition
	response *kmsg.ListOffsetsResponseTopicPartition
}

func (s *Server) listPartitionOffset(ctx context.Context, r *request, committed bool, l listOffsetsPart) {
	p, rp := l.request, l.response
	tp, h, ok := s.lookupPartition(l.topic, p.Partition)
	end := h.Next // where searches by timestamp end
	if committed {
		end = h.Stable
	}
	switch {
	case !isTimestampSupported(p.Timestamp, r.version): // checked first, as in Kafka
		rp.ErrorCode = kerr.UnsupportedVersion.Code
		return
	case !ok:
		rp.ErrorCode = kerr.UnknownTopicOrPartition.Code
		return
	case p.CurrentLeaderEpoch > int32(h.Epoch):
		rp.ErrorCode = kerr.UnknownLeaderEpoch.Code
		return
	case p.Timestamp == timeLatest && committed:
		rp.Offset = int64(h.Stable)
	case p.Timestamp == timeLatest:
		rp.Offset = int64(h.Next)
	case p.Timestamp == timeEarliest:
		rp.Offset = int64(h.LogStart)
	case p.Timestamp == timeEarliestLocal:
		rp.Offset = int64(h.LogStart)
	case p.Timestamp == timeLatestTiered, p.Timestamp == timeEarliestPendingUpload:
		return
	case p.Timestamp == timeMaxTimestamp:
		s.listSearchedOffset(rp, tp, end, func() (metadata.Offset, metadata.UnixMilli, bool, error) { return s.cfg.Reader.MaxTimestamp(ctx, tp) })
		return
	default:
		s.listSearchedOffset(rp, tp, end, func() (metadata.Offset, metadata.UnixMilli, bool, error) {
			return s.cfg.Reader.OffsetForTime(ctx, tp, metadata.UnixMilli(p.Timestamp))
		})
		return
	}
	rp.LeaderEpoch = dataEpoch
}

// isTimestampSupported reports whether a version has a special timestamp.
func isTimestampSupported(timestamp int64, version int16) bool {
	switch {
	case timestamp >= timeEarliest:
		return true
	case timestamp == timeMaxTimestamp:
		return version >= 7
	case timestamp == timeEarliestLocal:
		return version >= 8
	case timestamp == timeLatestTiered:
		return version >= 9
	}
	return timestamp == timeEarliestPendingUpload && version >= 11
}

// listSearchedOffset returns the result of a search: -1 and -1 if it found
// nothing before end.
func (s *Server) listSearchedOffset(rp *kmsg.ListOffsetsResponseTopicPartition, tp metadata.TopicPartition, end metadata.Offset, search func() (metadata.Offset, metadata.UnixMilli, bool, error)) {
	offset, ts, found, err := search()
	switch {
	case err != nil:
		rp.ErrorCode = kafkaErrorCode(err)
		s.logReadError(tp, err)
	case found && offset < end:
		rp.Offset, rp.Timestamp, rp.LeaderEpoch = int64(offset), int64(ts), dataEpoch
	}
}
