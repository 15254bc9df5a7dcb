package bucket

import (
	"fmt"
	"path/filepath"
	"strings"
)

// How Dir names files. Segments of an object name become folders and a file,
// each byte outside [A-Za-z0-9._=+,@~-] written as %XX, and a leading '.' too, so
// that no segment can be "..", be hidden, or meet what Dir keeps for itself:
//
//	main/1/wal/00a4.obj  ->  main/1/wal/00a4.obj
//	main/.tmp/x y        ->  main/%2Etmp/x%20y
//
// The mapping is one to one in both directions. Two names that differ in case
// only are one file where the file system ignores case (macOS by default);
// zonewise's own names are lower case.

const hexDigits = "0123456789ABCDEF"

// dirPath maps an object name to a relative path. The name must have passed CheckName.
func dirPath(name string) (string, error) {
	segments := strings.Split(name, "/")
	for i, segment := range segments {
		segments[i] = escapeSegment(segment)
		if len(segments[i]) > MaxSegment {
			return "", fmt.Errorf("BUG: segment %q is %d bytes long as a file name, over the limit of %d",
				segment, len(segments[i]), MaxSegment)
		}
	}
	return filepath.Join(segments...), nil
}

func escapeSegment(segment string) string {
	var out strings.Builder
	for i := range len(segment) {
		c := segment[i]
		if plainByte(c) && (i > 0 || c != '.') {
			out.WriteByte(c)
			continue
		}
		out.WriteByte('%')
		out.WriteByte(hexDigits[c>>4])
		out.WriteByte(hexDigits[c&15])
	}
	return out.String()
}

// unescapeSegment is the inverse; ok is false for a file name that
// escapeSegment does not make, hence for a file that is none of ours.
func unescapeSegment(file string) (segment string, ok bool) {
	if !strings.Contains(file, "%") { // the usual case
		return file, file != "" && escapeSegment(file) == file
	}
	var out strings.Builder
	for i := 0; i < len(file); i++ {
		if file[i] != '%' {
			out.WriteByte(file[i])
			continue
		}
		if i+2 >= len(file) {
			return "", false
		}
		high, low := strings.IndexByte(hexDigits, file[i+1]), strings.IndexByte(hexDigits, file[i+2])
		if high < 0 || low < 0 {
			return "", false
		}
		out.WriteByte(byte(high<<4 | low))
		i += 2
	}
	segment = out.String()
	return segment, escapeSegment(segment) == file
}

func plainByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("._=+,@~-", c) >= 0
}
