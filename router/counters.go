package router

import (
	"slices"
	"strings"
	"sync"

	"github.com/zonewise/zonewise/metadata"
)

// MaxCountedZones bounds the zones counted separately; further ones (a CIDR
// table may name more than the cluster has) count as OtherZones.
const MaxCountedZones = 2 * metadata.MaxZones

// OtherZones is the row of the zones beyond MaxCountedZones.
const OtherZones metadata.ZoneID = "__other__"

// Alignment is whether a client talks to a broker of its own zone.
type Alignment uint8

// The alignments.
const (
	Unknown Alignment = iota // there is no evidence of its zone
	Aligned
	Misaligned
)

// String returns the alignment's name as metrics show it.
func (a Alignment) String() string {
	switch a {
	case Aligned:
		return "aligned"
	case Misaligned:
		return "misaligned"
	}
	return "unknown"
}

// AlignmentOf compares where a client's bytes are counted with a broker's zone.
func AlignmentOf(e Evidence, broker metadata.ZoneID) Alignment {
	switch e.BilledZone {
	case metadata.UnknownZone:
		return Unknown
	case broker:
		return Aligned
	}
	return Misaligned
}

// ClientCount is the clients of one zone by one kind of evidence.
type ClientCount struct {
	Zone      metadata.ZoneID // empty: unknown
	Source    Source
	Alignment Alignment
	Now       int64  // connected
	Total     uint64 // since the broker's start
	Disagree  uint64 // of Total: tag or listener and address differ
	BadTag    uint64 // of Total: a tag that names no known zone
	BadRack   uint64 // of Total: a rack that names no known zone
}

// Counters counts the clients of one broker.
type Counters struct {
	zone metadata.ZoneID // the broker's

	mu    sync.Mutex
	rows  map[countKey]*ClientCount // guarded by mu
	zones map[metadata.ZoneID]bool  // guarded by mu
}

type countKey struct {
	zone      metadata.ZoneID
	source    Source
	alignment Alignment
}

// NewCounters returns the counters of a broker in this zone.
func NewCounters(zone metadata.ZoneID) *Counters {
	return &Counters{zone: zone, rows: map[countKey]*ClientCount{}, zones: map[metadata.ZoneID]bool{}}
}

// Connected counts a client. It returns the evidence under which the client is
// counted, which Disconnected takes; a client of which more is learned later (a
// Fetch has its rack) is moved with Moved.
func (c *Counters) Connected(e Evidence) Evidence {
	c.mu.Lock()
	defer c.mu.Unlock()
	row := c.rowOf(e)
	row.Now++
	row.Total++
	incrementIf(&row.Disagree, e.Disagree)
	incrementIf(&row.BadTag, e.BadTag)
	incrementIf(&row.BadRack, e.BadRack)
	return e
}

// Disconnected uncounts a client that was counted as e.
func (c *Counters) Disconnected(e Evidence) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rowOf(e).Now--
}

// Moved counts a client, until now counted as from, as to.
func (c *Counters) Moved(from, to Evidence) Evidence {
	if from == to {
		return to
	}
	c.Disconnected(from)
	return c.Connected(to)
}

func incrementIf(n *uint64, one bool) {
	if one {
		*n++
	}
}

// rowOf returns the evidence's row; the caller holds mu.
func (c *Counters) rowOf(e Evidence) *ClientCount {
	k := countKey{e.BilledZone, e.Source, AlignmentOf(e, c.zone)}
	if !c.zones[k.zone] {
		if len(c.zones) >= MaxCountedZones {
			k.zone = OtherZones
		}
		c.zones[k.zone] = true
	}
	row := c.rows[k]
	if row == nil {
		row = &ClientCount{Zone: k.zone, Source: k.source, Alignment: k.alignment}
		c.rows[k] = row
	}
	return row
}

// Snapshot returns all rows, sorted by zone, source and alignment.
func (c *Counters) Snapshot() []ClientCount {
	c.mu.Lock()
	out := make([]ClientCount, 0, len(c.rows))
	for _, row := range c.rows {
		out = append(out, *row)
	}
	c.mu.Unlock()
	slices.SortFunc(out, func(a, b ClientCount) int {
		if n := strings.Compare(string(a.Zone), string(b.Zone)); n != 0 {
			return n
		}
		if a.Source != b.Source {
			return int(a.Source) - int(b.Source)
		}
		return int(a.Alignment) - int(b.Alignment)
	})
	return out
}
