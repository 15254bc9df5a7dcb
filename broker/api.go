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
	header
	api  *api
	body []byte
	size int             // bytes on the socket
	conn *conn           // whose it is
	from router.Evidence // set when its turn to be answered has come
	// freeFrame gives the memory of the request's bytes back before the answer;
	// nothing may refer to them any more. Set when its turn has come.
	freeFrame func()
	spent     int64 // bytes of the answer so far, of handlers that count
	// lighten ends the request's heavy work: what follows waits for the log.
	lighten func()
}

// answer is what a handler makes of a request.
type answer struct {
	resp kmsg.Response // encoded by the connection; nil where head is set
	// admitted is given back once resp is encoded.
	admitted *admission
	head     []byte      // an answer encoded by the handler, begun with appendAnswerHeader
	tail     net.Buffers // what follows head, not copied
	// silent: nothing is sent (acks=0). hangUp: the connection ends.
	silent, hangUp bool
	// bill says whose the answer's bytes are.
	bill bill
	// release is called when the answer is written or given up.
	release func()
}

// api is one row of the table of what is served.
type api struct {
	key      int16
	min, max int16 // versions served
	shown    int16 // the lowest version advertised
	flexible int16 // first flexible version
	// take, where set, runs on the connection's reader in order of arrival and
	// returns what the writer runs when the request's turn to be answered has
	// come. Where it is nil all happens at that turn, in serve.
	take  func(s *Server, ctx context.Context, r *request) (func(context.Context) answer, error)
	serve func(s *Server, ctx context.Context, r *request) (answer, error)
	kind  billKind
	// waits: an answer may take minutes. What the request took is given back
	// before; the handler has copied what it keeps.
	waits bool
	// answers estimates how many bytes the answer may have, where that does not
	// follow from the request's own size; nil: it does.
	answers func(s *Server, q kmsg.Request) int64

	// Set when the server opens.
	shapes []*schema.Shape // by version
	asked  prometheus.Counter
}

// notFlexible is api.flexible of an API that has no flexible version.
const notFlexible = 127

// apis is the table: Apache Kafka 4.4's ranges, less what is not served.
// Produce shows versions from 0 on though 3 is the lowest served: older
// librdkafka takes a higher minimum for "no compression" (KAFKA-18659).
func apis(groups bool) []api {
	out := []api{
		{key: 0, min: 3, max: 13, shown: 0, flexible: 9, take: (*Server).takeProduce, kind: billProduce},
		{key: 1, min: 4, max: 18, shown: 4, flexible: 12, serve: (*Server).serveFetch, kind: billFetch},
		{key: 2, min: 1, max: 11, shown: 1, flexible: 6, serve: plain((*Server).listOffsets)},
		{key: 3, min: 0, max: 13, shown: 0, flexible: 9, serve: plain((*Server).metadata), answers: (*Server).metadataBytes},
		{key: 18, min: 0, max: 5, shown: 0, flexible: 3, serve: plain((*Server).apiVersions)},
		{key: 19, min: 2, max: 7, shown: 2, flexible: 5, serve: plain((*Server).createTopics)},
		{key: 20, min: 1, max: 6, shown: 1, flexible: 4, serve: plain((*Server).deleteTopics)},
		{key: 21, min: 0, max: 2, shown: 0, flexible: 2, serve: plain((*Server).deleteRecords)},
		{key: 22, min: 0, max: 5, shown: 0, flexible: 2, serve: plain((*Server).initProducerID)},
		{key: 23, min: 2, max: 4, shown: 2, flexible: 4, serve: plain((*Server).offsetForLeaderEpoch)},
		{key: 24, min: 0, max: 5, shown: 0, flexible: 3, serve: plain((*Server).addPartitionsToTxn)},
		{key: 26, min: 0, max: 5, shown: 0, flexible: 3, serve: plain((*Server).endTxn)},
		{key: 27, min: 1, max: 2, shown: 1, flexible: 1, serve: plain((*Server).writeTxnMarkers)},
		{key: 32, min: 1, max: 4, shown: 1, flexible: 4, serve: plain((*Server).describeConfigs), answers: (*Server).describeConfigsBytes},
		{key: 33, min: 0, max: 2, shown: 0, flexible: 2, serve: plain((*Server).alterConfigs)},
		{key: 37, min: 0, max: 3, shown: 0, flexible: 2, serve: plain((*Server).createPartitions)},
		{key: 44, min: 0, max: 1, shown: 0, flexible: 1, serve: plain((*Server).incrementalAlterConfigs)},
		{key: 60, min: 0, max: 2, shown: 0, flexible: 0, serve: plain((*Server).describeCluster)},
		{key: 61, min: 0, max: 0, shown: 0, flexible: 0, serve: plain((*Server).describeProducers), answers: (*Server).producersBytes},
		{key: 65, min: 0, max: 0, shown: 0, flexible: 0, serve: plain((*Server).describeTransactions), answers: (*Server).describeTxnsBytes},
		{key: 66, min: 0, max: 2, shown: 0, flexible: 0, serve: plain((*Server).listTransactions), answers: (*Server).listTxnsBytes},
		{key: 75, min: 0, max: 0, shown: 0, flexible: 0, serve: plain((*Server).describeTopicPartitions)},
	}
	out = append(out, adminAPIs()...)
	if groups {
		out = append(out, groupAPIs()...)
	}
	return out
}

// plain makes a serve function of a handler that takes a decoded request and
// returns its response. A body that cannot be decoded ends the connection.
func plain[Q any, P interface {
	*Q
	kmsg.Request
}, R kmsg.Response](handle func(*Server, context.Context, *request, P) R) func(*Server, context.Context, *request) (answer, error) {
	return func(s *Server, ctx context.Context, r *request) (answer, error) {
		admitted, size, err := s.admit(ctx, r)
		if err != nil {
			return answer{}, err
		}
		a := answer{admitted: &admitted}
		q := P(new(Q))
		q.SetVersion(r.version)
		if err := q.ReadFrom(r.body); err != nil {
			return a, decodeError(r, err)
		}
		bytes := answerFactor * size.Bytes
		if r.api.answers != nil {
			bytes = r.api.answers(s, q)
		}
		if err := admitted.expect(ctx, bytes); err != nil {
			return a, err
		}
		r.lighten = admitted.lighten
		if r.api.waits {
			r.body = nil
			r.freeFrame()
			admitted.release()
		}
		a.resp = handle(s, ctx, r, q)
		return a, r.tooLarge(r.spent)
	}
}
