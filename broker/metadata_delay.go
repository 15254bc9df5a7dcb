package broker

import (
	"context"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// delayMetadata delays the response to a client that may request Metadata because
// it has just lost its broker. This broker notices the failure (Config.Healthy) at
// the same time as the client; a response that still has the failed broker would
// make the client wait until its next refresh: 5 s for franz-go. A new client in
// this broker's zone has lost nothing and does not wait. Only the connection's
// writer calls it.
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
