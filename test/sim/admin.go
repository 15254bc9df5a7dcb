package sim

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// topicAdmin changes topics during the run: it adds partitions to one topic, and
// repeatedly deletes the oldest records of another.
type topicAdmin struct {
	client
	r *run
}

func (a *topicAdmin) run() {
	defer a.closeConn()
	time.Sleep(2*time.Second + a.startDelay())
	a.growTopic("grow", grownPartitions)
	for n := 0; a.r.backgroundCtx.Err() == nil; n++ {
		if a.w.recoveryCount() > 0 { // the lost tail may have had it
			a.growTopic("grow", grownPartitions)
		}
		a.trimPartition(TP{"trim", 0}, n)
		select {
		case <-time.After(2*time.Second + time.Duration(a.w.generateNumber("trim", "", n)%1_000_000_000)):
		case <-a.r.backgroundCtx.Done():
		}
	}
}

// grownPartitions is the final number of partitions of the growing topic.
const grownPartitions = 3

// growTopic requests more partitions until the response says that they exist.
func (a *topicAdmin) growTopic(topic string, count int32) {
	for {
		q := kmsg.NewPtrCreatePartitionsRequest()
		q.TimeoutMillis = 5000
		t := kmsg.NewCreatePartitionsRequestTopic()
		t.Topic, t.Count = topic, count
		q.Topics = append(q.Topics, t)
		resp, err := a.requestWithRetry(a.r.ctx, q, 1)
		if err != nil {
			return
		}
		switch code := resp.(*kmsg.CreatePartitionsResponse).Topics[0].ErrorCode; {
		case code == errNone:
			return
		case code == errInvalidPartitions: // an earlier try took effect
			return
		case !isRetriable(code):
			a.w.history.reportViolation("create partitions of %s: error %d", topic, code)
			return
		}
		if a.backOff(a.r.ctx) != nil {
			return
		}
	}
}

// trimPartition deletes about half of a partition's records.
func (a *topicAdmin) trimPartition(tp TP, n int) {
	h := a.w.history
	start, err := a.listOffset(a.r.backgroundCtx, tp, earliestTimestamp)
	if err != nil {
		a.closeConn()
		a.addrIndex++
		return
	}
	end, err := a.listOffset(a.r.backgroundCtx, tp, latestTimestamp)
	if err != nil {
		a.closeConn()
		return
	}
	to := start + int64(a.w.generateNumber("trim to", tp.String(), n)%uint64(end-start+1))
	h.update(func() { h.TrimsRequested[tp] = max(h.TrimsRequested[tp], to) })
	q := kmsg.NewPtrDeleteRecordsRequest()
	q.TimeoutMillis = 5000
	t := kmsg.NewDeleteRecordsRequestTopic()
	t.Topic = tp.Topic
	p := kmsg.NewDeleteRecordsRequestTopicPartition()
	p.Partition, p.Offset = tp.Partition, to
	t.Partitions = append(t.Partitions, p)
	q.Topics = append(q.Topics, t)
	resp, err := a.requestOnce(a.r.backgroundCtx, q, 1)
	if err != nil {
		a.closeConn()
		return
	}
	part := resp.(*kmsg.DeleteRecordsResponse).Topics[0].Partitions[0]
	switch {
	case part.ErrorCode == errNone && part.LowWatermark < to:
		h.reportViolation("delete records of %v up to %d: the response has the low watermark %d", tp, to, part.LowWatermark)
	case part.ErrorCode == errNone:
		h.update(func() { h.TrimsDone[tp] = max(h.TrimsDone[tp], to) })
		a.w.countState(recordsDeleted, 1)
	case !isRetriable(part.ErrorCode) && part.ErrorCode != errOutOfRange:
		h.reportViolation("delete records of %v up to %d: error %d", tp, to, part.ErrorCode)
	}
}
