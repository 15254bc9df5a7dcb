package sim

import (
	"context"
	"encoding/binary"
	"strconv"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// The topics whose retention one client changes again and again, both ways: of the
// first the time, of the second the size.
const (
	ageTopic  = "age"
	sizeTopic = "size"
)

func isExpiring(topic string) bool { return topic == ageTopic || topic == sizeTopic }

// unlimited is a retention without a limit.
const unlimited = -1

// retentionTimes and retentionSizes are the values that retention.ms of the first
// topic and retention.bytes of the second get. The first of each is also the last.
func retentionTimes() []int64 { return []int64{1500, 6000, unlimited, 3000} }
func retentionSizes() []int64 { return []int64{20_000, 150_000, unlimited, 60_000} }

// StoredBatch is a batch of an expiring topic as clients know it.
type StoredBatch struct {
	End   int64 // the offset after its last record
	Bytes int64
	Time  int64 // of its newest record, in milliseconds; where it was not read: that of its first send, which is no later
	Read  bool
}

// LogStart is the log start of an expiring partition in the state of a revision, and
// what decided about it.
type LogStart struct {
	Revision    metadata.Revision
	Recoveries  int // before
	At          time.Time
	StateTime   int64 // milliseconds
	Start, Next int64
	Time, Bytes int64 // retention.ms and retention.bytes
	Change      int   // number of the last change of the topic's configs
}

// addAckedBatch records an acknowledged batch of an expiring topic. The lock is held.
func (h *History) addAckedBatch(b *pendingBatch, base int64) {
	tp := b.batch.First.TP
	if !isExpiring(tp.Topic) || base == Unknown || h.StoredBatches[tp][base].Read {
		return
	}
	bytes := len(encodeBatch(0, batchHeader{}, b.values))
	h.addStoredBatch(tp, base, StoredBatch{base + int64(b.batch.Count), int64(bytes), b.firstSent, false})
}

func (h *History) addStoredBatch(tp TP, base int64, b StoredBatch) {
	if h.StoredBatches[tp] == nil {
		h.StoredBatches[tp] = map[int64]StoredBatch{}
	}
	h.StoredBatches[tp][base] = b
}

// addReadBatches records the batches of a fetch response of an expiring topic.
func (h *History) addReadBatches(tp TP, b []byte) {
	if !isExpiring(tp.Topic) {
		return
	}
	h.update(func() {
		for len(b) >= 61 {
			size := 12 + int(binary.BigEndian.Uint32(b[8:]))
			if size > len(b) {
				return
			}
			base, last := int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint32(b[23:]))
			if binary.BigEndian.Uint16(b[21:])&attrControl == 0 {
				h.addStoredBatch(tp, base, StoredBatch{base + last + 1, int64(size), int64(binary.BigEndian.Uint64(b[35:])), true})
			}
			b = b[size:]
		}
	})
}

// observeLogStart records that a log starts at an offset, or after it. The lock is
// held.
func (h *History) observeLogStart(tp TP, start int64) {
	h.TrimsRequested[tp] = max(h.TrimsRequested[tp], start)
}

// sampleLogStarts records the log starts of the expiring topics in a state.
func (r *run) sampleLogStarts(st *metadata.State) {
	var samples []LogStart
	var of []TP
	for _, t := range st.Topics() {
		if !isExpiring(t.Name) {
			continue
		}
		for p := range t.Partitions {
			v, _ := st.Partition(metadata.TopicPartition{Topic: t.ID, Partition: metadata.Partition(p)})
			of = append(of, TP{t.Name, p})
			samples = append(samples, LogStart{Revision: st.Revision(), Recoveries: r.recoveryCount(), At: time.Now(), StateTime: int64(st.Time()),
				Start: int64(v.LogStart), Next: int64(v.Next), Time: configNumber(t, "retention.ms"), Bytes: configNumber(t, "retention.bytes"),
				Change: int(configNumber(t, changeNumber))})
		}
	}
	r.history.update(func() {
		for i, tp := range of {
			r.history.observeLogStart(tp, samples[i].Start)
			r.history.LogStarts[tp] = append(r.history.LogStarts[tp], samples[i])
		}
	})
}

// configNumber returns a topic's config; unlimited where it is not set.
func configNumber(t metadata.Topic, name string) int64 {
	n, err := strconv.ParseInt(t.Configs[name], 10, 64)
	if err != nil {
		return unlimited
	}
	return n
}

// changeNumber is a config of no consequence here; its value numbers the changes of a
// topic's configs.
const changeNumber = "segment.bytes"

// firstChange is the number of the first change; smaller ones are no valid value.
const firstChange = 2_000_000

// retentionKeeper changes the retention of the expiring topics.
type retentionKeeper struct {
	topicChurnClient
	stop  context.CancelFunc
	ended chan struct{}
}

// startExpiringClients starts what produces to the expiring topics, reads them, and
// changes their retention.
func (r *run) startExpiringClients() {
	for i, targets := range [][]TP{{{ageTopic, 0}}, {{sizeTopic, 0}, {sizeTopic, 1}}} {
		p := r.newProducer("x"+strconv.Itoa(i), i == 1, r.brokerAddrs(i+1), targets...)
		p.minBatches, p.pace = 100, 90*time.Millisecond
		r.producers.Go(func() { time.Sleep(p.startDelay()); p.run(r.ctx, r.stopProducing) })
	}
	for i, rest := range []time.Duration{0, 4 * time.Second} {
		for _, t := range []string{ageTopic, sizeTopic} {
			rd := r.newReader("rx"+strconv.Itoa(i)+t, r.brokerAddrs(i), t, 0)
			rd.rest = rest
			r.background.Go(func() { time.Sleep(rd.startDelay()); rd.run(r.backgroundCtx) })
		}
	}
	ctx, stop := context.WithCancel(r.backgroundCtx)
	k := &retentionKeeper{topicChurnClient{client: client{w: r.world, name: "keeper", addrs: r.brokerAddrs(2)}}, stop, make(chan struct{})}
	r.keeper = k
	r.background.Go(func() { defer close(k.ended); time.Sleep(time.Second + k.startDelay()); k.run(ctx) })
}

// run changes the retention of one topic after the other until ctx ends.
func (k *retentionKeeper) run(ctx context.Context) {
	defer k.closeConn()
	for ctx.Err() == nil {
		k.change(ctx, "keep")
		select {
		case <-time.After(500*time.Millisecond + time.Duration(k.w.generateNumber("keep", k.name, k.round)%1_500_000_000)):
		case <-ctx.Done():
		}
	}
}

// change sets the next values of both topics.
func (k *retentionKeeper) change(ctx context.Context, what string) {
	times, sizes := retentionTimes(), retentionSizes()
	k.set(ctx, times[k.w.generateNumber(what, "ms", k.round)%uint64(len(times))], sizes[k.w.generateNumber(what, "bytes", k.round)%uint64(len(sizes))])
}

// set sets the retention of both topics, and reports whether that was answered.
func (k *retentionKeeper) set(ctx context.Context, ms, bytes int64) bool {
	k.round++
	k.recoveriesBefore = k.w.recoveryCount()
	number := strconv.Itoa(firstChange + k.round)
	one := k.setConfigs(ctx, ageTopic, map[string]string{"retention.ms": strconv.FormatInt(ms, 10), changeNumber: number})
	other := k.setConfigs(ctx, sizeTopic, map[string]string{"retention.bytes": strconv.FormatInt(bytes, 10), "retention.ms": "-1", changeNumber: number})
	return one == nil && other == nil
}

// freezeRetention ends the changes and has everything kept that is there, so that the
// final reading finds the same at every broker.
func (r *run) freezeRetention() {
	r.keeper.stop()
	<-r.keeper.ended
	for range 10 {
		if r.keeper.set(r.ctx, unlimited, unlimited) {
			return
		}
	}
	r.history.reportViolation("the retention could not be set after the last fault")
}
