package broker

import (
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/wal"
)

// produceOrder tracks, for each idempotent producer and partition of a connection,
// the batch that later ones must not overtake: the first one that was refused
// retriably, or else the newest.
//
// Clients send further batches before they receive a refusal. If the state has the
// next expected sequence, it rejects the later ones; if it has not (a partition
// that is new to the producer, the first run after a recovery), any batch would be
// accepted first, and the retry of the refused one would come after it.
//
// A topic that is deleted and created again is such a case, too: batches for the
// old topic are retried at the new one, so the key is the topic's name.
//
// The connection's reader owns it.
type produceOrder struct {
	last  map[orderKey]orderedBatch
	names map[metadata.TopicID]string
}

// orderKey is a partition by its topic's name, whichever topic has the name
// now, and a producer.
type orderKey struct {
	topic     string
	partition int32
	producer  metadata.ProducerID
}

// orderedBatch is a batch that was accepted or refused.
type orderedBatch struct {
	epoch   metadata.ProducerEpoch
	first   metadata.Sequence
	outcome *wal.AppendOutcome
}

// maxOrderedBatches is how many producers and partitions are tracked. Beyond it
// those whose batches were accepted are evicted first, then all: a client with
// so many in flight then has Kafka's guarantees. The same limit applies to
// topic names.
const maxOrderedBatches = 1000

// willRetry reports whether producers retry the same batch after code.
func willRetry(code int16) bool {
	switch code {
	case kerr.NotLeaderForPartition.Code, kerr.RequestTimedOut.Code, kerr.NotEnoughReplicas.Code, kerr.KafkaStorageError.Code, kerr.UnknownTopicOrPartition.Code, kerr.UnknownTopicID.Code:
		return true
	}
	return false
}

// findPredecessor returns the outcome of the batch that a batch must not
// overtake; nil if there is none.
func (c *produceOrder) findPredecessor(k orderKey, h metadata.BatchHeader) *wal.AppendOutcome {
	if o, ok := c.last[k]; ok && o.precedes(h) {
		return o.outcome
	}
	return nil
}

// precedes reports whether h comes after o.
func (o orderedBatch) precedes(h metadata.BatchHeader) bool {
	return o.epoch == h.Epoch && h.BaseSequence.Sub(o.first) > 0 && h.BaseSequence.Sub(o.first) < 1<<30
}

// recordBatch tracks a batch, and returns its outcome, which is pending.
func (c *produceOrder) recordBatch(k orderKey, h metadata.BatchHeader) *wal.AppendOutcome {
	outcome := new(wal.AppendOutcome)
	if o, ok := c.last[k]; ok && o.precedes(h) && o.outcome.Refused() {
		return outcome
	}
	if c.last == nil {
		c.last = map[orderKey]orderedBatch{}
	}
	if len(c.last) >= maxOrderedBatches {
		c.evictBatches()
	}
	c.last[k] = orderedBatch{h.Epoch, h.BaseSequence, outcome}
	return outcome
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

// recordRefused tracks a batch that was refused at once, if its producer will
// retry it. topic is its topic, if known.
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

// firstTopicName returns the name of a topic when the connection first used it
// or, if it was unknown, a name made of its id.
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
