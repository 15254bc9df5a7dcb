package router

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/zonewise/zonewise/metadata"
)

// Limits of a CIDR table.
const (
	// MaxCIDRs bounds the prefixes of a table: a region's subnets are hundreds.
	MaxCIDRs = 100_000
	// maxZoneName bounds a zone's id in a table, in bytes.
	maxZoneName = 128
)

// CIDRTable maps addresses to zones by longest prefix. It is immutable; nil is
// the empty table.
type CIDRTable struct {
	zones map[netip.Prefix]metadata.ZoneID
	bits4 []int // prefix lengths there are, longest first
	bits6 []int
}

// ParseCIDRs reads a table from text: one `zone cidr` per line, '#' begins a
// comment; or, where a '@' stands in it, the form
// `zone1@cidr,cidr<>zone2@cidr` that AutoMQ and WarpStream use (in any number
// of lines). Errors name the line.
func ParseCIDRs(text string) (*CIDRTable, error) {
	t := &CIDRTable{zones: map[netip.Prefix]metadata.ZoneID{}}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		parse := t.parseLine
		if strings.Contains(line, "@") {
			parse = t.parseImport
		}
		if err := parse(line); err != nil {
			return nil, fmt.Errorf("CIDR table, line %d: %w", n, err)
		}
	}
	t.indexLengths()
	return t, nil
}

func (t *CIDRTable) parseLine(line string) error {
	fields := strings.Fields(line)
	if len(fields) != 2 {
		return fmt.Errorf("%d words, want `zone cidr`", len(fields))
	}
	return t.addPrefix(fields[0], fields[1])
}

func (t *CIDRTable) parseImport(line string) error {
	for _, group := range strings.Split(line, "<>") {
		zone, list, ok := strings.Cut(group, "@")
		if !ok {
			return fmt.Errorf("%q: want `zone@cidr,cidr`", group)
		}
		for _, cidr := range strings.Split(list, ",") {
			if err := t.addPrefix(strings.TrimSpace(zone), strings.TrimSpace(cidr)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *CIDRTable) addPrefix(zone, cidr string) error {
	if zone == "" || len(zone) > maxZoneName || strings.ContainsAny(zone, "=@<>"+tagSeparators) {
		return fmt.Errorf("zone %q: want an id such as use1-az1", zone)
	}
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil {
		return fmt.Errorf("%q: want a prefix such as 10.0.0.0/16 or 2001:db8::/56", cidr)
	}
	if prefix.Addr().Is4In6() {
		if prefix.Bits() < 96 {
			return fmt.Errorf("%q: write an IPv4 prefix as 10.0.0.0/16", cidr)
		}
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	if prefix != prefix.Masked() {
		return fmt.Errorf("%q: host bits are set; did you mean %s?", cidr, prefix.Masked())
	}
	if other, there := t.zones[prefix]; there && other != metadata.ZoneID(zone) {
		return fmt.Errorf("%s is in zone %s and in zone %s", prefix, other, zone)
	}
	t.zones[prefix] = metadata.ZoneID(zone)
	if len(t.zones) > MaxCIDRs {
		return errors.New("too many prefixes: at most 100,000")
	}
	return nil
}

// indexLengths lists the prefix lengths there are.
func (t *CIDRTable) indexLengths() {
	for p := range t.zones {
		if p.Addr().Is4() {
			t.bits4 = append(t.bits4, p.Bits())
		} else {
			t.bits6 = append(t.bits6, p.Bits())
		}
	}
	for _, bits := range []*[]int{&t.bits4, &t.bits6} {
		slices.Sort(*bits)
		*bits = slices.Compact(*bits)
		slices.Reverse(*bits)
	}
}

// Zone returns the zone of an address; false where no prefix covers it.
func (t *CIDRTable) Zone(a netip.Addr) (metadata.ZoneID, bool) {
	if t == nil || !a.IsValid() {
		return metadata.UnknownZone, false
	}
	a = a.Unmap().WithZone("")
	lengths := t.bits6
	if a.Is4() {
		lengths = t.bits4
	}
	for _, bits := range lengths {
		p, _ := a.Prefix(bits) // bits fit: they come from prefixes of this family
		if zone, ok := t.zones[p]; ok {
			return zone, true
		}
	}
	return metadata.UnknownZone, false
}

// Zones returns the zones of the table, sorted.
func (t *CIDRTable) Zones() []metadata.ZoneID {
	if t == nil {
		return nil
	}
	var out []metadata.ZoneID
	for _, zone := range t.zones {
		out = append(out, zone)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Len returns the number of prefixes.
func (t *CIDRTable) Len() int {
	if t == nil {
		return 0
	}
	return len(t.zones)
}
