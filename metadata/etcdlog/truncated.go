package etcdlog

import (
	"fmt"

	"go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/zonewise/zonewise/metadata"
)

// truncated is the value of the key of that name: how far the log is read from
// the bucket. It is the extent's number in 16 hexadecimal digits and, except for
// extent 0 (nothing is archived yet), a space and the key of the archive that
// apply accepted for it:
//
//	0000000000000000
//	0000000000000007 1/archive/0000000000000007/0000000000000005-1
//
// Transactions compare the whole value, byte by byte, with a number alone. The
// number decides where the numbers differ. Where they are equal, the value is the
// greater one, as it is longer; both comparisons below depend on that.
type truncated struct {
	extent  metadata.Extent
	archive string // key of the extent's accepted archive; empty for extent 0
}

// nothingTruncated is the value of a new cluster.
func nothingTruncated() []byte { return []byte(formatHex64(0)) }

// encode returns the value; an error where the extent or its archive is missing.
func (t truncated) encode() ([]byte, error) {
	if t.extent == 0 || t.archive == "" {
		return nil, fmt.Errorf("encode truncated: extent %d with archive %q", t.extent, t.archive)
	}
	return []byte(formatHex64(uint64(t.extent)) + " " + t.archive), nil
}

func decodeTruncated(b []byte) (truncated, error) {
	const digits = 16
	v := string(b)
	n, err := parseHex64(v[:min(len(v), digits)])
	if err != nil {
		return truncated{}, fmt.Errorf("decode truncated %q: %w", v, err)
	}
	t := truncated{extent: metadata.Extent(n)}
	switch rest := v[digits:]; {
	case n == 0 && rest == "":
	case n > 0 && len(rest) > 1 && rest[0] == ' ':
		t.archive = rest[1:]
	default:
		return truncated{}, fmt.Errorf("decode truncated %q: want a number and, except for 0, a space and the archive's key; written by another version of this program?", v)
	}
	return t, nil
}

// compareTruncatedBelow: extent g is not truncated yet.
func compareTruncatedBelow(key string, g metadata.Extent) *compare {
	return compareValue(key, etcdserverpb.Compare_LESS, formatHex64(uint64(g)))
}

// compareTruncatedCovers: extent g, which is not 0, is truncated. "Greater than
// g-1" would be wrong: the value of g-1 is greater than its number, too.
func compareTruncatedCovers(key string, g metadata.Extent) *compare {
	return compareValue(key, etcdserverpb.Compare_GREATER, formatHex64(uint64(g)))
}
