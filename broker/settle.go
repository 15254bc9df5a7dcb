package broker

import (
	"context"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// settle waits a moment before leaders are named to a client that may ask
// because it has just lost one. Its broker's death reaches us (Config.Healthy)
// at the same time as it reaches the client, and who names the dead broker once
// more keeps that client waiting for as long as it asks no second time: 5 s for
// franz-go. A client that begins, in the zone of the broker that it asks, has
// lost nothing and does not wait. Only the connection's writer calls it.
func (s *Server) settle(ctx context.Context, r *request) {
	begins := !r.conn.asked && (r.from.Zone == s.cfg.Zone || r.from.Zone == metadata.UnknownZone)
	r.conn.asked = true
	if s.cfg.Settle <= 0 || begins {
		return
	}
	timer := time.NewTimer(s.cfg.Settle)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
