package broker

import (
	"testing"
	"testing/synctest"
	"time"
)

// Requests that a client had sent together wait together; one try after the
// other waits longer; a success forgets.
func TestRequestsThatFailTogetherWaitOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &conn{s: &Server{}}
		try := func(requests int) time.Duration {
			began := time.Now()
			for range requests {
				c.delayFailure(t.Context(), began, true)
			}
			return time.Since(began)
		}
		for n, want := range []time.Duration{20, 40, 80, 160, 320, 640, 1000, 1000} {
			want = want*time.Millisecond + 4*minFailureDelay // the first of five, and the others behind it
			if took := try(5); took != want {
				t.Errorf("try %d of five requests waits %v, want %v", n+1, took, want)
			}
		}
		began := time.Now()
		time.Sleep(3 * time.Second) // its records were on their way so long, and then failed
		if c.delayFailure(t.Context(), began, true); time.Since(began) != 3*time.Second+minFailureDelay {
			t.Errorf("a request that has waited already is answered after %v", time.Since(began))
		}
		c.delayFailure(t.Context(), time.Now(), false)
		if took := try(1); took != 20*time.Millisecond {
			t.Errorf("the first failure after a success waits %v", took)
		}
		c.s.draining.Store(true)
		if took := try(1); took != 0 {
			t.Errorf("a broker that leaves waits %v", took)
		}
	})
}
