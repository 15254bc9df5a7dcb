package broker

// Fetch, key 1, versions 4-18.
//
// Behaviour: incremental sessions (KIP-227, owned by their connection), a long
// poll over all partitions at once that applied entries wake, KIP-74's soft
// limits, topic ids from version 13. NOT_LEADER_OR_FOLLOWER is returned only
// while the broker drains, with leader hints (KIP-951). Offsets beyond the high
// watermark and unknown topics are checked again after a read barrier. Records
// are not copied. read_committed ends at the last stable offset and lists the
// aborted transactions of the returned records. The client's leader epoch is
// never fenced: an older one is served, a newer one after a barrier. A consumer
// whose zone is known only from client.rack is redirected to a broker there
// (KIP-392, fetch_redirect.go).
// Gaps: fields for followers are ignored.

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream"
)

// readCommitted is the isolation level read_committed.
const readCommitted = 1

// maxFetchWait bounds a long poll, whatever the client requests.
const maxFetchWait = 5 * time.Minute

// fetchPart is one partition of one fetch.
type fetchPart struct {
	*sessionPart
	tp            metadata.TopicPartition
	known         bool
	view          metadata.PartitionView
	code          int16
	readLimit     int64           // bytes that it may return
	committedOnly bool            // read_committed
	endOffset     metadata.Offset // end of what the reader may see: the high watermark or the last stable offset
	readyBytes    int64           // bytes available, counted up to the request's minimum
	result        partReadResult
	withheld      bool   // its first batch is larger than its limit
	gets          uint64 // billable GETs of its read
	// redirected: the client should fetch from near, a broker in its own zone.
	redirected       bool
	preferredReplica metadata.BrokerID
}

// fetch is the state of one Fetch request.
type fetch struct {
	s            *Server
	r            *request
	q            *kmsg.FetchRequest
	session      *fetchSession // nil: sessionless
	fullResponse bool          // the response has every partition
	parts        []fetchPart
	deadline     time.Time
	recordMemory grant // of Server.responses
	extraMemory  grant // of Server.responses, for partitions in addition to an oversized batch
	pollMemory   grant // of Server.polls, for parts
	readyBytes   int64 // bytes that are ready in all parts
	urgentParts  int   // parts that need a response at once
	// throttleMs makes the client wait before its next request.
	throttleMs int32
}

const (
	// fetchPartBytes is the memory of one partition of a waiting fetch.
	fetchPartBytes = 400
	// sessionPartBytes is the memory of one partition in a session.
	sessionPartBytes = 200
	// fetchThrottle is the throttle time for a client whose long poll gets no
	// memory.
	fetchThrottle = 500 * time.Millisecond
)

func (s *Server) handleFetch(ctx context.Context, r *request) (response, error) {
	admitted, _, err := s.admitRequest(ctx, r)
	if err != nil {
		return response{}, err
	}
	defer admitted.releaseAll()
	q := kmsg.NewPtrFetchRequest()
	q.SetVersion(r.version)
	if err = q.ReadFrom(r.body); err != nil {
		return response{}, newDecodeError(r, err)
	}
	r.body = nil
	if q.Rack != "" && q.Rack != r.conn.rack {
		r.conn.rack = q.Rack
		r.evidence = r.conn.resolveEvidence(r.clientID, trafficFetch)
	}
	f := &fetch{s: s, r: r, q: q}
	f.deadline = time.Now().Add(min(max(time.Duration(q.MaxWaitMillis)*time.Millisecond, 0), maxFetchWait))
	if code := f.enterSession(); code != noError {
		return f.newErrorResponse(code), nil
	}
	q.Topics, q.ForgottenTopics = nil, nil // copied
	var waits bool
	if f.pollMemory, waits = s.polls.try(r.conn, int64(len(f.parts))*fetchPartBytes); waits {
		r.releaseFrame()
		admitted.releaseAll()
	}
	f.resolveParts(ctx)
	f.redirectToClosestReplica()
	if f.countReady(); waits {
		f.awaitData(ctx)
	} else if !f.canRespond() {
		f.throttleMs = int32(fetchThrottle / time.Millisecond)
	}
	f.readParts(ctx)
	r.conn.delayFailure(ctx, time.Now(), f.allFailed())
	a := f.encode()
	a.attribution.group = s.clientGroups.findGroup(r.clientID, r.conn.host())
	return a, nil
}

// resolveParts resolves the partitions; unknown topics and offsets beyond the
// end are resolved again after a barrier.
func (f *fetch) resolveParts(ctx context.Context) {
	if f.resolveOnce() {
		return
	}
	err := f.s.barrier(ctx)
	f.resolveOnce()
	for i := range f.parts {
		p := &f.parts[i]
		switch {
		case p.code == noError || p.code == kerr.NotLeaderForPartition.Code:
		case err != nil && p.code != kerr.UnknownLeaderEpoch.Code: // clients retry it
			// The barrier failed: unverified. Java's consumer dies of codes that
			// Kafka never returns here, REQUEST_TIMED_OUT among them.
			p.code = kerr.KafkaStorageError.Code
		}
	}
}

// resolveOnce reads the state; false if a partition needs a barrier.
func (f *fetch) resolveOnce() (sure bool) {
	sure = true
	notServing := f.s.notServing()
	f.s.viewEach(f.r.conn.ctx, len(f.parts), func(st *metadata.State, i int) {
		if f.parts[i].resolve(st, f.r.version, notServing, f.minBytes()) {
			sure = false
		}
	})
	f.countReady()
	return sure
}

// refreshParts reads the state of some partitions.
func (f *fetch) refreshParts(parts []int) {
	notServing := f.s.notServing()
	f.s.viewEach(f.r.conn.ctx, len(parts), func(st *metadata.State, i int) {
		p := &f.parts[parts[i]]
		f.adjustTotals(p, -1)
		p.resolve(st, f.r.version, notServing, f.minBytes())
		f.adjustTotals(p, 1)
	})
}

// countReady counts what the response would have.
func (f *fetch) countReady() {
	f.readyBytes, f.urgentParts = 0, 0
	for i := range f.parts {
		f.adjustTotals(&f.parts[i], 1)
	}
}

// adjustTotals adds a partition to the totals of the response, or subtracts it.
func (f *fetch) adjustTotals(p *fetchPart, sign int) {
	f.readyBytes += int64(sign) * p.readyBytes
	if p.code != noError || p.redirected {
		f.urgentParts += sign
	}
}

// minBytes is how many bytes the client waits for; no more need to be counted.
func (f *fetch) minBytes() int64 { return int64(max(f.q.MinBytes, 1)) }

// resolve checks one partition, and reports whether the result needs a barrier.
func (p *fetchPart) resolve(st *metadata.State, version int16, notServing bool, wanted int64) (unsure bool) {
	t, ok := lookupTopic(st, p.name, p.id)
	p.tp = metadata.TopicPartition{Topic: t.ID, Partition: metadata.Partition(p.index)}
	if ok {
		p.view, p.known = st.Partition(p.tp)
	}
	p.readyBytes = 0
	switch {
	case !ok && version >= 13:
		p.known, p.code = false, kerr.UnknownTopicID.Code
		return true
	case !ok || !p.known:
		p.known, p.code = false, kerr.UnknownTopicOrPartition.Code
		return true
	case notServing:
		p.code = kerr.NotLeaderForPartition.Code
	case p.leaderEpoch > int32(p.view.Epoch):
		p.code = kerr.UnknownLeaderEpoch.Code
		return true
	case p.offset < p.view.LogStart || p.offset > p.view.Next:
		p.code = kerr.OffsetOutOfRange.Code
		return true
	default:
		p.code = noError
		if p.endOffset = p.view.Next; p.committedOnly {
			p.endOffset = p.view.Stable
		}
		p.readyBytes = p.countAvailableBytes(st, min(wanted, int64(max(p.maxBytes, 1))))
	}
	return false
}

// countAvailableBytes counts the bytes between the offset and the end of what
// the reader may see, up to a limit.
func (p *fetchPart) countAvailableBytes(st *metadata.State, enough int64) int64 {
	if p.offset >= p.endOffset {
		return 0
	}
	return st.SpanBytes(p.tp, p.offset, p.endOffset, s3stream.MaxReadSpans, enough)
}

// awaitData waits until the response can be sent, or the client's wait time
// ends.
func (f *fetch) awaitData(ctx context.Context) {
	if f.canRespond() || len(f.parts) == 0 && f.fullResponse {
		return
	}
	on := make([]pollPart, 0, len(f.parts))
	for i := range f.parts {
		if f.parts[i].known {
			on = append(on, pollPart{f.parts[i].tp, i})
		}
	}
	w := f.s.pollRegistry.addPoll(on)
	defer f.s.pollRegistry.removePoll(w)
	timer := time.NewTimer(time.Until(f.deadline))
	defer timer.Stop()
	var touched []int
	every := true
	for {
		if every {
			f.resolveOnce()
		} else {
			f.refreshParts(touched)
		}
		if f.canRespond() {
			return
		}
		select {
		case <-w.wake:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
		touched, every = f.s.pollRegistry.takeTouched(w, touched)
	}
}

// canRespond reports whether to respond now: enough bytes, an error that the
// client has not received yet, or the end of the wait time.
func (f *fetch) canRespond() bool {
	return f.urgentParts > 0 || f.readyBytes > 0 && f.readyBytes >= int64(f.q.MinBytes) || f.q.MaxWaitMillis <= 0 || f.q.MinBytes <= 0 || time.Now().After(f.deadline)
}

// allFailed reports whether the response has nothing but errors.
func (f *fetch) allFailed() bool {
	for i := range f.parts {
		if f.parts[i].code == noError {
			return false
		}
	}
	return len(f.parts) > 0
}

func (f *fetch) newErrorResponse(code int16) response {
	a := f.beginResponse(code, 0)
	a.head = f.endEmptyResponse(a.head, nil)
	return a
}
