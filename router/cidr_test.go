package router

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/zonewise/zonewise/metadata"
)

func TestCIDRErrorsNameTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"a 10.0.0.0/8\n\n# fine\nb\n":            "line 4",
		"a 10.0.0.0/8\nb 10.0.0.0/33":            "line 2",
		"a 10.0.0.1/8":                           "did you mean 10.0.0.0/8",
		"a 10.0.0.0/8\nb 10.0.0.0/8":             "in zone a and in zone b",
		"a=b 10.0.0.0/8":                         "zone",
		"a@10.0.0.0/8<>b":                        "line 1",
		"a@10.0.0.0/8,<>b@10.1.0.0/16":           "line 1",
		"a@10.0.0.0/8<>b@10.0.0.0/8":             "in zone a and in zone b",
		"@10.0.0.0/8":                            "zone",
		"a ::ffff:10.0.0.0/40":                   "IPv4",
		"a 10.0.0.0/8 b":                         "3 words",
		strings.Repeat("z", 129) + " 10.0.0.0/8": "zone",
	} {
		if _, err := ParseCIDRs(text); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "line ") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestImportFormMeansTheSameAsLines(t *testing.T) {
	a := mustCIDRs(t, "a 10.0.0.0/16 # one\nb\t10.1.0.0/16\r\na 2001:db8::/32\na 10.0.0.0/16\n")
	b := mustCIDRs(t, "a@10.0.0.0/16,2001:db8::/32<>b@10.1.0.0/16")
	if a.Len() != 3 || b.Len() != 3 || len(a.Zones()) != 2 {
		t.Fatalf("%d and %d prefixes", a.Len(), b.Len())
	}
	for _, addr := range []string{"10.0.3.4", "10.1.0.0", "10.2.0.0", "2001:db8::1", "2001:db9::1", "fe80::1%eth0", "::ffff:10.1.2.3"} {
		za, oka := a.Zone(netip.MustParseAddr(addr))
		zb, okb := b.Zone(netip.MustParseAddr(addr))
		if za != zb || oka != okb {
			t.Errorf("%s: %q and %q", addr, za, zb)
		}
	}
}

func TestTheLongestPrefixWins(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for range 50 {
		var text strings.Builder
		prefixes := map[netip.Prefix]metadata.ZoneID{}
		for range 40 {
			var a netip.Addr
			if rng.IntN(2) == 0 {
				a = netip.AddrFrom4([4]byte{10, byte(rng.IntN(3)), byte(rng.IntN(4)), byte(rng.IntN(256))})
			} else {
				a = netip.AddrFrom16([16]byte{0x20, 1, byte(rng.IntN(2)), byte(rng.IntN(3)), 15: byte(rng.IntN(256))})
			}
			p, _ := a.Prefix(rng.IntN(a.BitLen() + 1))
			if _, there := prefixes[p]; there {
				continue
			}
			prefixes[p] = metadata.ZoneID(fmt.Sprintf("z%d", rng.IntN(5)))
			fmt.Fprintf(&text, "%s %s\n", prefixes[p], p)
		}
		table := mustCIDRs(t, text.String())
		for range 200 {
			a := netip.AddrFrom4([4]byte{10, byte(rng.IntN(4)), byte(rng.IntN(4)), byte(rng.IntN(256))})
			if rng.IntN(2) == 0 {
				a = netip.AddrFrom16([16]byte{0x20, 1, byte(rng.IntN(2)), byte(rng.IntN(3)), 15: byte(rng.IntN(256))})
			}
			best, want := -1, metadata.UnknownZone
			for p, z := range prefixes {
				if p.Contains(a) && p.Bits() > best {
					best, want = p.Bits(), z
				}
			}
			if got, ok := table.Zone(a); got != want || ok != (best >= 0) {
				t.Fatalf("%s: %q, want %q in\n%s", a, got, want, text.String())
			}
		}
	}
}

func FuzzCIDRs(f *testing.F) {
	f.Add("a 10.0.0.0/8\n# x\nb 2001:db8::/32", "10.1.2.3")
	f.Add("a@10.0.0.0/8,10.1.0.0/16<>b@::/0", "::1")
	f.Fuzz(func(t *testing.T, text, addr string) {
		table, err := ParseCIDRs(text)
		if err != nil {
			if !strings.Contains(err.Error(), "line ") {
				t.Fatal(err)
			}
			return
		}
		a, _ := netip.ParseAddr(addr)
		if zone, ok := table.Zone(a); ok == (zone == metadata.UnknownZone) {
			t.Fatalf("%q %v", zone, ok)
		}
	})
}
