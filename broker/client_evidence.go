package broker

import (
	"net"
	"net/netip"

	"github.com/zonewise/zonewise/router"
)

// evidenceKey is what a connection's evidence depends on, in addition to the
// connection.
type evidenceKey struct{ clientID, rack string }

// maxEvidenceKeys bounds the cached evidence of a connection: a client has one
// client id.
const maxEvidenceKeys = 16

// resolveEvidence finds the zone of a request's client, and counts the client if
// it produces or fetches: group and admin requests may go to any zone, by design.
// The rack of a Fetch applies to the connection's later requests. Only the writer
// calls it.
func (c *conn) resolveEvidence(clientID string, kind trafficKind) router.Evidence {
	k := evidenceKey{clientID, c.rack}
	e, ok := c.evidenceByKey[k]
	if !ok {
		e = c.s.cfg.Resolver.Resolve(router.Client{Listener: c.zone, ClientID: clientID, Rack: c.rack, Addr: peerAddr(c.net.RemoteAddr())})
		if len(c.evidenceByKey) >= maxEvidenceKeys {
			clear(c.evidenceByKey)
		}
		c.evidenceByKey[k] = e
	}
	switch {
	case !c.counted && (kind == trafficProduce || kind == trafficFetch):
		c.clientEvidence, c.counted = c.s.clients.Connected(e), true
		c.s.metrics.countClient(e, c.s.cfg.Zone)
	case !c.counted:
		c.clientEvidence = e
	case e != c.clientEvidence:
		c.clientEvidence = c.s.clients.Moved(c.clientEvidence, e)
		c.s.metrics.countClient(e, c.s.cfg.Zone)
	}
	return e
}

func peerAddr(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort().Addr().Unmap()
	}
	if p, err := netip.ParseAddrPort(a.String()); err == nil {
		return p.Addr().Unmap()
	}
	return netip.Addr{}
}

// anonymousPrincipal is Kafka's name for an unauthenticated client.
const anonymousPrincipal = "User:ANONYMOUS"

// principal returns a connection's principal: there is no authentication yet.
func (c *conn) principal() string { return anonymousPrincipal }

// host is the client's address in the form that group descriptions show.
func (c *conn) host() string {
	if a := peerAddr(c.net.RemoteAddr()); a.IsValid() {
		return "/" + a.String()
	}
	return "/" + c.net.RemoteAddr().String()
}
