package broker

import (
	"context"
	"net"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/broker/schema"
	"github.com/zonewise/zonewise/router"
)

// request is one request as its handlers see it.
type request struct {
	requestHeader
	api      *api
	body     []byte
	size     int             // bytes on the socket
	conn     *conn           // whose it is
	evidence router.Evidence // set when its turn to be answered has come
	// releaseFrame gives the memory of the request's bytes back before the answer;
	// nothing may refer to them any more. Set when its turn has come.
	releaseFrame  func()
	responseBytes int64 // bytes of the answer so far, of handlers that count
	// releaseHeavySlot ends the request's heavy work: what follows waits for the log.
	releaseHeavySlot func()
}

// response is what a handler makes of a request.
type response struct {
	resp kmsg.Response // encoded by the connection; nil where head is set
	// admission is given back once resp is encoded.
	admission *admission
	head      []byte      // an answer encoded by the handler, begun with appendResponseHeader
	tail      net.Buffers // what follows head, not copied
	// noResponse: nothing is sent (acks=0). closeConnection: the connection ends.
	noResponse, closeConnection bool
	// attribution says whose the answer's bytes are.
	attribution attribution
	// release is called when the answer is written or given up.
	release func()
}

// api is one row of the table of what is served.
type api struct {
	key           int16
	name          string // Kafka's name of the key
	min, max      int16  // versions served
	minAdvertised int16  // the lowest version advertised
	flexible      int16  // first flexible version
	// beginOnReader, where set, runs on the connection's reader in order of arrival and
	// returns what the writer runs when the request's turn to be answered has
	// come. Where it is nil all happens at that turn, in serve.
	beginOnReader func(s *Server, ctx context.Context, r *request) (func(context.Context) response, error)
	serve         func(s *Server, ctx context.Context, r *request) (response, error)
	traffic       trafficKind
	// mayBlock: an answer may take minutes. What the request took is given back
	// before; the handler has copied what it keeps.
	mayBlock bool
	// estimateResponse estimates how many bytes the answer may have, where that does not
	// follow from the request's own size; nil: it does.
	estimateResponse func(s *Server, q kmsg.Request) int64

	// Set when the server opens.
	shapes   []*schema.Shape // by version
	requests prometheus.Counter
}

// notFlexible is api.flexible of an API that has no flexible version.
const notFlexible = 127

// newAPITable is the table: Apache Kafka 4.4's ranges, less what is not served.
// Produce shows versions from 0 on though 3 is the lowest served: older
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

// serveDecoded makes a serve function of a handler that takes a decoded request and
// returns its response. A body that cannot be decoded ends the connection.
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
