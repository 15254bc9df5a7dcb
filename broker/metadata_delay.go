package broker

import (
	"context"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// delayMetadata waits a moment before leaders are named to a client that may ask
// because it has just lost one. Its broker's death reaches us (Config.Healthy)
// at the same time as it reaches the client, and who names the dead broker once
// more keeps that client waiting for as long as it asks no second time: 5 s for
// franz-go. A client that begins, in the zone of the broker that it asks, has
// lost nothing and does not wait. Only the connection's writer calls it.
func (s *Server) delayMetadata(ctx context.Context, r *request) {
	begins := !r.conn.askedMetadata && (r.evidence.Zone == s.cfg.Zone || r.evidence.Zone == metadata.UnknownZone)
	r.conn.askedMetadata = true
	if s.cfg.MetadataDelay <= 0 || begins {
		return
	}
	timer := time.NewTimer(s.cfg.MetadataDelay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
