package broker

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kbin"

	"github.com/zonewise/zonewise/broker/schema"
	"github.com/zonewise/zonewise/metadata"
)

// produceRequest is a Produce request that is not copied: records are slices of the
// frame.
type produceRequest struct {
	txnID     *string
	acks      int16
	timeoutMs int32
	topics    []produceTopic
	partCount int // of all topics
}

type produceTopic struct {
	name  string           // before version 13
	id    metadata.TopicID // from version 13 on
	parts []producePart
}

type producePart struct {
	index   int32
	records []byte
}

// decodeProduce decodes versions 3 to 13. kmsg would allocate structs for as
// many partitions as a frame claims; here they are first checked against a
// limit.
func decodeProduce(version int16, body []byte) (*produceRequest, error) {
	d := produceDecoder{r: kbin.Reader{Src: body}, flexible: version >= 9}
	q := &produceRequest{}
	if d.flexible {
		q.txnID = d.r.CompactNullableString()
	} else {
		q.txnID = d.r.NullableString()
	}
	q.acks = d.r.Int16()
	q.timeoutMs = d.r.Int32()
	topics := d.readArrayLen()
	if topics < 0 {
		return nil, fmt.Errorf("%w: %w", errBadFrame, schema.ErrNull)
	}
	for i := 0; i < topics && d.r.Ok(); i++ {
		var t produceTopic
		switch {
		case version >= 13:
			t.id = d.r.Uuid()
		case d.flexible:
			t.name = d.r.CompactString()
		default:
			t.name = d.r.String()
		}
		if err := d.readParts(q, &t); err != nil {
			return nil, err
		}
		d.skipTags()
		q.topics = append(q.topics, t)
	}
	d.skipTags()
	if !d.r.Ok() {
		return nil, fmt.Errorf("%w: truncated Produce version %d", errBadFrame, version)
	}
	return q, nil
}

type produceDecoder struct {
	r        kbin.Reader
	flexible bool
}

func (d *produceDecoder) readArrayLen() int {
	if d.flexible {
		return int(d.r.CompactArrayLen())
	}
	return int(d.r.ArrayLen())
}

func (d *produceDecoder) skipTags() {
	if d.flexible {
		skipTags(&d.r)
	}
}

func (d *produceDecoder) readParts(q *produceRequest, t *produceTopic) error {
	n := d.readArrayLen()
	if n < 0 && d.r.Ok() {
		return fmt.Errorf("%w: %w", errBadFrame, schema.ErrNull)
	}
	if q.partCount++; n > 0 {
		q.partCount += n // topics without partitions count, too
	}
	if q.partCount > MaxProducePartitions {
		return fmt.Errorf("%w: Produce of more than %d partitions", errBadFrame, MaxProducePartitions)
	}
	t.parts = make([]producePart, 0, max(n, 0))
	for j := 0; j < n && d.r.Ok(); j++ {
		p := producePart{index: d.r.Int32()}
		if d.flexible {
			p.records = d.r.CompactNullableBytes()
		} else {
			p.records = d.r.NullableBytes()
		}
		d.skipTags()
		t.parts = append(t.parts, p)
	}
	return nil
}
