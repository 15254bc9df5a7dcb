package broker

import (
	"net"
	"net/netip"

	"github.com/zonewise/zonewise/router"
)

// evidenceKey is what a connection's evidence depends on beside the connection.
type evidenceKey struct{ clientID, rack string }

// maxEvidenceKeys bounds the evidence a connection keeps: a client has one client id.
const maxEvidenceKeys = 16

// resolveEvidence finds where a request comes from, and counts its client if it produces
// or fetches: a coordinator or an admin client may talk to any zone, by design.
// A rack that a Fetch brought holds for the connection's later requests. Only
// the writer calls it.
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

// anonymousPrincipal is Kafka's name for who has not said who it is.
const anonymousPrincipal = "User:ANONYMOUS"

// principal names who a connection's client is: nobody is authenticated yet.
func (c *conn) principal() string { return anonymousPrincipal }

// host is the client's address as groups report it.
func (c *conn) host() string {
	if a := peerAddr(c.net.RemoteAddr()); a.IsValid() {
		return "/" + a.String()
	}
	return "/" + c.net.RemoteAddr().String()
}
