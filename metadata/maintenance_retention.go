package metadata

import "context"

// Rates of the retention role. Brokers at full load add some 20,000 spans a second
// (three brokers, two lanes, a commit every 100 ms, 300 partitions); a pass each
// second releases up to eight times as many.
const (
	maxRetentionEntries = 40    // in one pass
	maxTopicsVisited    = 5_000 // in one pass: of 50,000 topics each is visited every ten seconds
	maxSizesLookedAt    = 5_000 // partitions in one View, after a change of retention.bytes
)

// retentionPass is where the holder of the retention role is.
type retentionPass struct {
	epoch     RoleEpoch
	nextTopic int
	// scanned has the retention.bytes by which all partitions of a topic were
	// compared once: a topic that grows is found by the index, one that has only a
	// new size is not.
	scanned  map[TopicID]int64
	scanning TopicID
	scanFrom Partition
}

// enforceRetention is one pass of the retention role: it deletes expired records, and
// releases what was trimmed or belongs to deleted topics.
func (c *Maintenance) enforceRetention(ctx context.Context, role Role) error {
	if c.retention.epoch != role.Epoch {
		c.retention = retentionPass{epoch: role.Epoch, scanned: map[TopicID]int64{}}
	}
	visited := 0
	for n := range maxRetentionEntries {
		c.SetFullness(RoleRetention, (n+1)*100/maxRetentionEntries)
		cmds, looked, more := c.planRetention(maxTopicsVisited - visited)
		visited += looked
		if len(cmds) == 0 {
			if more {
				continue
			}
			return nil
		}
		out, err := c.cfg.Submitter.Submit(ctx, cmds, &Guard{Role: role.Name, RoleEpoch: role.Epoch})
		if err != nil || out.Code != CodeOK {
			return err
		}
		for i, o := range out.Commands {
			r, release := cmds[i].(ReleaseQueued)
			more = more || o.Value >= MaxReleaseItems || release && o.Value >= int64(r.Items)
		}
		if !more {
			return nil
		}
	}
	return nil
}

// planRetention returns the commands of the next entry; looked is how many topics it
// visited, and more whether to go on in this pass.
func (c *Maintenance) planRetention(topics int) (cmds []Command, looked int, more bool) {
	p := &c.retention
	c.cfg.Replica.View(func(s *State) {
		var due []TopicPartition
		for ; looked < min(topics, s.ExpiringTopics()) && len(due) < MaxRetentionPartitions; looked++ {
			if p.nextTopic >= s.ExpiringTopics() {
				p.nextTopic = 0
			}
			due = s.ExpiredPartitions(due, p.nextTopic, UnixMilli(c.cfg.Times.RetentionCheck.Milliseconds()), MaxRetentionPartitions)
			if len(due) < MaxRetentionPartitions {
				due, more = c.scanSizes(s, due)
				if more {
					break
				}
				p.nextTopic++
			}
		}
		if more = more || len(due) >= MaxRetentionPartitions; len(due) > 0 {
			cmds = append(cmds, EnforceRetention{due[:min(len(due), MaxRetentionPartitions)]})
		}
		if s.QueuedReleases() > 0 {
			cmds = append(cmds, ReleaseQueued{c.releaseItems()})
		}
	})
	return cmds, looked, more
}

// scanSizes looks once at the sizes of all partitions of the topic that comes next, if
// its retention.bytes is not the one of the last time. more: there are more
// partitions.
func (c *Maintenance) scanSizes(s *State, due []TopicPartition) (_ []TopicPartition, more bool) {
	p := &c.retention
	id := s.ExpiringTopic(p.nextTopic)
	if p.scanning != id {
		p.scanning, p.scanFrom = id, 0
	}
	was, known := p.scanned[id]
	bytes := s.RetentionBytes(id)
	if known && was == bytes {
		return due, false
	}
	if bytes < 0 { // remembered, too: what grows now is found when there is a size again
		p.scanned[id] = bytes
		return due, false
	}
	due, p.scanFrom = s.OversizedPartitions(due, id, p.scanFrom, maxSizesLookedAt)
	if p.scanFrom > 0 {
		return due, true
	}
	p.scanned[id] = bytes
	return due, false
}

// releaseItems returns how many items one entry releases.
func (c *Maintenance) releaseItems() int {
	if n := c.cfg.Times.ReleaseItems; n > 0 {
		return min(n, MaxReleaseItems)
	}
	return MaxReleaseItems
}
