package router

import "strings"

// Separators of tags in a client.id, and the keys that name a zone: ours, and
// those of AutoMQ, WarpStream, Inkless and Tektite, so that a client of one of
// them needs no change.
const tagSeparators = " ,;|&"

func tagKeys() [7]string {
	return [...]string{"zone", "automq_az", "warpstream_az", "ws_az", "diskless_az", "inkless_az", "tek_az"}
}

// Tag returns the value of the first zone tag in a client.id:
//
//	(^|[ ,;|&])(zone|automq_az|warpstream_az|ws_az|diskless_az|inkless_az|tek_az)=([^=,;|& ]*)
//
// The value may carry what clients add to an id behind it; see Resolver.
func Tag(clientID string) (value string, ok bool) {
	for rest := clientID; ; {
		for _, key := range tagKeys() {
			if v, found := strings.CutPrefix(rest, key); found && strings.HasPrefix(v, "=") {
				v = v[1:]
				if end := strings.IndexAny(v, "="+tagSeparators); end >= 0 {
					v = v[:end]
				}
				return v, true
			}
		}
		next := strings.IndexAny(rest, tagSeparators)
		if next < 0 {
			return "", false
		}
		rest = rest[next+1:]
	}
}
