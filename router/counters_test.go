package router

import (
	"fmt"
	"testing"

	"github.com/zonewise/zonewise/metadata"
)

func TestClientsAreCountedByZoneEvidenceAndAlignment(t *testing.T) {
	c := NewCounters("a")
	tag := c.Connected(Evidence{Zone: "a", Source: SourceTag, BilledZone: "b", BilledSource: SourceCIDR, Disagree: true})
	none := c.Connected(Evidence{BadTag: true})
	c.Connected(Evidence{Zone: "a", Source: SourceListener, BilledZone: "a", BilledSource: SourceListener})
	rack := c.Moved(none, Evidence{Zone: "a", Source: SourceRack, BilledZone: "a", BilledSource: SourceRack})
	c.Moved(rack, rack)
	c.Disconnected(tag)
	want := []ClientCount{
		{Zone: "", Source: SourceUnknown, Alignment: Unknown, Now: 0, Total: 1, BadTag: 1},
		{Zone: "a", Source: SourceListener, Alignment: Aligned, Now: 1, Total: 1},
		{Zone: "a", Source: SourceRack, Alignment: Aligned, Now: 1, Total: 1},
		{Zone: "b", Source: SourceTag, Alignment: Misaligned, Now: 0, Total: 1, Disagree: 1},
	}
	if got := c.Snapshot(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%+v", got)
	}
}

func TestCountedZonesAreBounded(t *testing.T) {
	c := NewCounters("a")
	for i := range 1000 {
		e := c.Connected(Evidence{Zone: metadata.ZoneID(fmt.Sprint(i)), Source: SourceCIDR, BilledZone: metadata.ZoneID(fmt.Sprint(i))})
		defer c.Disconnected(e)
	}
	rows := c.Snapshot()
	var now int64
	for _, r := range rows {
		now += r.Now
	}
	if len(rows) > MaxCountedZones+1 || now != 1000 {
		t.Errorf("%d rows of %d clients", len(rows), now)
	}
}
