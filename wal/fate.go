package wal

import (
	"errors"
	"sync/atomic"

	"github.com/zonewise/zonewise/metadata"
)

// Fate tells what became of a batch, without holding on to its bytes. The zero
// value is a batch that is on its way.
type Fate struct{ state atomic.Uint32 }

const (
	fatePending = iota
	fateSettled
	fateRefused
)

// Refuse says that the batch was not taken, and that its producer will send it
// again.
func (f *Fate) Refuse() { f.state.Store(fateRefused) }

// Settle says that the batch was taken, or that its producer will not send it
// again.
func (f *Fate) Settle() { f.state.Store(fateSettled) }

// Refused reports whether the batch is to come again.
func (f *Fate) Refused() bool { return f != nil && f.state.Load() == fateRefused }

// Pending reports whether that is not known yet.
func (f *Fate) Pending() bool { return f != nil && f.state.Load() == fatePending }

// answered takes down the answer to a batch. A metadata.Code is final, but for
// the topic that is gone: clients find the new one of its name and send again.
func (f *Fate) answered(err error) {
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
