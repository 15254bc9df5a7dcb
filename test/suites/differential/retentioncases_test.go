//go:build differential

package differential

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	hourMs  = 3_600_000
	century = "3153600000000"
)

func retentionCases() []retentionCase {
	return []retentionCase{
		{"DeleteRecords step by step", func(s *story) {
			s.newTopic()
			s.produce(repeat(0, 10)...)
			s.bounds()
			for _, to := range []int64{3, 2, 0, 3, 11, -2, 5, -1, 10, 11} {
				s.deleteRecords(0, to)
				s.bounds()
			}
			s.deleteRecords(9, 1)
			s.produce(0)
			s.bounds()
		}},
		{"DeleteRecords by cleanup.policy", func(s *story) {
			for _, policy := range []string{"delete", "compact", "compact,delete", ""} {
				s.newTopic("cleanup.policy=" + policy)
				s.produce(0, 0)
				s.add("cleanup.policy %q", policy)
				s.deleteRecords(0, 1)
				s.bounds()
			}
		}},
		{"consumers at deleted offsets", func(s *story) {
			s.newTopic()
			s.produce(repeat(0, 6)...)
			s.deleteRecords(0, 4)
			for _, at := range []int64{0, 3, 4, 5, 6, 7} {
				s.fetchCode(at)
			}
			s.consume("earliest", 1, kgo.NewOffset().AtStart(), 2, nil)
			s.consume("none", 1, kgo.NoResetOffset(), 2, nil)
			s.consume("latest", 1, kgo.NewOffset().AtEnd(), 1, func() { s.produce(0) })
		}},
		{"a partition without records", func(s *story) {
			s.newTopic()
			s.produce(0, 0)
			s.deleteRecords(0, -1)
			s.fetchCode(0)
			s.fetchCode(2)
			for _, spec := range []int64{-1, -2, 0} { // -3: Kafka names a deleted record of the last segment
				s.addListed(spec)
			}
		}},
		{"ListOffsets by time after trims", func(s *story) {
			s.newTopic("retention.ms=-1")
			s.produceAt(1000, 5000, 3000, 9000, 7000)
			for _, to := range []int64{0, 1, 2, 4} {
				s.deleteRecords(0, to)
				time.Sleep(segmentTime) // until then, Kafka finds what is deleted and answers that there is nothing
				for _, spec := range []int64{-1, -2, -3, 0, 1000, 3000, 4000, 8000, 9000, 9001} {
					s.addListed(spec)
				}
			}
		}},
		{"a group below the log start", func(s *story) {
			s.newTopic()
			s.produce(repeat(0, 6)...)
			group := "group-of-" + s.topic
			s.commit(group, 2)
			s.deleteRecords(0, 4)
			s.committed(group)
			s.readGroup(group, 2)
			s.commit(group, 1)
			s.committed(group)
		}},
		{"transactions partly trimmed", func(s *story) {
			s.newTopic()
			p := s.newClient(kgo.TransactionalID("t-"+s.topic), kgo.ProducerLinger(0))
			s.transact(p, 2, kgo.TryCommit) // 0 1, marker 2
			s.transact(p, 2, kgo.TryAbort)  // 3 4, marker 5
			s.transact(p, 1, kgo.TryCommit) // 6, marker 7
			s.awaitStable(8)
			for _, step := range []struct {
				to   int64
				left int // committed records
			}{{1, 2}, {4, 1}, {5, 1}, {6, 1}, {7, 0}, {8, 0}} {
				s.deleteRecords(0, step.to)
				s.fetchCode(step.to)
				s.consume("earliest", step.to, kgo.NewOffset().AtStart(), step.left, nil)
			}
		}},
		{"a topic made again", func(s *story) {
			s.newTopic()
			group := "group-of-" + s.topic
			for range 3 {
				s.produce(repeat(0, 5)...)
				p := s.newClient(kgo.TransactionalID("t-" + s.topic))
				s.transact(p, 1, kgo.TryAbort)
				s.transact(p, 1, kgo.TryCommit)
				p.Close()
				s.awaitStable(9)
				s.commit(group, 5)
				s.deleteRecords(0, 2)
				_, err := s.admin.DeleteTopic(s.ctx, s.topic)
				s.add("delete: %s", codeOf(err))
				delete(s.starts, s.topic)
				time.Sleep(500 * time.Millisecond)
				s.createTopic()
				time.Sleep(500 * time.Millisecond)
				s.PurgeTopicsFromClient(s.topic)
				s.bounds()
				s.committed(group)
			}
		}},
		{"retention.ms of 1", func(s *story) {
			s.newTopic("retention.ms=1")
			s.produce(repeat(0, 3)...)
			s.expire(3)
			s.bounds()
			s.fetchCode(0)
			s.fetchCode(3)
		}},
		{"retention.bytes of 0", func(s *story) {
			s.newTopic("retention.bytes=0")
			s.produce(repeat(0, 3)...)
			s.expire(3)
			s.bounds()
		}},
		{"retention.bytes of three batches", func(s *story) {
			s.newTopic("retention.bytes=222") // a batch has 74 bytes
			s.produce(repeat(0, 9)...)
			s.expire(6)
			s.setConfig("retention.bytes", "223")
			s.produce(0)
			s.keep()
			s.setConfig("retention.bytes", "-1")
			s.produce(repeat(0, 3)...)
			s.keep()
			s.setConfig("retention.bytes", "1")
			s.expire(12)
		}},
		{"retention.ms changed both ways", func(s *story) {
			s.newTopic("retention.ms=-1")
			s.produce(2*hourMs, 2*hourMs, hourMs)
			s.keep()
			s.setConfig("retention.ms", century)
			s.keep()
			s.setConfig("retention.ms", fmt.Sprint(hourMs*3/2))
			s.expire(2)
			s.setConfig("retention.ms", "-1")
			s.produce(3 * hourMs)
			s.keep()
			s.setConfig("retention.ms", "60000")
			s.expire(4)
			s.produce(0, hourMs)
			s.keep()
		}},
		{"only the first record's time counts", func(s *story) {
			s.newTopic(fmt.Sprint("retention.ms=", hourMs))
			s.produce(2*hourMs, 0, 2*hourMs)
			s.expire(1)
			s.deleteRecords(0, 2)
			s.expire(3)
		}},
		{"records without timestamps", func(s *story) {
			s.newTopic("retention.ms=600000")
			for range 2 {
				for s.ctx.Err() == nil && s.produceRaw(rawBatch{values: []string{"a"}, noTime: true}) != "taken" {
					time.Sleep(100 * time.Millisecond) // Kafka's broker has not heard of the topic yet
				}
			}
			s.keep()
			s.setConfig("retention.ms", "1")
			s.expire(2)
		}},
		{"policies that do not delete", func(s *story) {
			for _, policy := range []string{"compact", ""} {
				s.newTopic("cleanup.policy="+policy, "retention.ms=1", "retention.bytes=0")
				s.produce(hourMs, 0)
				s.keep()
				s.setConfig("cleanup.policy", "delete")
				s.expire(2)
			}
		}},
	}
}

// addListed adds the answer of ListOffsets.
func (s *story) addListed(spec int64) {
	at, stamp, code := s.listOffset(spec)
	s.add("offset at %d: %d, time %d, %s", spec, at, stamp, code)
}
