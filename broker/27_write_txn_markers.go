package broker

// WriteTxnMarkers, key 27, versions 1-2.
//
// Behaviour: kafka-transactions --abort sends it. A transaction is one entity
// here and cannot hang on one partition alone: an abort on any partition aborts
// it on all and fences its producer. If the producer has no open transaction on
// the partition, nothing is done. Commit is INVALID_TXN_STATE: only the
// producer may commit. A marker of transaction version 2 (KIP-890) must have a
// later epoch than the transaction, because there every transaction ends with a
// new epoch.
// Gaps: none known.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

func (s *Server) handleWriteTxnMarkers(ctx context.Context, r *request, q *kmsg.WriteTxnMarkersRequest) *kmsg.WriteTxnMarkersResponse {
	resp := kmsg.NewPtrWriteTxnMarkersResponse()
	err := s.barrier(ctx)
	ctx, cancel := context.WithTimeout(ctx, submitTimeout) // for all of them: the rest times out
	defer cancel()
	r.releaseHeavySlot()
	for _, m := range q.Markers {
		rm := kmsg.NewWriteTxnMarkersResponseMarker()
		rm.ProducerID = m.ProducerID
		for _, t := range m.Topics {
			rt := kmsg.NewWriteTxnMarkersResponseMarkerTopic()
			rt.Topic = t.Topic
			for _, index := range t.Partitions {
				if r.conn.ctx.Err() != nil {
					return resp
				}
				rp := kmsg.NewWriteTxnMarkersResponseMarkerTopicPartition()
				rp.Partition, rp.ErrorCode = index, kerr.RequestTimedOut.Code
				if err == nil {
					rp.ErrorCode = s.abortTxnOnPartition(ctx, r, &m, t.Topic, index)
				}
				rt.Partitions = append(rt.Partitions, rp)
			}
			rm.Topics = append(rm.Topics, rt)
		}
		resp.Markers = append(resp.Markers, rm)
	}
	return resp
}

// abortTxnOnPartition aborts the transaction that a producer has open on a
// partition.
func (s *Server) abortTxnOnPartition(ctx context.Context, r *request, m *kmsg.WriteTxnMarkersRequestMarker, topic string, index int32) (code int16) {
	var abort metadata.AbortTxn
	s.cfg.Replica.View(func(st *metadata.State) {
		parts, known := lookupPartitions(st, topic, []int32{index})
		v, owned := st.TxnByProducer(metadata.ProducerID(m.ProducerID))
		switch {
		case !known[0]:
			code = kerr.UnknownTopicOrPartition.Code
		case m.Committed:
			code = kerr.InvalidTxnState.Code
		case owned && (m.ProducerEpoch < int16(v.Epoch) || m.ProducerEpoch == int16(v.Epoch) && m.TransactionVersion >= 2):
			code = kerr.InvalidProducerEpoch.Code
		case owned && v.Status == metadata.TxnOngoing && v.Has(parts):
			abort = metadata.AbortTxn{ID: v.ID, Start: v.Start, Forced: true}
		}
	})
	if code != noError || abort.ID == "" {
		return code
	}
	if _, code = s.commitTxnCommand(ctx, r, abort); code == kerr.InvalidTxnState.Code {
		return noError // it ended meanwhile
	}
	return code
}
