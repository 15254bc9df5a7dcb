package bucket

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// CheckName returns whether a name is valid for an object: UTF-8 without
// control characters, 1 to MaxName bytes, segments of 1 to MaxSegment bytes
// between '/', none of them "." or "..". S3 would accept more, but HTTP
// clients, proxies and file systems change such names in transit.
func CheckName(name string) error {
	if name == "" {
		return fmt.Errorf("BUG: object name is empty")
	}
	if len(name) > MaxName {
		return fmt.Errorf("BUG: object name of %d bytes is over the limit of %d", len(name), MaxName)
	}
	if !utf8.ValidString(name) {
		return fmt.Errorf("BUG: object name %q is not UTF-8", name)
	}
	for _, r := range name {
		if r < 0x20 || r == 0x7f || r == utf8.RuneError {
			return fmt.Errorf("BUG: object name %q has a control character", name)
		}
	}
	for segment := range strings.SplitSeq(name, "/") {
		switch {
		case segment == "" || segment == "." || segment == "..":
			return fmt.Errorf("BUG: object name %q has a segment %q", name, segment)
		case len(segment) > MaxSegment:
			return fmt.Errorf("BUG: object name %q has a segment of %d bytes, over the limit of %d", name, len(segment), MaxSegment)
		}
	}
	return nil
}

// CheckNames is CheckName for each.
func CheckNames(names []string) error {
	for _, name := range names {
		if err := CheckName(name); err != nil {
			return err
		}
	}
	return nil
}
