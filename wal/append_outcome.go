package wal

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// AppendOutcome tells what became of a batch, without holding on to its bytes. The zero
// value is a batch that is on its way.
type AppendOutcome struct{ state atomic.Int64 }

// What AppendOutcome.at is, beside the time at which the batch was refused.
const (
	outcomePending = 0
	outcomeSettled = 1
)

// RefusedTime is how long a refused batch that does not come again holds up
// those behind it. What a client had sent before it heard of the refusal comes
// within that time; afterwards its producer has given the batch up, or has gone
// elsewhere with it.
const RefusedTime = 5 * time.Second

// Refuse says that the batch was not taken, and that its producer will send it
// again.
func (f *AppendOutcome) Refuse() { f.state.Store(time.Now().UnixNano()) }

// Settle says that the batch was taken, or that its producer will not send it
// again.
func (f *AppendOutcome) Settle() { f.state.Store(outcomeSettled) }

// Refused reports whether the batch is to come again.
func (f *AppendOutcome) Refused() bool {
	if f == nil {
		return false
	}
	at := f.state.Load()
	return at > outcomeSettled && time.Since(time.Unix(0, at)) < RefusedTime
}

// Pending reports whether that is not known yet.
func (f *AppendOutcome) Pending() bool { return f != nil && f.state.Load() == outcomePending }

// recordAnswer takes down the answer to a batch. A metadata.Code is final, but for
// the topic that is gone: clients find the new one of its name and send again.
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
