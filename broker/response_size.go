package broker

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// Bytes that answers take by what they name, encoded, as estimates of how much
// work and memory they are: too much by a third is good enough.
const (
	topicResponseBytes       = 100 // in Metadata, with its name
	partitionResponseBytes   = 60
	logDirResponseBytes      = 24 // a partition in DescribeLogDirs
	configsResponseBytes     = 9 << 10
	groupResponseBytes       = 4 << 10 // described, with some members
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

func (s *Server) estimateMetadata(q kmsg.Request) (sum int64) {
	topics := q.(*kmsg.MetadataRequest).Topics
	if topics == nil || len(topics) == 0 && q.GetVersion() == 0 {
		return s.readUseCount("topics")*topicResponseBytes + s.readUseCount("partitions")*partitionResponseBytes
	}
	s.viewEach(context.Background(), len(topics), func(st *metadata.State, i int) {
		name := ""
		if topics[i].Topic != nil {
			name = *topics[i].Topic
		}
		t, _ := lookupTopic(st, name, topics[i].TopicID)
		sum += topicResponseBytes + int64(t.Partitions)*partitionResponseBytes
	})
	return sum
}

func (s *Server) estimateLogDirs(q kmsg.Request) (sum int64) {
	topics := q.(*kmsg.DescribeLogDirsRequest).Topics
	if topics == nil {
		return s.readUseCount("topics")*topicResponseBytes + s.readUseCount("partitions")*logDirResponseBytes
	}
	for i := range topics {
		sum += topicResponseBytes + int64(len(topics[i].Partitions))*logDirResponseBytes
	}
	return sum
}

func (s *Server) estimateOffsetFetch(q kmsg.Request) (sum int64) {
	r := q.(*kmsg.OffsetFetchRequest)
	every := func(group string) {
		s.cfg.Replica.View(func(st *metadata.State) {
			v, _ := st.Group(group)
			sum += int64(len(v.Offsets)) * offsetResponseBytes
		})
	}
	if r.Version < 8 && r.Topics == nil {
		every(r.Group)
	}
	for i := range r.Topics {
		sum += topicResponseBytes + int64(len(r.Topics[i].Partitions))*offsetResponseBytes
	}
	for i := range r.Groups {
		sum += listedResponseBytes
		if r.Groups[i].Topics == nil {
			every(r.Groups[i].Group)
		}
		for _, t := range r.Groups[i].Topics {
			sum += topicResponseBytes + int64(len(t.Partitions))*offsetResponseBytes
		}
	}
	return sum
}

func (s *Server) estimateDescribeConfigs(q kmsg.Request) int64 {
	return int64(len(q.(*kmsg.DescribeConfigsRequest).Resources)) * configsResponseBytes
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

func (s *Server) estimateListGroups(kmsg.Request) int64 {
	return s.readUseCount("groups") * listedResponseBytes
}

func (s *Server) estimateDescribeProducers(q kmsg.Request) (sum int64) {
	for _, t := range q.(*kmsg.DescribeProducersRequest).Topics {
		sum += topicResponseBytes + int64(len(t.Partitions))*producersResponseBytes
	}
	return sum
}

func (s *Server) estimateDescribeTransactions(q kmsg.Request) int64 {
	return int64(len(q.(*kmsg.DescribeTransactionsRequest).TransactionalIDs)) * transactionResponseBytes
}

func (s *Server) estimateListTransactions(kmsg.Request) int64 {
	return s.readUseCount("transactional_ids") * listedResponseBytes
}

func (s *Server) estimateListConfigResources(kmsg.Request) int64 {
	return s.readUseCount("topics") * listedResponseBytes
}

// addResponseBytes counts bytes of an answer as it is built, where a few bytes of a request
// may ask for many: the same thing a million times. false: it becomes too
// large, and no answer is given.
func (r *request) addResponseBytes(bytes int) bool {
	r.responseBytes += int64(bytes)
	return r.responseBytes <= r.conn.s.responses.maxPerConn
}

// checkResponseSize says why a request has no answer; nil where it may have one.
func (r *request) checkResponseSize(bytes int64) error {
	if most := r.conn.s.responses.maxPerConn; bytes > most {
		return fmt.Errorf("the response to API key %d would be %d MiB or more, limit %d MiB: request less at a time", r.key, bytes>>20, most>>20)
	}
	return nil
}
