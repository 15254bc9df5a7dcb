package metadata

import (
	"slices"
	"strconv"
	"strings"
)

// Retention is how long, and up to which size, a partition's records are kept.
// A negative value: without a limit.
type Retention struct {
	Time  UnixMilli // retention.ms
	Bytes int64     // retention.bytes
}

// DefaultRetentionTime is retention.ms where neither the topic nor the brokers'
// default (log.retention.ms) sets it: seven days, as in Kafka.
const DefaultRetentionTime UnixMilli = 7 * 24 * 3600 * 1000

// keepsAll reports whether nothing is ever deleted.
func (r Retention) keepsAll() bool { return r.Time < 0 && r.Bytes < 0 }

// Retention returns a topic's retention, as of its configs and the brokers' at this
// revision. Without "delete" in cleanup.policy nothing expires; an empty policy is
// such a one (KIP-1161).
func (s *State) Retention(t *Topic) Retention {
	brokers := s.Configs(ResourceBroker, "")
	config := func(topic, broker string, def int64) int64 {
		for _, v := range []string{t.Configs[topic], brokers[broker]} {
			if n, err := strconv.ParseInt(v, 10, 64); err == nil {
				return n
			}
		}
		return def
	}
	if !s.HasPolicy(t, "delete") {
		return Retention{-1, -1}
	}
	return Retention{Time: UnixMilli(config("retention.ms", "log.retention.ms", int64(DefaultRetentionTime))),
		Bytes: config("retention.bytes", "log.retention.bytes", -1)}
}

// HasPolicy reports whether a topic's cleanup.policy, its own or the brokers' default,
// has delete or compact.
func (s *State) HasPolicy(t *Topic, policy string) bool {
	all, set := t.Configs["cleanup.policy"]
	if !set {
		if all, set = s.Configs(ResourceBroker, "")["log.cleanup.policy"]; !set {
			all = "delete"
		}
	}
	return slices.ContainsFunc(strings.Split(all, ","), func(p string) bool { return strings.TrimSpace(p) == policy })
}

// commitTime is a state time and a revision: what was committed up to the revision
// was committed at the time or before.
type commitTime struct {
	revision Revision
	time     UnixMilli
}

// maxCommitTimes is how many commit times are kept. When there are more, each is dropped
// whose neighbours are closer to each other than a 48th of its age: some 1,700 are left
// for ten years, and records without a timestamp stay at most a 48th longer.
const maxCommitTimes = 2048

// recordCommitTime adds state time at a tick.
func (s *State) recordCommitTime() {
	list := append(s.commitTimes, commitTime{s.revision, s.time})
	if len(list) > maxCommitTimes {
		thinned := make([]commitTime, 0, maxCommitTimes)
		for i, c := range list {
			n := len(thinned)
			if n > 0 && i+1 < len(list) && list[i+1].time-thinned[n-1].time < (s.time-c.time)/48 {
				continue
			}
			thinned = append(thinned, c)
		}
		list = thinned
	}
	s.commitTimes = list
}

// commitTimeOf returns a time at or after that of the entry at a revision.
func (s *State) commitTimeOf(rev Revision) UnixMilli {
	i, _ := slices.BinarySearchFunc(s.commitTimes, rev, func(c commitTime, rev Revision) int {
		if c.revision < rev {
			return -1
		}
		return 1
	})
	if i == len(s.commitTimes) {
		return s.time
	}
	return s.commitTimes[i].time
}

// spanTime is the time by which a span expires: that of its newest record, or of
// its commit where records have none.
func (s *State) spanTime(sp *Span) UnixMilli {
	if sp.MaxTimestamp < 0 {
		return s.commitTimeOf(sp.Revision)
	}
	return sp.MaxTimestamp
}

// expired reports whether a partition's first span is to be deleted, Kafka's way: by
// time where it is older than the retention, whatever comes behind it; by size
// where what remains is still as large as the retention.
func (s *State) expired(r Retention, p *partitionState, first *Span) bool {
	if r.Time >= 0 && s.time-s.spanTime(first) > r.Time {
		return true
	}
	size := int64(first.Length)
	if first.Marker() {
		size = 0
	}
	return r.Bytes >= 0 && p.live-size >= r.Bytes
}

// enforceRetention deletes a partition's expired records, at most items spans of
// them, and returns how many it deleted. It does nothing while an earlier trim is
// being released: the partition's size is not known then.
func (s *State) enforceRetention(tp TopicPartition, items int) (done int) {
	t := s.topics.get(tp.Topic)
	if t == nil || s.partitions.get(tp) == nil {
		return 0
	}
	r := s.Retention(t)
	p := s.partitions.get(tp)
	if p.releasing {
		return 0
	}
	if r.keepsAll() || len(p.spans) == 0 || !s.expired(r, p, &p.spans[0]) {
		s.refreshIndex(tp, true)
		return 0
	}
	p = s.partitions.mutable(tp)
	s.itemHashSum -= hashPartition(tp, *p)
	for done < items && len(p.spans) > 0 && s.expired(r, p, &p.spans[0]) {
		p.logStart = max(p.logStart, p.spans[0].End())
		s.releaseBelow(tp, p, p.logStart, 1)
		done++
	}
	s.releaseOrQueue(tp, p)
	s.itemHashSum += hashPartition(tp, *p)
	s.indexFirstSpan(tp, p)
	s.refreshIndex(tp, done < items)
	return done
}

// MaxRetentionPartitions is how many partitions one EnforceRetention names at most.
const MaxRetentionPartitions = 1_000

// EnforceRetention deletes the expired records of partitions, at most
// MaxReleaseItems spans in all: what is expired is decided by the configs and the
// state time at its own revision. Outcome.Value is how many spans it deleted.
type EnforceRetention struct{ Partitions []TopicPartition }

// Kind implements Command.
func (EnforceRetention) Kind() CommandKind { return 46 }

func (c EnforceRetention) encode(w *writer) { w.writeTopicPartitions(c.Partitions) }

func decodeEnforceRetention(r *reader) Command { return EnforceRetention{r.readTopicPartitions()} }

func (c EnforceRetention) apply(s *State, _ *Entry) CommandOutcome {
	if len(c.Partitions) > MaxRetentionPartitions {
		return refuse(CodeInvalidRequest, "%d partitions, at most %d", len(c.Partitions), MaxRetentionPartitions)
	}
	done := 0
	for _, tp := range c.Partitions {
		if done >= MaxReleaseItems {
			break
		}
		done += s.enforceRetention(tp, MaxReleaseItems-done)
	}
	return CommandOutcome{Value: int64(done)}
}
