package etcdlog

import (
	"bytes"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/zonewise/zonewise/metadata"
)

// holds judges a comparison of a value as etcd does: byte by byte.
func holds(c *compare, value []byte) bool {
	switch order := bytes.Compare(value, c.GetValue()); c.Result {
	case etcdserverpb.Compare_LESS:
		return order < 0
	case etcdserverpb.Compare_GREATER:
		return order > 0
	case etcdserverpb.Compare_EQUAL:
		return order == 0
	}
	return false
}

// valueOf is what Create, Recover or DeleteArchived write for an extent.
func valueOf(t *testing.T, g metadata.Extent, archive string) []byte {
	t.Helper()
	if g == 0 {
		return nothingTruncated()
	}
	b, err := truncated{g, archive}.encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A key behind the number must not change what the guards compare: whether an
// extent is truncated already, and whether its keys may be deleted.
func TestTheGuardsOfTruncatedCompareItsNumber(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	names := []string{"1/archive/0000000000000007/0000000000000005-1", " ", "~", "0", "\xff\xff", "ffffffffffffffff"}
	judge := func(now, g metadata.Extent, archive string) {
		t.Helper()
		value := valueOf(t, now, archive)
		if got, want := holds(compareTruncatedBelow("k", g), value), now < g; got != want {
			t.Errorf("truncated %q is below %d: %v, want %v", value, g, got, want)
		}
		if got, want := holds(compareTruncatedCovers("k", g), value), now >= g; got != want {
			t.Errorf("truncated %q covers %d: %v, want %v", value, g, got, want)
		}
	}
	for _, archive := range names {
		for _, g := range []metadata.Extent{1, 2, 9, 10, 15, 16, 17, 255, 256, 1 << 32, math.MaxInt64} {
			for by := -2; by <= 2; by++ {
				if now := int64(g) + int64(by); now >= 0 {
					judge(metadata.Extent(now), g, archive)
				}
			}
			judge(0, g, archive)
		}
		for range 2000 {
			judge(metadata.Extent(rng.Int64N(1<<uint(rng.IntN(63)))), metadata.Extent(1+rng.Int64N(1<<uint(rng.IntN(62)))), archive)
		}
	}
}

func TestTruncatedWithoutItsArchiveIsRefused(t *testing.T) {
	for _, bad := range []truncated{{}, {extent: 7}, {archive: "a"}} {
		if b, err := bad.encode(); err == nil {
			t.Errorf("%+v is written as %q", bad, b)
		}
	}
	if got, err := decodeTruncated(nothingTruncated()); err != nil || got != (truncated{}) {
		t.Errorf("of a new cluster: %+v, %v", got, err)
	}
	for _, bad := range []string{"", "7", "0000000000000007", "0000000000000007 ", "0000000000000007a", "0000000000000000 a", "000000000000000A a", "000000000000000g a"} {
		if got, err := decodeTruncated([]byte(bad)); err == nil {
			t.Errorf("%q is read as %+v", bad, got)
		}
	}
}

func FuzzTruncated(f *testing.F) {
	f.Add([]byte("0000000000000000"))
	f.Add([]byte("0000000000000007 1/archive/0000000000000007/0000000000000005-1"))
	f.Add([]byte("0000000000000007"))
	f.Add([]byte("000000000000000 "))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := decodeTruncated(b)
		if err != nil {
			return
		}
		if again := valueOf(t, got.extent, got.archive); !bytes.Equal(again, b) {
			t.Errorf("%q is %+v, which is written as %q", b, got, again)
		}
		if got.extent > 0 && (got.archive == "" || !strings.HasSuffix(string(b), got.archive)) {
			t.Errorf("%q names archive %q", b, got.archive)
		}
	})
}
