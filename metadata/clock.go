package metadata

import "time"

// Clock is a broker's wall clock. Its time is written to the log, to be compared
// with other brokers' clocks. Durations are never measured with it. nil is the
// system's clock.
type Clock func() UnixMilli

// Now returns the clock's time.
func (c Clock) Now() UnixMilli {
	if c == nil {
		return UnixMilli(time.Now().UnixMilli())
	}
	return c()
}
