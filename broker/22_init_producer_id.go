package broker

// InitProducerId, key 22, versions 0-5.
//
// Behaviour: a producer without transactional id gets a new producer id and
// epoch 0, whatever id and epoch it had (one of them alone is refused). The log
// allocates producer ids in blocks, so most requests need no commit. A producer
// with a transactional id gets that id's producer id and next epoch; the same
// entry aborts its ongoing transaction, so that CONCURRENT_TRANSACTIONS is never
// returned for it. A client that sends its current producer id and epoch
// (KIP-360) is fenced if a newer epoch exists.
// Gaps: two-phase commit (version 6, KIP-939).

import (
	"context"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// producerBlockSize is how many producer ids a broker allocates at a time.
const producerBlockSize = 100

// producerIDBlock is the rest of the newest block.
type producerIDBlock struct {
	mu        sync.Mutex
	next      metadata.ProducerID
	remaining int32
}

func (p *producerIDBlock) takeID() (metadata.ProducerID, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.remaining == 0 {
		return 0, false
	}
	p.remaining--
	p.next++
	return p.next - 1, true
}

// startBlock stores a new block whose first id was just used. If several requests
// allocated blocks at once, the highest one is kept in whatever order they arrive
// (so that a seed of the simulation replays); the rest of the others is never used.
func (p *producerIDBlock) startBlock(first metadata.ProducerID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if first >= p.next {
		p.next, p.remaining = first+1, producerBlockSize-1
	}
}

func (s *Server) handleInitProducerID(ctx context.Context, r *request, q *kmsg.InitProducerIDRequest) *kmsg.InitProducerIDResponse {
	resp := kmsg.NewPtrInitProducerIDResponse()
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	if q.Version >= 3 && (q.ProducerID == -1) != (q.ProducerEpoch == -1) {
		resp.ErrorCode = kerr.InvalidRequest.Code
		return resp
	}
	if q.TransactionalID != nil {
		s.initTxnProducer(ctx, r, q, resp)
		return resp
	}
	id, ok := s.producerIDs.takeID()
	if !ok {
		out, err := s.submit(ctx, []metadata.Command{metadata.AllocateProducers{Count: producerBlockSize}})
		code, _ := r.commandError(out, err, 0)
		if code != noError {
			// Always retriable: clients wait for a producer id.
			resp.ErrorCode = kerr.CoordinatorLoadInProgress.Code
			return resp
		}
		id = metadata.ProducerID(out.Commands[0].Value)
		s.producerIDs.startBlock(id)
	}
	resp.ProducerID, resp.ProducerEpoch = int64(id), 0
	return resp
}

// MaxTxnTimeoutMs is Kafka's transaction.max.timeout.ms.
const MaxTxnTimeoutMs = 15 * 60 * 1000

func (s *Server) initTxnProducer(ctx context.Context, r *request, q *kmsg.InitProducerIDRequest, resp *kmsg.InitProducerIDResponse) {
	id, timeout := *q.TransactionalID, q.TransactionTimeoutMillis
	producer, epoch := int64(metadata.NoProducer), int16(-1)
	if q.Version >= 3 {
		producer, epoch = q.ProducerID, q.ProducerEpoch
	}
	switch {
	case id == "" || len(id) > metadata.MaxTxnIDBytes:
		resp.ErrorCode = kerr.InvalidRequest.Code
		return
	case timeout <= 0 || timeout > MaxTxnTimeoutMs:
		resp.ErrorCode = kerr.InvalidTransactionTimeout.Code
		return
	}
	out, code := s.commitTxnCommand(ctx, r, metadata.InitTxn{ID: id, Producer: metadata.ProducerID(producer), Epoch: metadata.ProducerEpoch(epoch),
		Timeout: metadata.UnixMilli(timeout)})
	if resp.ErrorCode = mapFencedCode(code, q.Version >= 4); code == noError {
		resp.ProducerID, resp.ProducerEpoch = out.Value, int16(out.Epoch)
	}
}
