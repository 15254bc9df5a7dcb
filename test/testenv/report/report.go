// Package report writes a suite's result into a document of the tree: the section
// between two comments with its name.
//
//	<!-- NAME: written by a run -->
//	...
//	<!-- end of NAME -->
//
// Owner: the run that writes a section owns only the text between its comments.
package report

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// ErrNoSection says that a document has no place for a section.
var ErrNoSection = errors.New("document has no such section")

// Write replaces a section of the document at path.
func Write(path, section, text string) error {
	body, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read document: %w", err)
	}
	out, err := replaceSection(string(body), section, text)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(out), 0o644)
}

func replaceSection(body, section, text string) (string, error) {
	begin, end := "<!-- "+section+": written by a run -->\n", "<!-- end of "+section+" -->"
	before, rest, ok1 := strings.Cut(body, begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		return "", fmt.Errorf("%q: %w", section, ErrNoSection)
	}
	return before + begin + strings.TrimSpace(text) + "\n" + end + after, nil
}
