package sim

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// admin changes topics while everything runs: more partitions for one, and
// the oldest records of another deleted again and again.
type admin struct {
	client
	r *run
}

func (a *admin) run() {
	defer a.drop()
	time.Sleep(2*time.Second + a.start())
	a.grow("grow", grown)
	for n := 0; a.r.tailing.Err() == nil; n++ {
		if a.w.recoveries() > 0 { // the lost tail may have had it
			a.grow("grow", grown)
		}
		a.trim(TP{"trim", 0}, n)
		select {
		case <-time.After(2*time.Second + time.Duration(a.w.draw("trim", "", n)%1_000_000_000)):
		case <-a.r.tailing.Done():
		}
	}
}

// grown is how many partitions the topic that grows has in the end.
const grown = 3

// grow asks for more partitions until it is told that they are there.
func (a *admin) grow(topic string, count int32) {
	for {
		q := kmsg.NewPtrCreatePartitionsRequest()
		q.TimeoutMillis = 5000
		t := kmsg.NewCreatePartitionsRequestTopic()
		t.Topic, t.Count = topic, count
		q.Topics = append(q.Topics, t)
		resp, err := a.ask(a.r.ctx, q, 1)
		if err != nil {
			return
		}
		switch code := resp.(*kmsg.CreatePartitionsResponse).Topics[0].ErrorCode; {
		case code == errNone:
			return
		case code == errInvalidPartitions: // an earlier try took effect
			return
		case !retriable(code):
			a.w.history.wrong("create partitions of %s: error %d", topic, code)
			return
		}
		if a.pause(a.r.ctx) != nil {
			return
		}
	}
}

// trim deletes about half of what a partition holds.
func (a *admin) trim(tp TP, n int) {
	h := a.w.history
	start, err := a.listOffset(a.r.tailing, tp, atStart)
	if err != nil {
		a.drop()
		a.next++
		return
	}
	end, err := a.listOffset(a.r.tailing, tp, atEnd)
	if err != nil {
		a.drop()
		return
	}
	to := start + int64(a.w.draw("trim to", tp.String(), n)%uint64(end-start+1))
	h.note(func() { h.Trims[tp] = max(h.Trims[tp], to) })
	q := kmsg.NewPtrDeleteRecordsRequest()
	q.TimeoutMillis = 5000
	t := kmsg.NewDeleteRecordsRequestTopic()
	t.Topic = tp.Topic
	p := kmsg.NewDeleteRecordsRequestTopicPartition()
	p.Partition, p.Offset = tp.Partition, to
	t.Partitions = append(t.Partitions, p)
	q.Topics = append(q.Topics, t)
	resp, err := a.try(a.r.tailing, q, 1)
	if err != nil {
		a.drop()
		return
	}
	part := resp.(*kmsg.DeleteRecordsResponse).Topics[0].Partitions[0]
	switch {
	case part.ErrorCode == errNone && part.LowWatermark < to:
		h.wrong("delete records of %v up to %d: answered with the start at %d", tp, to, part.LowWatermark)
	case part.ErrorCode == errNone:
		h.note(func() { h.Trimmed[tp] = max(h.Trimmed[tp], to) })
	case !retriable(part.ErrorCode) && part.ErrorCode != errOutOfRange:
		h.wrong("delete records of %v up to %d: error %d", tp, to, part.ErrorCode)
	}
}
