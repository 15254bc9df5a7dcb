package etcdlog

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/zonewise/zonewise/metadata"
)

// Root is the prefix of all keys of zonewise in etcd.
const Root = "/zonewise/"

// keys is the layout below /zonewise/<cluster>/, all of it. Numbers in keys
// and values that are compared are hexadecimal of fixed width (the value of
// truncated begins with one), and every prefix that is ever deleted or listed
// ends in '/'.
//
//	key                               number        written by                    absent when
//	format                            1             Create, Recover               no cluster is here
//	incarnation/<n>                   1             Create, Recover; never again  etcd went back in time (its create revision guards every write)
//	token                             1             Create, Recover               never (secret of the brokers' own listener)
//	generation                        1             the archive role              never
//	head                              1             every append                  nothing was appended here yet
//	log/<g>/<session>/<lane>/<seq>    <= ~100,000   the session, once             archived and deleted
//	truncated                         1             the archive role              never
//	checkpoint                        1             the checkpoint role           no checkpoint was accepted yet
//	session/<nonce>                   1 per broker  the session; lease-bound      the session is over
//	settings/<nonce>                  1 per broker  the session, once; lease-bound the session is over, or has none
//	duty/<name>                       < 100         its holder; lease-bound       nobody holds it
type keys struct{ root string }

func newKeys(cluster string) keys { return keys{Root + cluster + "/"} }

func (k keys) formatKey() string     { return k.root + "format" }
func (k keys) tokenKey() string      { return k.root + "token" }
func (k keys) extentKey() string     { return k.root + "generation" }
func (k keys) headKey() string       { return k.root + "head" }
func (k keys) truncatedKey() string  { return k.root + "truncated" }
func (k keys) checkpointKey() string { return k.root + "checkpoint" }
func (k keys) sessionPrefix() string { return k.root + "session/" }
func (k keys) logPrefix() string     { return k.root + "log/" }

func (k keys) incarnationKey(n metadata.Incarnation) string {
	return k.root + "incarnation/" + fmt.Sprintf("%08x", uint32(n))
}
func (k keys) sessionKey(nonce string) string  { return k.sessionPrefix() + nonce }
func (k keys) settingsPrefix() string          { return k.root + "settings/" }
func (k keys) settingsKey(nonce string) string { return k.settingsPrefix() + nonce }
func (k keys) roleKey(name string) string      { return k.root + "duty/" + name }

// extentPrefix returns the prefix of one extent's entries.
func (k keys) extentPrefix(g metadata.Extent) string {
	return k.logPrefix() + formatHex64(uint64(g)) + "/"
}

func (k keys) entryKey(g metadata.Extent, e metadata.EntryKey) string {
	return k.extentPrefix(g) + e.Session.String() + "/" + e.Lane.String() + "/" + formatHex64(uint64(e.Seq))
}

// parseEntryKey is the inverse of entry.
func (k keys) parseEntryKey(key string) (metadata.Extent, metadata.EntryKey, error) {
	rest, ok := strings.CutPrefix(key, k.logPrefix())
	part := strings.Split(rest, "/")
	if !ok || len(part) != 4 {
		return 0, metadata.EntryKey{}, fmt.Errorf("parse log key %q: not log/<g>/<session>/<lane>/<seq>", key)
	}
	g, err1 := parseHex64(part[0])
	s, err2 := parseHex64(part[1])
	seq, err3 := parseHex64(part[3])
	lane, ok := parseLane(part[2])
	if err1 != nil || err2 != nil || err3 != nil || !ok {
		return 0, metadata.EntryKey{}, fmt.Errorf("parse log key %q: not log/<g>/<session>/<lane>/<seq>", key)
	}
	return metadata.Extent(g), metadata.EntryKey{
		Session: metadata.SessionID(s), Lane: lane, Seq: metadata.LaneSeq(seq),
	}, nil
}

func parseLane(s string) (metadata.Lane, bool) {
	for l := metadata.Lane(0); l < metadata.LaneCount; l++ {
		if l.String() == s {
			return l, true
		}
	}
	return 0, false
}

// formatHex64 formats numbers in keys and in values that txns compare: of fixed
// width, so that the order of bytes is the order of numbers.
func formatHex64(v uint64) string { return fmt.Sprintf("%016x", v) }

func parseHex64(s string) (uint64, error) {
	if len(s) != 16 || strings.ToLower(s) != s {
		return 0, fmt.Errorf("parse number %q: want 16 lower-case hexadecimal digits", s)
	}
	return strconv.ParseUint(s, 16, 64)
}

// isValidName reports whether s can be one segment of a key.
func isValidName(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for _, c := range s {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' || c == ':') {
			return false
		}
	}
	return true
}
