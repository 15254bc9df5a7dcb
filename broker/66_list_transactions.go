package broker

// ListTransactions, key 66, versions 0-2 (KIP-664, KIP-994, KIP-1152).
//
// Behaviour: clients send it to every broker and join the responses, so one
// broker only lists each id. Filters by state, producer id, duration and
// pattern (RE2); unknown states are returned.
// Gaps: none known.

import (
	"context"
	"regexp"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// txnStates are Kafka's names. Prepare states never occur here.
var txnStates = [...]string{"Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "PrepareEpochFence"}

// maxPatternBytes bounds a client's pattern: RE2 runs in linear time, but the
// compiled pattern takes memory.
const maxPatternBytes = 1024

func (s *Server) handleListTransactions(ctx context.Context, _ *request, q *kmsg.ListTransactionsRequest) *kmsg.ListTransactionsResponse {
	resp := kmsg.NewPtrListTransactionsResponse()
	resp.TransactionStates = []kmsg.ListTransactionsResponseTransactionState{}
	var pattern *regexp.Regexp
	if p := q.TransactionalIDPattern; p != nil && *p != "" {
		var err error
		if pattern, err = regexp.Compile("^(?:" + *p + ")$"); err != nil || len(*p) > maxPatternBytes {
			resp.ErrorCode = kerr.InvalidRegularExpression.Code
			return resp
		}
	}
	for _, f := range q.StateFilters {
		if !slices.Contains(txnStates[:], f) {
			resp.UnknownStateFilters = append(resp.UnknownStateFilters, f)
		}
	}
	if s.barrier(ctx) != nil {
		resp.ErrorCode = kerr.CoordinatorNotAvailable.Code
		return resp
	}
	wanted := newTxnFilter(q)
	var all []string
	s.cfg.Replica.View(func(st *metadata.State) { all = st.Txns() })
	s.viewEach(ctx, len(all), func(st *metadata.State, i int) {
		id := all[i]
		v, ok := st.Txn(id)
		if !ok || !s.isDesignatedForTxn(st, id) || !wanted.matches(&v, st.Time()) || pattern != nil && !pattern.MatchString(id) {
			return
		}
		r := kmsg.NewListTransactionsResponseTransactionState()
		r.TransactionalID, r.ProducerID, r.TransactionState = id, int64(v.Producer), v.Status.String()
		resp.TransactionStates = append(resp.TransactionStates, r)
	})
	return resp
}

// txnFilter is a request's filters.
type txnFilter struct {
	q         *kmsg.ListTransactionsRequest
	states    map[string]bool
	producers map[int64]bool
}

func newTxnFilter(q *kmsg.ListTransactionsRequest) txnFilter {
	f := txnFilter{q: q, states: map[string]bool{}, producers: map[int64]bool{}}
	for _, s := range q.StateFilters {
		f.states[s] = true
	}
	for _, p := range q.ProducerIDFilters {
		f.producers[p] = true
	}
	return f
}

func (f *txnFilter) matches(v *metadata.TxnView, now metadata.UnixMilli) bool {
	q := f.q
	switch {
	case len(f.states) > 0 && !f.states[v.Status.String()]:
		return false
	case len(f.producers) > 0 && !f.producers[int64(v.Producer)]:
		return false
	case q.Version >= 1 && q.DurationFilterMillis >= 0:
		return v.Status == metadata.TxnOngoing && int64(now-v.Started) > q.DurationFilterMillis
	}
	return true
}

func (s *Server) estimateListTransactions(kmsg.Request) int64 {
	return s.readUseCount("transactional_ids") * listedResponseBytes
}

// isDesignatedForTxn reports whether this broker is the designated one that
// lists a transactional id: clients join the responses of all brokers.
func (s *Server) isDesignatedForTxn(st *metadata.State, id string) bool {
	return st.Placement().Leader(txnPlacementKey(id), metadata.UnknownZone) == s.cfg.Self()
}
