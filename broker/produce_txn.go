package broker

import (
	"context"
	"errors"

	"github.com/zonewise/zonewise/metadata"
)

// implicitTxn is the version of Produce from which on batches make their
// partition part of the transaction themselves (KIP-890).
const implicitTxn = 12

// joinTxn finds the transaction that the request's batches belong to. Before
// version 12 that is the one under way when the request came: the state is
// read behind a barrier that began afterwards. False where the request failed.
func (s *Server) joinTxn(ctx context.Context, p *producing) bool {
	known := false
	look := func() {
		s.cfg.Replica.View(func(st *metadata.State) {
			p.txn, known = st.Txn(*p.q.txnID)
			p.txn.Partitions = nil // not kept beyond the view
		})
	}
	if p.r.version >= implicitTxn {
		if look(); known && p.owned() {
			return true
		}
	}
	if err := s.barrier(ctx); err != nil {
		p.failAll(errNotLeader, err.Error())
		return false
	}
	if look(); !known {
		p.failAll(errProducerMapping, "the transactional id is not known")
		return false
	}
	if p.r.version < implicitTxn {
		if p.txn.Status != metadata.TxnOngoing {
			if p.stale() {
				p.failAll(errInvalidEpoch, "a newer producer has the transactional id")
				return false
			}
			p.failAll(txnStateError(p.r.version >= 11), "no transaction is under way")
			return false
		}
		p.start = p.txn.Start
	}
	return true
}

// owned reports whether every transactional batch bears the producer id that
// is known here: another may be newer than this replica.
func (p *producing) owned() bool {
	for _, t := range p.q.topics {
		for _, part := range t.parts {
			if h, err := metadata.ParseBatchHeader(part.records); err == nil && h.Transactional() && h.Producer != p.txn.Producer {
				return false
			}
		}
	}
	return true
}

// stale reports whether a transactional batch bears an older epoch than the
// transactional id has.
func (p *producing) stale() bool {
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

// startOf is the start revision that a batch carries.
func (p *producing) startOf(h metadata.BatchHeader) metadata.Revision {
	if !h.Transactional() {
		return 0
	}
	return p.start
}

// txnStateError is what a client hears whose transaction is not there: that it
// may abort, where its version knows that.
func txnStateError(abortable bool) int16 {
	if abortable {
		return errTxnAbortable
	}
	return errInvalidTxnState
}

// produceError maps what became of a batch: Produce says 47 for every fenced
// producer.
func produceError(version int16, err error) int16 {
	var code metadata.Code
	if errors.As(err, &code) {
		switch code {
		case metadata.CodeFenced:
			return errInvalidEpoch
		case metadata.CodeTxnState:
			return txnStateError(version >= 11)
		}
	}
	return kafkaError(err)
}
