package broker

// Fetch, key 1, versions 4-18.
//
// Behaviour: incremental sessions (KIP-227, owned by their connection), long
// poll over all partitions at once, woken by what is applied, KIP-74's soft
// limits, topic ids from version 13 on, leader hints (KIP-951) with error 6,
// which is answered only while the broker drains. Offsets beyond the high
// watermark and unknown topics are judged behind a read barrier. Records are
// not copied. read_committed ends at the last stable offset and names the
// aborted transactions in what it gives. The leader epoch a client names is never fenced: an older one
// is served, a newer one behind a barrier.
// A consumer of which only client.rack tells its zone is sent to a broker there
// (KIP-392, fetch_steer.go).
// Gaps: fields for followers are ignored.

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream"
)

// readCommitted is the isolation level of readers of committed records.
const readCommitted = 1

// maxFetchWait bounds a long poll, whatever the client asks for.
const maxFetchWait = 5 * time.Minute

// fetchPart is one partition of one fetch.
type fetchPart struct {
	*sessionPart
	tp        metadata.TopicPartition
	known     bool
	head      metadata.PartitionView
	code      int16
	plan      int64           // bytes that it may give
	committed bool            // the reader wants committed records only
	end       metadata.Offset // what the reader may see: the high watermark or the last stable offset
	ready     int64           // bytes that are there, as far as the client waits for them
	answer    partAnswer
	withheld  bool   // its first batch is larger than what it may have
	gets      uint64 // billable, made to read it
	// steered: the client is to fetch from near, a broker in its own zone.
	steered bool
	near    metadata.BrokerID
}

// fetch is one Fetch request under way.
type fetch struct {
	s       *Server
	r       *request
	q       *kmsg.FetchRequest
	session *fetchSession // nil: sessionless
	full    bool          // every partition is answered
	parts   []fetchPart
	until   time.Time
	held    grant // of Server.answers
	beside  grant // the same, beside an oversized batch
	kept    grant // of Server.polls, for parts
	sum     int64 // bytes that are ready in all parts
	urgent  int   // parts of which there is something to say at once
	// throttleMs tells the client to wait before it asks again.
	throttleMs int32
}

const (
	// bytesOfPart is what one partition takes while its fetch waits.
	bytesOfPart = 400
	// bytesOfSessionPart is what one takes in a session.
	bytesOfSessionPart = 200
	// fetchThrottle is after how long a client is to ask again for whose long
	// poll there is no memory.
	fetchThrottle = 500 * time.Millisecond
)

func (s *Server) serveFetch(ctx context.Context, r *request) (answer, error) {
	admitted, _, err := s.admit(ctx, r)
	if err != nil {
		return answer{}, err
	}
	defer admitted.release()
	q := kmsg.NewPtrFetchRequest()
	q.SetVersion(r.version)
	if err = q.ReadFrom(r.body); err != nil {
		return answer{}, decodeError(r, err)
	}
	r.body = nil
	if q.Rack != "" && q.Rack != r.conn.rack {
		r.conn.rack = q.Rack
		r.from = r.conn.place(r.clientID, billFetch)
	}
	f := &fetch{s: s, r: r, q: q}
	f.until = time.Now().Add(min(max(time.Duration(q.MaxWaitMillis)*time.Millisecond, 0), maxFetchWait))
	if code := f.enter(); code != errNone {
		return f.refuse(code), nil
	}
	q.Topics, q.ForgottenTopics = nil, nil // taken over
	var waits bool
	if f.kept, waits = s.polls.try(r.conn, int64(len(f.parts))*bytesOfPart); waits {
		r.freeFrame()
		admitted.release()
	}
	f.look(ctx)
	f.redirectToClosestReplica()
	if f.count(); waits {
		f.await(ctx)
	} else if !f.enough() {
		f.throttleMs = int32(fetchThrottle / time.Millisecond)
	}
	f.read(ctx)
	r.conn.delayFailure(ctx, time.Now(), f.failed())
	a := f.encode()
	a.bill.group = s.readers.of(r.clientID, r.conn.host())
	return a, nil
}

// look resolves the partitions; what is unknown or beyond the end is looked at
// again behind a barrier.
func (f *fetch) look(ctx context.Context) {
	if f.lookOnce() {
		return
	}
	err := f.s.barrier(ctx)
	f.lookOnce()
	for i := range f.parts {
		p := &f.parts[i]
		switch {
		case p.code == errNone || p.code == errNotLeader:
		case err != nil && p.code != errUnknownLeaderEpoch: // which clients ask again after
			p.code = errTimedOut // not known to be so
		}
	}
}

// lookOnce reads the state; false where something should be looked at again
// behind a barrier.
func (f *fetch) lookOnce() (sure bool) {
	sure = true
	away := f.s.away()
	f.s.viewEach(f.r.conn.ctx, len(f.parts), func(st *metadata.State, i int) {
		if f.parts[i].look(st, f.r.version, away, f.wanted()) {
			sure = false
		}
	})
	f.count()
	return sure
}

// lookAgain reads the state of some partitions.
func (f *fetch) lookAgain(parts []int) {
	away := f.s.away()
	f.s.viewEach(f.r.conn.ctx, len(parts), func(st *metadata.State, i int) {
		p := &f.parts[parts[i]]
		f.weigh(p, -1)
		p.look(st, f.r.version, away, f.wanted())
		f.weigh(p, 1)
	})
}

// count sums up what there is to say.
func (f *fetch) count() {
	f.sum, f.urgent = 0, 0
	for i := range f.parts {
		f.weigh(&f.parts[i], 1)
	}
}

// weigh adds a partition to what there is to say, or takes it out.
func (f *fetch) weigh(p *fetchPart, sign int) {
	f.sum += int64(sign) * p.ready
	if p.code != errNone || p.steered {
		f.urgent += sign
	}
}

// wanted is how many bytes the client waits for; more need not be counted.
func (f *fetch) wanted() int64 { return int64(max(f.q.MinBytes, 1)) }

// look judges one partition; it reports whether the verdict needs a barrier.
func (p *fetchPart) look(st *metadata.State, version int16, away bool, wanted int64) (unsure bool) {
	t, ok := lookTopic(st, p.name, p.id)
	p.tp = metadata.TopicPartition{Topic: t.ID, Partition: metadata.Partition(p.index)}
	if ok {
		p.head, p.known = st.Partition(p.tp)
	}
	p.ready = 0
	switch {
	case !ok && version >= 13:
		p.known, p.code = false, errUnknownTopicID
		return true
	case !ok || !p.known:
		p.known, p.code = false, errUnknownTopic
		return true
	case away:
		p.code = errNotLeader
	case p.leaderEpoch > int32(p.head.Epoch):
		p.code = errUnknownLeaderEpoch
		return true
	case p.offset < p.head.LogStart || p.offset > p.head.Next:
		p.code = errOffsetOutOfRange
		return true
	default:
		p.code = errNone
		if p.end = p.head.Next; p.committed {
			p.end = p.head.Stable
		}
		p.ready = p.available(st, min(wanted, int64(max(p.maxBytes, 1))))
	}
	return false
}

// available tells how many bytes there are between the offset and the end of
// what the reader may see, up to enough of them.
func (p *fetchPart) available(st *metadata.State, enough int64) int64 {
	if p.offset >= p.end {
		return 0
	}
	return st.SpanBytes(p.tp, p.offset, p.end, s3stream.MaxReadSpans, enough)
}

// await waits until there is enough to say, or the client's patience ends.
func (f *fetch) await(ctx context.Context) {
	if f.enough() || len(f.parts) == 0 && f.full {
		return
	}
	on := make([]pollPart, 0, len(f.parts))
	for i := range f.parts {
		if f.parts[i].known {
			on = append(on, pollPart{f.parts[i].tp, i})
		}
	}
	w := f.s.wait.begin(on)
	defer f.s.wait.end(w)
	timer := time.NewTimer(time.Until(f.until))
	defer timer.Stop()
	var touched []int
	every := true
	for {
		if every {
			f.lookOnce()
		} else {
			f.lookAgain(touched)
		}
		if f.enough() {
			return
		}
		select {
		case <-w.wake:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
		touched, every = f.s.wait.touched(w, touched)
	}
}

// enough reports whether the answer should go out now: enough bytes, an error
// that the client does not know yet, or no patience.
func (f *fetch) enough() bool {
	return f.urgent > 0 || f.sum > 0 && f.sum >= int64(f.q.MinBytes) || f.q.MaxWaitMillis <= 0 || f.q.MinBytes <= 0 || time.Now().After(f.until)
}

// failed reports whether there is nothing but errors to say.
func (f *fetch) failed() bool {
	for i := range f.parts {
		if f.parts[i].code == errNone {
			return false
		}
	}
	return len(f.parts) > 0
}

func (f *fetch) refuse(code int16) answer {
	a := f.begin(code, 0)
	a.head = f.end(a.head, nil)
	return a
}
