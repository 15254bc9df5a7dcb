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
	bytesOfTopic       = 100 // in Metadata, with its name
	bytesOfPartition   = 60
	bytesOfLogDir      = 24 // a partition in DescribeLogDirs
	bytesOfConfigs     = 9 << 10
	bytesOfGroup       = 4 << 10 // described, with some members
	bytesOfListed      = 100     // a group, a transaction or a resource in a list
	bytesOfOffset      = 40
	bytesOfProducers   = 2 << 10 // of a partition
	bytesOfTransaction = 1 << 10
)

// used reads one of the state's counters.
func (s *Server) used(name string) (n int64) {
	s.cfg.Replica.View(func(st *metadata.State) { n = int64(st.Use(name).Used) })
	return n
}

func (s *Server) metadataBytes(q kmsg.Request) (sum int64) {
	topics := q.(*kmsg.MetadataRequest).Topics
	if topics == nil || len(topics) == 0 && q.GetVersion() == 0 {
		return s.used("topics")*bytesOfTopic + s.used("partitions")*bytesOfPartition
	}
	s.viewEach(context.Background(), len(topics), func(st *metadata.State, i int) {
		name := ""
		if topics[i].Topic != nil {
			name = *topics[i].Topic
		}
		t, _ := lookTopic(st, name, topics[i].TopicID)
		sum += bytesOfTopic + int64(t.Partitions)*bytesOfPartition
	})
	return sum
}

func (s *Server) logDirsBytes(q kmsg.Request) (sum int64) {
	topics := q.(*kmsg.DescribeLogDirsRequest).Topics
	if topics == nil {
		return s.used("topics")*bytesOfTopic + s.used("partitions")*bytesOfLogDir
	}
	for i := range topics {
		sum += bytesOfTopic + int64(len(topics[i].Partitions))*bytesOfLogDir
	}
	return sum
}

func (s *Server) offsetFetchBytes(q kmsg.Request) (sum int64) {
	r := q.(*kmsg.OffsetFetchRequest)
	every := func(group string) {
		s.cfg.Replica.View(func(st *metadata.State) {
			v, _ := st.Group(group)
			sum += int64(len(v.Offsets)) * bytesOfOffset
		})
	}
	if r.Version < 8 && r.Topics == nil {
		every(r.Group)
	}
	for i := range r.Topics {
		sum += bytesOfTopic + int64(len(r.Topics[i].Partitions))*bytesOfOffset
	}
	for i := range r.Groups {
		sum += bytesOfListed
		if r.Groups[i].Topics == nil {
			every(r.Groups[i].Group)
		}
		for _, t := range r.Groups[i].Topics {
			sum += bytesOfTopic + int64(len(t.Partitions))*bytesOfOffset
		}
	}
	return sum
}

func (s *Server) describeConfigsBytes(q kmsg.Request) int64 {
	return int64(len(q.(*kmsg.DescribeConfigsRequest).Resources)) * bytesOfConfigs
}

func (s *Server) describeGroupsBytes(q kmsg.Request) int64 {
	switch q := q.(type) {
	case *kmsg.DescribeGroupsRequest:
		return int64(len(q.Groups)) * bytesOfGroup
	case *kmsg.ConsumerGroupDescribeRequest:
		return int64(len(q.Groups)) * bytesOfGroup
	}
	return 0
}

func (s *Server) listGroupsBytes(kmsg.Request) int64 { return s.used("groups") * bytesOfListed }

func (s *Server) producersBytes(q kmsg.Request) (sum int64) {
	for _, t := range q.(*kmsg.DescribeProducersRequest).Topics {
		sum += bytesOfTopic + int64(len(t.Partitions))*bytesOfProducers
	}
	return sum
}

func (s *Server) describeTxnsBytes(q kmsg.Request) int64 {
	return int64(len(q.(*kmsg.DescribeTransactionsRequest).TransactionalIDs)) * bytesOfTransaction
}

func (s *Server) listTxnsBytes(kmsg.Request) int64 {
	return s.used("transactional_ids") * bytesOfListed
}

func (s *Server) listResourcesBytes(kmsg.Request) int64 { return s.used("topics") * bytesOfListed }

// spend counts bytes of an answer as it is built, where a few bytes of a request
// may ask for many: the same thing a million times. false: it becomes too
// large, and no answer is given.
func (r *request) spend(bytes int) bool {
	r.spent += int64(bytes)
	return r.spent <= r.conn.s.answers.each
}

// tooLarge says why a request has no answer; nil where it may have one.
func (r *request) tooLarge(bytes int64) error {
	if most := r.conn.s.answers.each; bytes > most {
		return fmt.Errorf("the answer to key %d would have %d MiB or more, at most %d MiB: ask for less at a time", r.key, bytes>>20, most>>20)
	}
	return nil
}
