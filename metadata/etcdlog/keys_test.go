package etcdlog

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/zonewise/zonewise/metadata"
)

// The keys and values of a cluster are a stored format: changing a byte of
// them is a new layout version.
func TestKeysAndValuesAreTheGoldenOnes(t *testing.T) {
	k := newKeys("main")
	e := metadata.EntryKey{Session: 0x1f, Lane: metadata.LaneLow, Seq: 0x2a}
	session, err1 := encodeSession(metadata.SessionInfo{Nonce: "n", Zone: "use1-az1", Peer: "h:1"},
		metadata.SessionStatus{Broker: 3, Clock: 4, Applied: 5, HashRevision: 6, Hash: 7})
	pointer, err2 := encodePointer(metadata.CheckpointPointer{Revision: 9, Extent: 8, Object: "1/checkpoint/9", Hash: 1 << 63})
	upTo, err3 := truncated{extent: 5, archive: "1/archive/0000000000000005/000000000000001f-1"}.encode()
	if err1 != nil || err2 != nil || err3 != nil {
		t.Fatal(err1, err2, err3)
	}
	got := strings.Join([]string{
		k.formatKey(), k.incarnationKey(1), k.tokenKey(), k.extentKey(), k.headKey(), k.entryKey(6, e), k.truncatedKey(), k.checkpointKey(),
		k.sessionKey("nonce"), k.roleKey("archive"), string(session), string(pointer), k.settingsKey("nonce"),
		string(nothingTruncated()), string(upTo), "",
	}, "\n")
	want, err := os.ReadFile("testdata/layout1.golden")
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestLogKeysSortByGeneration(t *testing.T) {
	k := newKeys("main")
	var all []string
	for _, g := range []metadata.Extent{1, 9, 10, 255, 256, 1 << 40} {
		all = append(all, k.entryKey(g, metadata.EntryKey{Session: 1 << 62, Lane: metadata.LaneStandard, Seq: 1}))
	}
	if !slices.IsSorted(all) {
		t.Errorf("%v", all)
	}
}

func FuzzParseEntryKey(f *testing.F) {
	k := newKeys("main")
	f.Add(k.entryKey(6, metadata.EntryKey{Session: 31, Lane: metadata.LaneControl, Seq: 42}))
	f.Add(k.logPrefix() + "1/2/low/3")
	f.Fuzz(func(t *testing.T, s string) {
		g, e, err := k.parseEntryKey(s)
		if err == nil && k.entryKey(g, e) != s {
			t.Errorf("%q is read as %q", s, k.entryKey(g, e))
		}
	})
}

func FuzzDecodeValues(f *testing.F) {
	b, _ := encodePointer(metadata.CheckpointPointer{Revision: 1, Object: "o"})
	f.Add(b)
	b, _ = encodeSession(metadata.SessionInfo{}, metadata.SessionStatus{})
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := decodePointer(b); err == nil {
			if _, err := encodePointer(*p); err != nil && p.Revision >= 0 {
				t.Error(err)
			}
		}
		if i, s, err := decodeSession("n", b); err == nil {
			if _, err := encodeSession(i, s); err != nil {
				t.Error(err)
			}
		}
	})
}
