package broker

import (
	"time"

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
// The connection's reader owns it.
type produceOrder struct {
	last map[orderKey]ordered
}

// orderKey is a partition as the request names it, for it may not be known
// here, and a producer.
type orderKey struct {
	topic     string
	id        metadata.TopicID
	partition int32
	producer  metadata.ProducerID
}

// ordered is a batch that was taken or refused.
type ordered struct {
	epoch metadata.ProducerEpoch
	first metadata.Sequence
	fate  *wal.Fate
	at    time.Time
}

const (
	// orderTime is how long a refused batch that does not come again holds up
	// those behind it: its producer has given it up, or gone elsewhere.
	orderTime = time.Minute
	// maxOrdered is how many producers and partitions are remembered; then
	// those whose batches were taken are forgotten, then all: what a client
	// that has so many in flight is promised is what Kafka promises.
	maxOrdered = 4096
)

// willRetry reports whether producers send a batch again, as it is, after code.
func willRetry(code int16) bool {
	switch code {
	case errNotLeader, errTimedOut, errNotEnoughReplicas, errStorage, errUnknownTopic, errUnknownTopicID:
		return true
	}
	return false
}

// behind returns the fate of what a batch must not pass; nil where there is
// nothing.
func (c *produceOrder) behind(k orderKey, h metadata.BatchHeader) *wal.Fate {
	if o, ok := c.last[k]; ok && o.holds(h) {
		return o.fate
	}
	return nil
}

// holds reports whether h is one of those behind o.
func (o ordered) holds(h metadata.BatchHeader) bool {
	return o.epoch == h.Epoch && h.BaseSequence.Sub(o.first) > 0 && h.BaseSequence.Sub(o.first) < 1<<30 && time.Since(o.at) < orderTime
}

// note takes down a batch, and gives it its fate.
func (c *produceOrder) note(k orderKey, h metadata.BatchHeader) *wal.Fate {
	fate := new(wal.Fate)
	if o, ok := c.last[k]; ok && o.holds(h) && o.fate.Refused() {
		return fate
	}
	if c.last == nil {
		c.last = map[orderKey]ordered{}
	}
	if len(c.last) >= maxOrdered {
		c.forget()
	}
	c.last[k] = ordered{h.Epoch, h.BaseSequence, fate, time.Now()}
	return fate
}

func (c *produceOrder) forget() {
	for k, o := range c.last {
		if !o.fate.Refused() {
			delete(c.last, k)
		}
	}
	if len(c.last) >= maxOrdered {
		clear(c.last)
	}
}

// noteRefused takes down a batch that was refused at once, if its producer will
// send it again.
func (p *producing) noteRefused(i, j int) {
	t := &p.q.topics[i]
	h, err := metadata.ParseBatchHeader(t.parts[j].records)
	if err == nil && h.Producer != metadata.NoProducer && willRetry(p.parts[i][j].code) {
		p.r.conn.order.note(t.orderKey(j, h), h).Refuse()
	}
}

func (t *produceTopic) orderKey(j int, h metadata.BatchHeader) orderKey {
	return orderKey{t.name, t.id, t.parts[j].index, h.Producer}
}
