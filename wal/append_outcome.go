package wal

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// AppendOutcome is the outcome of one batch; it does not retain the batch's
// bytes. The zero value is a batch whose outcome is open.
type AppendOutcome struct{ state atomic.Int64 }

// The values of AppendOutcome.at other than the time at which the batch was
// refused.
const (
	outcomePending = 0
	outcomeSettled = 1
)

// RefusedTime is how long a refused batch that is not sent again delays those
// behind it. What a client sent before it received the refusal arrives within
// that time; afterwards its producer has given the batch up, or has sent it to
// another broker.
const RefusedTime = 5 * time.Second

// Refuse records that the batch was refused with an error upon which its
// producer sends it again.
func (f *AppendOutcome) Refuse() { f.state.Store(time.Now().UnixNano()) }

// Settle records that the batch was accepted, or that its producer will not
// send it again.
func (f *AppendOutcome) Settle() { f.state.Store(outcomeSettled) }

// Refused reports whether the batch is expected again.
func (f *AppendOutcome) Refused() bool {
	if f == nil {
		return false
	}
	at := f.state.Load()
	return at > outcomeSettled && time.Since(time.Unix(0, at)) < RefusedTime
}

// Pending reports whether the outcome is still open.
func (f *AppendOutcome) Pending() bool { return f != nil && f.state.Load() == outcomePending }

// recordAnswer records the answer to a batch. A metadata.Code is final, except
// for a topic that is gone: clients find the new topic of that name and send
// again.
func (f *AppendOutcome) recordAnswer(err error) {
	if f == nil {
		return
	}
	var code metadata.Code
	if err == nil || errors.As(err, &code) && code != metadata.CodeUnknownTopic {
		f.Settle()
		return
	}
	f.Refuse()
}
