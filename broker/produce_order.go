package broker

import (
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/wal"
)

// produceOrder remembers, of each idempotent producer and partition that a
// connection carries, the batch that the next ones must not pass: the first
// that was refused retriably, or else the newest.
//
// Clients send on before they hear that a batch was refused. Where the state
// knows what comes next, it tells the ones behind from the first; where it does
// not (a partition that is new to the producer, the first run after a
// recovery), any of them looks as good, and the refused one would land behind.
//
// A topic that is deleted and made again under a producer is such a case, too:
// what was sent to the old one comes again to the new one, so it is the topic's
// name that counts.
//
// The connection's reader owns it.
type produceOrder struct {
	last  map[orderKey]orderedBatch
	names map[metadata.TopicID]string
}

// orderKey is a partition by its topic's name, whichever topic has it now, and
// a producer.
type orderKey struct {
	topic     string
	partition int32
	producer  metadata.ProducerID
}

// orderedBatch is a batch that was taken or refused.
type orderedBatch struct {
	epoch   metadata.ProducerEpoch
	first   metadata.Sequence
	outcome *wal.AppendOutcome
}

// maxOrderedBatches is how many producers and partitions are remembered; then those
// whose batches were taken are forgotten, then all: what a client that has so
// many in flight is promised is what Kafka promises. As many names of topics
// are.
const maxOrderedBatches = 1000

// willRetry reports whether producers send a batch again, as it is, after code.
func willRetry(code int16) bool {
	switch code {
	case kerr.NotLeaderForPartition.Code, kerr.RequestTimedOut.Code, kerr.NotEnoughReplicas.Code, kerr.KafkaStorageError.Code, kerr.UnknownTopicOrPartition.Code, kerr.UnknownTopicID.Code:
		return true
	}
	return false
}

// findPredecessor returns the fate of what a batch must not pass; nil where there is
// nothing.
func (c *produceOrder) findPredecessor(k orderKey, h metadata.BatchHeader) *wal.AppendOutcome {
	if o, ok := c.last[k]; ok && o.precedes(h) {
		return o.outcome
	}
	return nil
}

// precedes reports whether h is one of those behind o.
func (o orderedBatch) precedes(h metadata.BatchHeader) bool {
	return o.epoch == h.Epoch && h.BaseSequence.Sub(o.first) > 0 && h.BaseSequence.Sub(o.first) < 1<<30
}

// recordBatch takes down a batch, and gives it its fate.
func (c *produceOrder) recordBatch(k orderKey, h metadata.BatchHeader) *wal.AppendOutcome {
	fate := new(wal.AppendOutcome)
	if o, ok := c.last[k]; ok && o.precedes(h) && o.outcome.Refused() {
		return fate
	}
	if c.last == nil {
		c.last = map[orderKey]orderedBatch{}
	}
	if len(c.last) >= maxOrderedBatches {
		c.evictBatches()
	}
	c.last[k] = orderedBatch{h.Epoch, h.BaseSequence, fate}
	return fate
}

func (c *produceOrder) evictBatches() {
	for k, o := range c.last {
		if !o.outcome.Refused() {
			delete(c.last, k)
		}
	}
	if len(c.last) >= maxOrderedBatches {
		clear(c.last)
	}
}

// recordRefused takes down a batch that was refused at once, if its producer will
// send it again. topic is its topic, where that is known.
func (p *produceRequestState) recordRefused(i, j int, topic metadata.Topic) {
	t := &p.q.topics[i]
	if topic.Name == "" {
		topic.ID, topic.Name = t.id, t.name
	}
	h, err := metadata.ParseBatchHeader(t.parts[j].records)
	if err == nil && h.Producer != metadata.NoProducer && willRetry(p.parts[i][j].code) {
		order := &p.r.conn.order
		order.recordBatch(orderKey{order.firstTopicName(topic.ID, topic.Name), t.parts[j].index, h.Producer}, h).Refuse()
	}
}

// firstTopicName returns what a topic was called when the connection first met it; where
// that was not known, a text that stands for its id from then on.
func (c *produceOrder) firstTopicName(id metadata.TopicID, known string) string {
	if id.IsZero() {
		return known
	}
	if was, ok := c.names[id]; ok {
		return was
	}
	if known == "" {
		known = "id " + id.String()
	}
	if c.names == nil || len(c.names) >= maxOrderedBatches {
		c.names = map[metadata.TopicID]string{}
	}
	c.names[id] = known
	return known
}
