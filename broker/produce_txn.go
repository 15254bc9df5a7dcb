package broker

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/zonewise/zonewise/metadata"
)

// implicitTxnVersion is the first version of Produce whose batches add their
// partition to the transaction (KIP-890).
const implicitTxnVersion = 12

// findRequestTxn finds the transaction of the request's batches. Before version
// 12 that is the one that was ongoing when the request arrived: the state is
// read after a barrier that started later. False if the request failed.
func (s *Server) findRequestTxn(ctx context.Context, p *produceRequestState) bool {
	known := false
	look := func() {
		s.cfg.Replica.View(func(st *metadata.State) {
			p.txn, known = st.Txn(*p.q.txnID)
			p.txn.Partitions = nil // must not be retained after the view
		})
	}
	if p.r.version >= implicitTxnVersion {
		if look(); known && p.hasKnownProducer() {
			return true
		}
	}
	if err := s.barrier(ctx); err != nil {
		p.failAllParts(kerr.NotLeaderForPartition.Code, err.Error())
		return false
	}
	if look(); !known {
		p.failAllParts(kerr.InvalidProducerIDMapping.Code, "unknown transactional id")
		return false
	}
	if p.r.version < implicitTxnVersion {
		if p.txn.Status != metadata.TxnOngoing {
			if p.hasStaleEpoch() {
				p.failAllParts(kerr.InvalidProducerEpoch.Code, "a newer producer owns the transactional id")
				return false
			}
			p.failAllParts(txnStateErrorCode(p.r.version >= 11), "no ongoing transaction")
			return false
		}
		p.txnStart = p.txn.Start
	}
	return true
}

// hasKnownProducer reports whether every transactional batch has the producer
// id in the state: another one may be newer than this replica.
func (p *produceRequestState) hasKnownProducer() bool {
	for _, t := range p.q.topics {
		for _, part := range t.parts {
			if h, err := metadata.ParseBatchHeader(part.records); err == nil && h.Transactional() && h.Producer != p.txn.Producer {
				return false
			}
		}
	}
	return true
}

// hasStaleEpoch reports whether a transactional batch has an older epoch than
// the transactional id.
func (p *produceRequestState) hasStaleEpoch() bool {
	for _, t := range p.q.topics {
		for _, part := range t.parts {
			h, err := metadata.ParseBatchHeader(part.records)
			if err == nil && h.Transactional() && h.Producer == p.txn.Producer && h.Epoch < p.txn.Epoch {
				return true
			}
		}
	}
	return false
}

// batchTxnStart is the transaction's start revision in a batch.
func (p *produceRequestState) batchTxnStart(h metadata.BatchHeader) metadata.Revision {
	if !h.Transactional() {
		return 0
	}
	return p.txnStart
}

// txnStateErrorCode is the code for a client without an ongoing transaction:
// TRANSACTION_ABORTABLE if its version has it.
func txnStateErrorCode(abortable bool) int16 {
	if abortable {
		return kerr.TransactionAbortable.Code
	}
	return kerr.InvalidTxnState.Code
}

// produceErrorCode maps a batch's error: Produce returns INVALID_PRODUCER_EPOCH
// for every fenced producer.
func produceErrorCode(version int16, err error) int16 {
	var code metadata.Code
	if errors.As(err, &code) {
		switch code {
		case metadata.CodeFenced:
			return kerr.InvalidProducerEpoch.Code
		case metadata.CodeTxnState:
			return txnStateErrorCode(version >= 11)
		}
	}
	return kafkaErrorCode(err)
}
