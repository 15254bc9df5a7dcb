package broker

import (
	"context"
	"net"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/broker/schema"
	"github.com/zonewise/zonewise/router"
)

// request is one request, for its handler.
type request struct {
	requestHeader
	api  *api
	body []byte
	size int   // bytes on the socket
	conn *conn // where it arrived
	// barrierTurn is Replica.BarrierTurn when it arrived.
	barrierTurn uint64
	evidence    router.Evidence // set when it is the request's turn to be answered
	// releaseFrame gives the memory of the request's bytes back before the response;
	// nothing may reference them any more. Set when it is the request's turn.
	releaseFrame  func()
	responseBytes int64 // size of the response so far, for handlers that count it
	// releaseHeavySlot ends the request's heavy work: the rest waits for the log.
	releaseHeavySlot func()
}

// response is the result of a handler.
type response struct {
	resp kmsg.Response // encoded by the connection; nil if head is set
	// admission is released once resp is encoded.
	admission *admission
	head      []byte      // a response encoded by the handler, after appendResponseHeader
	tail      net.Buffers // the bytes after head, not copied
	// noResponse: nothing is sent (acks=0). closeConnection: the connection ends.
	noResponse, closeConnection bool
	// attribution attributes the response's bytes to topics.
	attribution attribution
	// release is called when the response is written or abandoned.
	release func()
}

// api is one row of the table of served APIs.
type api struct {
	key           int16
	name          string // Kafka's name of the key
	min, max      int16  // versions served
	minAdvertised int16  // the lowest version advertised
	flexible      int16  // first flexible version
	// beginOnReader, if set, runs on the connection's reader in order of arrival, and returns
	// the function that the writer runs when it is the request's turn to be
	// answered. Without it everything happens at that turn, in serve.
	beginOnReader func(s *Server, ctx context.Context, r *request) (func(context.Context) response, error)
	serve         func(s *Server, ctx context.Context, r *request) (response, error)
	traffic       trafficKind
	// mayBlock: a response may take minutes. The request's memory is released
	// before; the handler copies what it keeps.
	mayBlock bool
	// estimateResponse estimates the size of the response in bytes; nil: by the
	// request's size (responseSizeFactor).
	estimateResponse func(s *Server, q kmsg.Request) int64

	// Set when the server opens.
	shapes   []*schema.Shape // by version
	requests prometheus.Counter
}

// notFlexible is api.flexible of an API without flexible versions.
const notFlexible = 127

// newAPITable is the table: Apache Kafka 4.4's versions, except what is not
// served. Produce advertises version 0 though 3 is the lowest served: older
// librdkafka takes a higher minimum for "no compression" (KAFKA-18659).
func newAPITable(groups bool) []api {
	out := []api{
		{key: 0, name: "Produce", min: 3, max: 13, minAdvertised: 0, flexible: 9, beginOnReader: (*Server).beginProduce, traffic: trafficProduce},
		{key: 1, name: "Fetch", min: 4, max: 18, minAdvertised: 4, flexible: 12, serve: (*Server).handleFetch, traffic: trafficFetch},
		{key: 2, name: "ListOffsets", min: 1, max: 11, minAdvertised: 1, flexible: 6, serve: serveDecoded((*Server).handleListOffsets)},
		{key: 3, name: "Metadata", min: 0, max: 13, minAdvertised: 0, flexible: 9, serve: serveDecoded((*Server).handleMetadata), estimateResponse: (*Server).estimateMetadata},
		{key: 18, name: "ApiVersions", min: 0, max: 5, minAdvertised: 0, flexible: 3, serve: serveDecoded((*Server).handleAPIVersions)},
		{key: 19, name: "CreateTopics", min: 2, max: 7, minAdvertised: 2, flexible: 5, serve: serveDecoded((*Server).handleCreateTopics)},
		{key: 20, name: "DeleteTopics", min: 1, max: 6, minAdvertised: 1, flexible: 4, serve: serveDecoded((*Server).handleDeleteTopics)},
		{key: 21, name: "DeleteRecords", min: 0, max: 2, minAdvertised: 0, flexible: 2, serve: serveDecoded((*Server).handleDeleteRecords)},
		{key: 22, name: "InitProducerId", min: 0, max: 5, minAdvertised: 0, flexible: 2, serve: serveDecoded((*Server).handleInitProducerID)},
		{key: 23, name: "OffsetForLeaderEpoch", min: 2, max: 4, minAdvertised: 2, flexible: 4, serve: serveDecoded((*Server).handleOffsetForLeaderEpoch)},
		{key: 24, name: "AddPartitionsToTxn", min: 0, max: 5, minAdvertised: 0, flexible: 3, serve: serveDecoded((*Server).handleAddPartitionsToTxn)},
		{key: 26, name: "EndTxn", min: 0, max: 5, minAdvertised: 0, flexible: 3, serve: serveDecoded((*Server).handleEndTxn)},
		{key: 27, name: "WriteTxnMarkers", min: 1, max: 2, minAdvertised: 1, flexible: 1, serve: serveDecoded((*Server).handleWriteTxnMarkers)},
		{key: 32, name: "DescribeConfigs", min: 1, max: 4, minAdvertised: 1, flexible: 4, serve: serveDecoded((*Server).handleDescribeConfigs), estimateResponse: (*Server).estimateDescribeConfigs},
		{key: 33, name: "AlterConfigs", min: 0, max: 2, minAdvertised: 0, flexible: 2, serve: serveDecoded((*Server).handleAlterConfigs)},
		{key: 37, name: "CreatePartitions", min: 0, max: 3, minAdvertised: 0, flexible: 2, serve: serveDecoded((*Server).handleCreatePartitions)},
		{key: 44, name: "IncrementalAlterConfigs", min: 0, max: 1, minAdvertised: 0, flexible: 1, serve: serveDecoded((*Server).handleIncrementalAlterConfigs)},
		{key: 60, name: "DescribeCluster", min: 0, max: 2, minAdvertised: 0, flexible: 0, serve: serveDecoded((*Server).handleDescribeCluster)},
		{key: 61, name: "DescribeProducers", min: 0, max: 0, minAdvertised: 0, flexible: 0, serve: serveDecoded((*Server).handleDescribeProducers), estimateResponse: (*Server).estimateDescribeProducers},
		{key: 65, name: "DescribeTransactions", min: 0, max: 0, minAdvertised: 0, flexible: 0, serve: serveDecoded((*Server).handleDescribeTransactions), estimateResponse: (*Server).estimateDescribeTransactions},
		{key: 66, name: "ListTransactions", min: 0, max: 2, minAdvertised: 0, flexible: 0, serve: serveDecoded((*Server).handleListTransactions), estimateResponse: (*Server).estimateListTransactions},
		{key: 75, name: "DescribeTopicPartitions", min: 0, max: 0, minAdvertised: 0, flexible: 0, serve: serveDecoded((*Server).handleDescribeTopicPartitions)},
	}
	out = append(out, adminAPIs()...)
	if groups {
		out = append(out, groupAPIs()...)
	}
	return out
}

// serveDecoded makes a serve function of a handler that takes a decoded request
// and returns its response. A body that cannot be decoded ends the connection.
func serveDecoded[Q any, P interface {
	*Q
	kmsg.Request
}, R kmsg.Response](handle func(*Server, context.Context, *request, P) R) func(*Server, context.Context, *request) (response, error) {
	return func(s *Server, ctx context.Context, r *request) (response, error) {
		admitted, size, err := s.admitRequest(ctx, r)
		if err != nil {
			return response{}, err
		}
		a := response{admission: &admitted}
		q := P(new(Q))
		q.SetVersion(r.version)
		if err := q.ReadFrom(r.body); err != nil {
			return a, newDecodeError(r, err)
		}
		bytes := responseSizeFactor * size.Bytes
		if r.api.estimateResponse != nil {
			bytes = r.api.estimateResponse(s, q)
		}
		if err := admitted.expectResponseBytes(ctx, bytes); err != nil {
			return a, err
		}
		r.releaseHeavySlot = admitted.releaseHeavySlot
		if r.api.mayBlock {
			r.body = nil
			r.releaseFrame()
			admitted.releaseAll()
		}
		a.resp = handle(s, ctx, r, q)
		return a, r.checkResponseSize(r.responseBytes)
	}
}
