package broker

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/router"
)

func TestOnlyAClientThatMayHaveLostABrokerWaitsForLeaders(t *testing.T) {
	const settle = 25 * time.Millisecond
	for _, c := range []struct {
		what  string
		zone  metadata.ZoneID
		again bool
		want  time.Duration
	}{
		{"begins in our zone", "a", false, 0},
		{"begins, from nowhere", metadata.UnknownZone, false, 0},
		{"asks again", "a", true, settle},
		{"comes from another zone", "b", false, settle},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &Server{cfg: Config{Zone: "a", MetadataDelay: settle}}
			r := &request{conn: &conn{askedMetadata: c.again}, evidence: router.Evidence{Zone: c.zone}}
			began := time.Now()
			s.delayMetadata(t.Context(), r)
			if took := time.Since(began); took != c.want {
				t.Errorf("a client that %s waits %v, want %v", c.what, took, c.want)
			}
		})
	}
}
