package broker

import (
	"net"
	"net/netip"

	"github.com/zonewise/zonewise/router"
)

// placeKey is what a connection's evidence depends on beside the connection.
type placeKey struct{ clientID, rack string }

// maxPlaced bounds the evidence a connection keeps: a client has one client id.
const maxPlaced = 16

// place finds where a request comes from, and counts its client if it produces
// or fetches: a coordinator or an admin client may talk to any zone, by design.
// A rack that a Fetch brought holds for the connection's later requests. Only
// the writer calls it.
func (c *conn) place(clientID string, kind billKind) router.Evidence {
	k := placeKey{clientID, c.rack}
	e, ok := c.placed[k]
	if !ok {
		e = c.s.cfg.Resolver.Resolve(router.Client{Listener: c.zone, ClientID: clientID, Rack: c.rack, Addr: peerAddr(c.net.RemoteAddr())})
		if len(c.placed) >= maxPlaced {
			clear(c.placed)
		}
		c.placed[k] = e
	}
	switch {
	case !c.counted && (kind == billProduce || kind == billFetch):
		c.from, c.counted = c.s.clients.Connected(e), true
		c.s.metrics.client(e, c.s.cfg.Zone)
	case !c.counted:
		c.from = e
	case e != c.from:
		c.from = c.s.clients.Moved(c.from, e)
		c.s.metrics.client(e, c.s.cfg.Zone)
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

// anonymous is Kafka's name for who has not said who it is.
const anonymous = "User:ANONYMOUS"

// principal names who a connection's client is: nobody is authenticated yet.
func (c *conn) principal() string { return anonymous }

// host is the client's address as groups report it.
func (c *conn) host() string {
	if a := peerAddr(c.net.RemoteAddr()); a.IsValid() {
		return "/" + a.String()
	}
	return "/" + c.net.RemoteAddr().String()
}
