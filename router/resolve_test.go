package router

import (
	"net/netip"
	"regexp"
	"testing"

	"github.com/zonewise/zonewise/metadata"
)

func mustCIDRs(t testing.TB, text string) *CIDRTable {
	c, err := ParseCIDRs(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func testResolver(t testing.TB) *Resolver {
	return NewResolver([]metadata.ZoneID{"use1-az1", "use1-az2", "use1-az2-b", "a"},
		map[string]metadata.ZoneID{"us-east-1a": "use1-az4", "us-east-1b": "use1-az2"},
		mustCIDRs(t, "use1-az1 10.0.0.0/16\nuse1-az2 10.0.7.0/24\nuse1-az6 2001:db8::/32"))
}

func TestTagsSurviveWhatClientsDoToAnID(t *testing.T) {
	r := testResolver(t)
	for id, want := range map[string]metadata.ZoneID{
		"zone=use1-az1":                                       "use1-az1",
		"app,zone=use1-az1":                                   "use1-az1",
		"app;zone=use1-az1;x=y":                               "use1-az1",
		"app zone=use1-az1 x":                                 "use1-az1",
		"automq_type=producer&automq_az=use1-az1&x=%zz":       "use1-az1",
		"automq_az=us-east-1a&automq_type=consumer":           "use1-az4",
		"automq_az=use1%2Daz1":                                "use1-az1",
		"automq_az=use1-az1%zz":                               "", // broken escape: neither a zone nor a panic
		"ws_az=us-east-1b,ws_host_override=x":                 "use1-az2",
		"warpstream_az=use1-az2":                              "use1-az2",
		"diskless_az=use1-az1|east->west|connector|role":      "use1-az1", // MirrorMaker 2
		"a|zone=use1-az1|b->c|MirrorSourceConnector|consumer": "use1-az1",
		"inkless_az=use1-az1":                                 "use1-az1",
		"x,tek_az=use1-az1":                                   "use1-az1",
		"zone=use1-az1-StreamThread-1-producer":               "use1-az1", // Streams
		"app-zone=use1-az1-StreamThread-1-producer":           "",         // no separator before the key
		"app,zone=use1-az1-StreamThread-12-restore-consumer":  "use1-az1",
		"app,zone=use1-az2-b-StreamThread-1-consumer":         "use1-az2-b", // the longest
		"app,zone=use1-az2-c-StreamThread-1-consumer":         "use1-az2",
		"app,zone=a_admin":                                    "a",
		"app,zone=a.7":                                        "a",
		"connector-producer-c,zone=use1-az2-0":                "use1-az2", // Connect
		"zone=use1-az11":                                      "",         // a longer word is another zone
		"zone=use1-az1x-1":                                    "",
		"zone=nowhere,ws_az=use1-az1":                         "", // the first one counts
		"zone=":                                               "",
		"zone==use1-az1":                                      "",
		"Zone=use1-az1":                                       "",
		"timezone=use1-az1":                                   "",
		"":                                                    "",
		"zone":                                                "",
		"%,zone=use1-az1":                                     "use1-az1",
		"zone=use1-az1,zone=use1-az2":                         "use1-az1",
	} {
		e := r.Resolve(Client{ClientID: id})
		_, tagged := Tag(id)
		if e.Zone != want || (e.Source == SourceTag) != (want != "") || e.BadTag != (tagged && want == "") {
			t.Errorf("%q: %+v, want %q", id, e, want)
		}
	}
}

func TestEvidenceIsTakenInOrderAndTheAddressBills(t *testing.T) {
	r := testResolver(t)
	in1, in2 := netip.MustParseAddr("10.0.1.1"), netip.MustParseAddr("::ffff:10.0.7.1")
	for name, x := range map[string]struct {
		client Client
		want   Evidence
	}{
		"nothing":  {Client{}, Evidence{}},
		"listener": {Client{Listener: "a", ClientID: "zone=use1-az1", Rack: "use1-az2"}, Evidence{Zone: "a", Source: SourceListener, BilledZone: "a", BilledSource: SourceListener}},
		"tag":      {Client{ClientID: "zone=use1-az1", Rack: "use1-az2"}, Evidence{Zone: "use1-az1", Source: SourceTag, BilledZone: "use1-az1", BilledSource: SourceTag}},
		"rack":     {Client{Rack: "us-east-1b", Addr: in2}, Evidence{Zone: "use1-az2", Source: SourceRack, BilledZone: "use1-az2", BilledSource: SourceCIDR}},
		"address":  {Client{Addr: in1}, Evidence{Zone: "use1-az1", Source: SourceCIDR, BilledZone: "use1-az1", BilledSource: SourceCIDR}},
		"disagree": {Client{ClientID: "zone=use1-az1", Addr: in2}, Evidence{Zone: "use1-az1", Source: SourceTag, BilledZone: "use1-az2", BilledSource: SourceCIDR, Disagree: true}},
		"bad tag":  {Client{ClientID: "zone=mars", Rack: "venus", Addr: in1}, Evidence{Zone: "use1-az1", Source: SourceCIDR, BilledZone: "use1-az1", BilledSource: SourceCIDR, BadTag: true, BadRack: true}},
		"ipv6":     {Client{Addr: netip.MustParseAddr("2001:db8:1::7")}, Evidence{Zone: "use1-az6", Source: SourceCIDR, BilledZone: "use1-az6", BilledSource: SourceCIDR}},
		"outside":  {Client{Addr: netip.MustParseAddr("192.168.0.1")}, Evidence{}},
	} {
		if got := r.Resolve(x.client); got != x.want {
			t.Errorf("%s: %+v, want %+v", name, got, x.want)
		}
	}
	none := NewResolver(nil, nil, nil)
	if e := none.Resolve(Client{ClientID: "zone=a", Addr: in1}); e != (Evidence{BadTag: true}) {
		t.Errorf("%+v", e)
	}
}

func FuzzTag(f *testing.F) {
	rule := regexp.MustCompile(`(?s)(^|[ ,;|&])(zone|automq_az|warpstream_az|ws_az|diskless_az|inkless_az|tek_az)=([^=,;|& ]*)`)
	for _, id := range []string{"zone=a", "x,ws_az=b-1", "zone==a", "zonezone=a", "a|zone=b|c", "automq_az=%", " zone=a&zone=b"} {
		f.Add(id)
	}
	r := testResolver(f)
	f.Fuzz(func(t *testing.T, id string) {
		want, found := "", false
		if m := rule.FindStringSubmatch(id); m != nil {
			want, found = m[3], true
		}
		if got, ok := Tag(id); got != want || ok != found {
			t.Fatalf("%q: %q %v, the rule says %q %v", id, got, ok, want, found)
		}
		r.Resolve(Client{ClientID: id, Rack: id})
	})
}
