package oracle

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Exchange is one request and its result at one broker.
type Exchange struct {
	Line    int
	Text    string
	API     string
	Version int16
	// Outcome is answered, closed, silent (no response is expected), no
	// answer, unreadable, or skipped with the reason.
	Outcome   string
	Canonical bool // the response's bytes equal the encoding of its fields
	resp      kmsg.Response
	tree      node
}

const (
	answered = "answered"
	closed   = "closed"
	silent   = "silent"
)

const (
	untilTimeout = 10 * time.Second
	retryPause   = 15 * time.Millisecond
	visiblePause = 250 * time.Millisecond
)

// Runner replays one scenario at one broker.
type Runner struct {
	target   *Target
	offered  map[int16][2]int16 // for `v*`: Kafka's versions
	unique   string
	vars     variables
	conns    map[string]*connection
	finished []Exchange
	// serverAssigns: members join whose partitions the coordinator assigns.
	serverAssigns bool
}

// Run replays a scenario and returns the result of each request. unique is the prefix
// of every name that the scenario creates; now is its time in milliseconds; both are
// the same for the two brokers.
func Run(ctx context.Context, s *Scenario, t *Target, offered map[int16][2]int16, unique string, now int64) []Exchange {
	r := &Runner{target: t, offered: offered, unique: unique, conns: map[string]*connection{},
		vars:          variables{"now": now, "node": t.lowestNode(), "unique": unique},
		serverAssigns: slices.ContainsFunc(s.Steps, func(step Step) bool { return step.API == "ConsumerGroupHeartbeat" })}
	defer func() {
		for _, c := range r.conns {
			c.close()
		}
	}()
	for i := range s.Steps {
		if ctx.Err() != nil {
			break
		}
		r.runStep(ctx, &s.Steps[i])
	}
	r.deleteTopics(ctx)
	return r.finished
}

// deleteTopics deletes the topics that the scenario may have created: an hour of
// generated scenarios creates more than a broker can hold. Failures are ignored.
func (r *Runner) deleteTopics(ctx context.Context) {
	q := kmsg.NewPtrDeleteTopicsRequest()
	q.SetVersion(5)
	q.TimeoutMillis = int32(cleanupTimeout / time.Millisecond)
	for _, v := range r.vars {
		if name, ok := v.(string); ok && strings.HasPrefix(name, r.unique) && name != r.unique {
			q.TopicNames = append(q.TopicNames, name)
		}
	}
	if len(q.TopicNames) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, cleanupTimeout)
	defer cancel()
	c := &connection{addr: r.target.Addr}
	defer c.close()
	_, _ = c.roundTrip(ctx, q)
}

const cleanupTimeout = 5 * time.Second

func (r *Runner) connFor(name string) *connection {
	c := r.conns[name]
	if c == nil {
		c = &connection{addr: r.target.Addr}
		r.conns[name] = c
	}
	return c
}

func (r *Runner) runStep(ctx context.Context, s *Step) {
	for _, name := range s.Names {
		r.vars[name] = r.unique + name
	}
	switch s.Verb {
	case "name":
	case "sleep":
		sleepFor(ctx, s.Pause)
	case "close":
		r.connFor(s.Conn).close()
	case "let":
		if len(r.finished) > 0 {
			r.setVariables(s, r.finished[len(r.finished)-1].resp)
		}
	case "await":
		r.awaitAsync(s)
	case "raw":
		r.runRaw(ctx, s)
	case "request":
		low, high := s.Min, s.Max
		if high == AllVersions {
			low, high = r.offered[s.Key][0], r.offered[s.Key][1]
			if s.Key == 0 {
				low = max(low, 3) // advertised from 0, served from 3
			}
		}
		for v := low; v <= high; v++ {
			r.runRequest(ctx, s, v)
		}
	}
}

func sleepFor(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// setVariables sets variables from a response. A missing field leaves its variable
// unset, and the steps that use it are skipped.
func (r *Runner) setVariables(s *Step, resp kmsg.Response) {
	for _, b := range s.Sets {
		delete(r.vars, b.name)
		if resp == nil {
			continue
		}
		if value, err := valueAt(resp, b.path); err == nil {
			r.vars[b.name] = value
		}
	}
}

func (r *Runner) runRequest(ctx context.Context, s *Step, version int16) {
	x := Exchange{Line: s.Line, Text: s.Text, API: s.API, Version: version}
	r.vars["v"] = int64(version)
	q := kmsg.RequestForKey(s.Key)
	if d, ok := q.(defaulter); ok {
		d.Default()
	}
	q.SetVersion(version)
	if err := fillValue(reflect.ValueOf(q).Elem(), s.Body, r.vars); err != nil {
		x.Outcome = "skipped: " + err.Error()
		if !errors.Is(err, errUndefined) {
			x.Outcome = "wrong scenario: " + err.Error()
		}
		r.finished = append(r.finished, x)
		return
	}
	c := r.connFor(s.Conn)
	if s.Async {
		if err := c.sendFrame(ctx, c.frameRequest(q.Key(), version, q.IsFlexible(), q.AppendTo(nil))); err != nil {
			c.close()
		}
		c.pending, c.exchange = q, x
		return
	}
	deadline := time.Now().Add(untilTimeout)
	for {
		r.requestOnce(ctx, c, q, &x)
		if x.Outcome != answered || r.meetsUntil(s, &x) || time.Now().After(deadline) || ctx.Err() != nil {
			break
		}
		sleepFor(ctx, retryPause)
	}
	r.recordExchange(s, x)
	if x.Outcome == answered {
		r.awaitVisible(ctx, q, x.resp)
	}
}

func (r *Runner) recordExchange(s *Step, x Exchange) {
	r.finished = append(r.finished, x)
	if len(s.Sets) > 0 {
		r.setVariables(s, x.resp)
	}
}

// meetsUntil reports whether the response is the expected one: retriable codes are
// never final, and `until` adds conditions.
func (r *Runner) meetsUntil(s *Step, x *Exchange) bool {
	if s.Until == nil {
		return !isTransient(&x.tree)
	}
	for _, u := range s.Until {
		value, err := valueAt(x.resp, u.path)
		if err != nil || (fmt.Sprint(value) == u.value) == u.not {
			return false
		}
	}
	return true
}

// isTransient finds retriable codes of a busy broker:
// COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR,
// CONCURRENT_TRANSACTIONS. Kafka's coordinators return them while their topics
// are created and while markers are written.
func isTransient(n *node) bool {
	if n.name == "ErrorCode" && n.leaf && (n.number >= 14 && n.number <= 16 || n.number == 51) {
		return true
	}
	for i := range n.items {
		if isTransient(&n.items[i]) {
			return true
		}
	}
	return false
}

// requestOnce sends a request and waits for its result.
func (r *Runner) requestOnce(ctx context.Context, c *connection, q kmsg.Request, x *Exchange) {
	x.resp = nil
	if err := c.sendFrame(ctx, c.frameRequest(q.Key(), q.GetVersion(), q.IsFlexible(), q.AppendTo(nil))); err != nil {
		x.Outcome = outcomeOf(err)
		c.close()
		return
	}
	if p, ok := q.(*kmsg.ProduceRequest); ok && p.Acks == 0 {
		x.Outcome = silent
		return
	}
	r.readResponse(c, q.ResponseKind(), q.IsFlexible(), x)
}

func (r *Runner) readResponse(c *connection, into kmsg.Response, flexible bool, x *Exchange) {
	body, err := c.readResponse()
	if err != nil {
		x.Outcome = outcomeOf(err)
		c.close()
		return
	}
	resp, canonical, err := decodeResponse(into, into.Key(), flexible, body)
	if err != nil {
		x.Outcome = "unreadable: " + err.Error()
		c.close()
		return
	}
	x.Outcome, x.Canonical, x.resp, x.tree = answered, canonical, resp, treeOf(resp)
}

func outcomeOf(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return closed
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, os.ErrDeadlineExceeded):
		return "no answer"
	}
	return "broken: " + err.Error()
}

func (r *Runner) awaitAsync(s *Step) {
	c := r.connFor(s.Conn)
	q, x := c.pending, c.exchange
	if q == nil {
		r.finished = append(r.finished, Exchange{Line: s.Line, Text: s.Text, Outcome: "skipped: nothing was sent"})
		return
	}
	c.pending = nil
	r.readResponse(c, q.ResponseKind(), q.IsFlexible(), &x)
	r.finished = append(r.finished, x)
}

// runRaw sends bytes as they are. s.As names the API and version that decode the
// response; without it only whether there is one is compared.
func (r *Runner) runRaw(ctx context.Context, s *Step) {
	x := Exchange{Line: s.Line, Text: s.Text, API: s.API, Version: s.Min}
	body, err := hex.DecodeString(s.Hex)
	if err != nil {
		x.Outcome = "wrong scenario: " + err.Error()
		r.finished = append(r.finished, x)
		return
	}
	c := r.connFor(s.Conn)
	if err := c.sendFrame(ctx, c.frameRequest(s.Key, s.Min, false, body)); err != nil {
		x.Outcome = outcomeOf(err)
		c.close()
		r.finished = append(r.finished, x)
		return
	}
	if s.As == "" {
		if _, err := c.readResponse(); err != nil {
			x.Outcome = outcomeOf(err)
			c.close()
		} else {
			x.Outcome = "answered, not read"
		}
		r.finished = append(r.finished, x)
		return
	}
	key, _ := KeyOf(s.API)
	resp := kmsg.ResponseForKey(key)
	version, _ := strconv.Atoi(s.As) // the line's pattern allows only digits
	resp.SetVersion(int16(version))
	r.readResponse(c, resp, resp.IsFlexible(), &x)
	r.recordExchange(s, x)
}

// Describe formats an exchange for people.
func (x *Exchange) Describe() string {
	if x.resp == nil {
		return x.Outcome
	}
	text, err := json.Marshal(x.resp)
	if err != nil {
		return x.Outcome + ": " + err.Error()
	}
	return string(text)
}
