package metadata

import "time"

// Clock is a broker's wall clock: what it says goes into the log, to be compared
// with what others say. Nil is the machine's. How long something takes is never
// measured by it.
type Clock func() UnixMilli

// Now is the clock's time.
func (c Clock) Now() UnixMilli {
	if c == nil {
		return UnixMilli(time.Now().UnixMilli())
	}
	return c()
}
