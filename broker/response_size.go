package broker

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// Estimated encoded bytes of the parts of responses, for the work and memory that
// they take: an overestimate by a third is good enough.
const (
	topicResponseBytes       = 100 // in Metadata, with its name
	partitionResponseBytes   = 60
	logDirResponseBytes      = 24 // a partition in DescribeLogDirs
	configsResponseBytes     = 9 << 10
	groupResponseBytes       = 4 << 10 // in DescribeGroups, with some members
	listedResponseBytes      = 100     // a group, a transaction or a resource in a list
	offsetResponseBytes      = 40
	producersResponseBytes   = 2 << 10 // of a partition
	transactionResponseBytes = 1 << 10
)

// readUseCount reads one of the state's counters.
func (s *Server) readUseCount(name string) (n int64) {
	s.cfg.Replica.View(func(st *metadata.State) { n = int64(st.LimitUsage(name).Used) })
	return n
}

func (s *Server) estimateDescribeGroups(q kmsg.Request) int64 {
	switch q := q.(type) {
	case *kmsg.DescribeGroupsRequest:
		return int64(len(q.Groups)) * groupResponseBytes
	case *kmsg.ConsumerGroupDescribeRequest:
		return int64(len(q.Groups)) * groupResponseBytes
	}
	return 0
}

// addResponseBytes counts the bytes of a response as it is built, for requests
// of few bytes that may request many: the same thing a million times. false: it
// is too large, and is not sent.
func (r *request) addResponseBytes(bytes int) bool {
	r.responseBytes += int64(bytes)
	return r.responseBytes <= r.conn.s.responses.maxPerConn
}

// checkResponseSize returns an error if a response is too large.
func (r *request) checkResponseSize(bytes int64) error {
	if most := r.conn.s.responses.maxPerConn; bytes > most {
		return fmt.Errorf("the response to %s (key %d) would be %d MiB or more, limit %d MiB: request less at a time", r.api.name, r.key, bytes>>20, most>>20)
	}
	return nil
}
