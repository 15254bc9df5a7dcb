package router

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/zonewise/zonewise/metadata"
)

// Source is the kind of evidence that placed a client.
type Source uint8

// The sources; after SourceUnknown the strongest first.
const (
	SourceUnknown Source = iota
	SourceListener
	SourceTag
	SourceRack
	SourceCIDR
	Sources
)

// String returns the source's name as metrics and pages show it.
func (s Source) String() string {
	switch s {
	case SourceUnknown:
		return "unknown"
	case SourceListener:
		return "listener"
	case SourceTag:
		return "tag"
	case SourceRack:
		return "rack"
	case SourceCIDR:
		return "cidr"
	}
	return fmt.Sprintf("source-%d", uint8(s))
}

// Client is the evidence of a client's zone in a connection, or in one request
// of it.
type Client struct {
	Listener metadata.ZoneID // of the listener it came by; empty: the one without a zone
	ClientID string          // as in the request's header
	Rack     string          // client.rack of a Fetch (KIP-392) or heartbeat; else empty
	Addr     netip.Addr      // the peer's; may be invalid
}

// Evidence is where a client is, and the source of that knowledge.
type Evidence struct {
	// Zone decides to which brokers the client is sent.
	Zone   metadata.ZoneID
	Source Source
	// BilledZone is where its bytes are counted: the address has precedence
	// over what the client sends.
	BilledZone   metadata.ZoneID
	BilledSource Source
	// Disagree: both zones are known and differ.
	Disagree bool
	// BadTag and BadRack: there was a tag or rack, and it named no known
	// zone.
	BadTag, BadRack bool
}

// Resolver places clients. It is immutable.
type Resolver struct {
	known map[string]metadata.ZoneID // zone ids, and names of zones in this account
	cidrs *CIDRTable
}

// NewResolver returns a resolver for these zones (those of the cluster), those
// of the table, and further names of zones (us-east-1a, which differ by
// account) with their ids. names and cidrs may be nil.
func NewResolver(zones []metadata.ZoneID, names map[string]metadata.ZoneID, cidrs *CIDRTable) *Resolver {
	r := &Resolver{known: map[string]metadata.ZoneID{}, cidrs: cidrs}
	for name, id := range names {
		r.known[name] = id
	}
	ids := append(cidrs.Zones(), zones...)
	for _, id := range names {
		ids = append(ids, id)
	}
	for _, id := range ids { // ids have precedence over names
		r.known[string(id)] = id
	}
	delete(r.known, "")
	return r
}

// Resolve determines a client's zone: by listener, tag, rack, address, in this
// order. A tag or rack that names no known zone is recorded and skipped.
func (r *Resolver) Resolve(c Client) Evidence {
	var e Evidence
	if c.Listener != metadata.UnknownZone {
		e.setIfUnknown(c.Listener, SourceListener)
	}
	if value, ok := Tag(c.ClientID); ok {
		zone, known := r.zoneOfTag(value)
		e.BadTag = !known
		e.setIfUnknown(zone, SourceTag)
	}
	if c.Rack != "" {
		zone, known := r.known[c.Rack]
		e.BadRack = !known
		e.setIfUnknown(zone, SourceRack)
	}
	at, located := r.cidrs.Zone(c.Addr)
	if located {
		e.setIfUnknown(at, SourceCIDR)
	}
	e.BilledZone, e.BilledSource = e.Zone, e.Source
	if located {
		e.BilledZone, e.BilledSource = at, SourceCIDR
	}
	e.Disagree = e.Zone != e.BilledZone
	return e
}

// setIfUnknown sets the evidence unless stronger evidence was found.
func (e *Evidence) setIfUnknown(zone metadata.ZoneID, source Source) {
	if e.Source == SourceUnknown && zone != metadata.UnknownZone {
		e.Zone, e.Source = zone, source
	}
}

// zoneOfTag maps a tag's value to a zone: a known one, or the longest known one
// that the value begins with, followed by '-', '.' or '_': Streams and others
// append to a client.id (-StreamThread-1-producer). The value may be
// percent-encoded, as AutoMQ has it; where the encoding is invalid the value is
// used as it is.
func (r *Resolver) zoneOfTag(value string) (metadata.ZoneID, bool) {
	if plain, err := url.PathUnescape(value); err == nil {
		value = plain
	}
	for end := len(value); end > 0; end = strings.LastIndexAny(value[:end], "-._") {
		if zone, ok := r.known[value[:end]]; ok {
			return zone, true
		}
	}
	return metadata.UnknownZone, false
}
