package broker

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

func newProducePartResponse(p *produceRequestState, index int32, out *producePartResult, t produceTopic, hints *leaderHints) kmsg.ProduceResponseTopicPartition {
	rp := kmsg.NewProduceResponseTopicPartition()
	rp.Partition, rp.ErrorCode, rp.ErrorMessage = index, out.code, nullableText(out.text)
	rp.BaseOffset, rp.LogAppendTime, rp.LogStartOffset = int64(out.baseOffset), int64(out.appendTime), int64(out.logStart)
	if out.code != noError {
		rp.LogAppendTime = -1
	}
	for _, e := range out.recordErrors {
		re := kmsg.NewProduceResponseTopicPartitionErrorRecord()
		re.RelativeOffset, re.ErrorMessage = e.index, nullableText(e.text)
		rp.ErrorRecords = append(rp.ErrorRecords, re)
	}
	if out.code == kerr.NotLeaderForPartition.Code && p.r.version >= 10 {
		if leader, epoch, ok := hints.addLeader(t.name, t.id, index); ok {
			rp.CurrentLeader.LeaderID, rp.CurrentLeader.LeaderEpoch = int32(leader), int32(epoch)
		}
	}
	return rp
}

// readLogStarts reads the log starts for the response.
func (s *Server) readLogStarts(p *produceRequestState) {
	s.cfg.Replica.View(func(st *metadata.State) {
		for i := range p.parts {
			for j := range p.parts[i] {
				out := &p.parts[i][j]
				if h, ok := st.Partition(out.tp); ok && out.includesLogStart() {
					out.logStart = h.LogStart
				}
			}
		}
	})
}

// includesLogStart reports whether the response has the log start: on success,
// and for errors that Kafka's log itself returns.
func (out *producePartResult) includesLogStart() bool {
	switch out.code {
	case noError:
		return true
	case kerr.InvalidRecord.Code, kerr.InvalidTimestamp.Code, kerr.OutOfOrderSequenceNumber.Code:
		return !out.refusedEarly
	case kerr.InvalidProducerEpoch.Code, kerr.InvalidTxnState.Code, kerr.TransactionAbortable.Code:
		return !out.transactional // for a transactional batch the coordinator returns it
	}
	return false
}

// summarizeFailures reports whether any partition failed, and whether all did.
func (p *produceRequestState) summarizeFailures() (anyFailed, all bool) {
	n, bad := 0, 0
	for i := range p.parts {
		for j := range p.parts[i] {
			n++
			if p.parts[i][j].code != noError {
				bad++
			}
		}
	}
	return bad > 0, n > 0 && bad == n
}

// attributeBytes attributes the request's bytes to topics.
func (p *produceRequestState) attributeBytes() attribution {
	b := attribution{}
	for i := range p.parts {
		for j := range p.parts[i] {
			if out := &p.parts[i][j]; !out.tp.Topic.IsZero() {
				b.addBytes(out.tp.Topic, out.bytes)
			}
		}
	}
	return b
}
