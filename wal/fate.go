package wal

import (
	"errors"
	"sync/atomic"

	"github.com/zonewise/zonewise/metadata"
)

// Fate tells what became of a batch, without holding on to its bytes. The zero
// value is a batch that is on its way.
type Fate struct{ refused atomic.Bool }

// Refuse says that the batch was not taken, and that its producer will send it
// again.
func (f *Fate) Refuse() { f.refused.Store(true) }

// Refused reports whether Refuse was called.
func (f *Fate) Refused() bool { return f != nil && f.refused.Load() }

// settle takes down the answer to a batch: a metadata.Code is final, any other
// error makes its producer send it again.
func (f *Fate) settle(err error) {
	var final metadata.Code
	if f != nil && err != nil && !errors.As(err, &final) {
		f.Refuse()
	}
}
