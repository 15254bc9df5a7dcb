package oracle

import (
	"fmt"
	"strings"
)

// Difference is one field that differs between the responses of two brokers.
type Difference struct {
	Scenario string
	Line     int
	Text     string
	API      string
	Version  int16
	// Path names the field, with the identifiers of list elements:
	// Topics[t].Partitions[000000].ErrorCode.
	Path     string
	Kafka    string
	Zonewise string
}

func (d Difference) String() string {
	return fmt.Sprintf("%s line %d: %s v%d %s: Kafka %s, zonewise %s\n    %s", d.Scenario, d.Line, d.API, d.Version, d.Path, d.Kafka, d.Zonewise, shorten(d.Text))
}

func shorten(s string) string {
	if len(s) > 300 {
		return s[:300] + "..."
	}
	return s
}

// absent is the value of a field or an element that one side does not have.
const absent = "#absent"

// Compare compares the responses of two brokers to one scenario. The exchanges are
// results of Run; unique and now are Run's arguments.
func Compare(s *Scenario, kafka, zonewise []Exchange, a, b *Target, unique string, now int64) []Difference {
	left, right := newNormaliser(a, s, unique, now), newNormaliser(b, s, unique, now)
	var out []Difference
	for i := range max(len(kafka), len(zonewise)) {
		if i >= len(kafka) || i >= len(zonewise) {
			return append(out, Difference{Scenario: s.Name, API: "none", Path: "$outcome", Kafka: itoa(len(kafka)) + " exchanges", Zonewise: itoa(len(zonewise)) + " exchanges"})
		}
		x, y := &kafka[i], &zonewise[i]
		d := Difference{Scenario: s.Name, Line: x.Line, Text: x.Text, API: x.API, Version: x.Version}
		out = append(out, d.compareFields(left.flattenExchange(x), right.flattenExchange(y))...)
	}
	return out
}

// compareFields lists the fields that differ. For an element or a list that one side
// does not have it returns only the root.
func (d Difference) compareFields(a, b []field) (out []Difference) {
	values := make(map[string]string, len(b))
	for _, f := range b {
		values[f.path] = f.value
	}
	var missing []string
	below := func(path string) bool {
		for _, m := range missing {
			if strings.HasPrefix(path, m) && len(path) > len(m) && (path[len(m)] == '.' || path[len(m)] == '[') {
				return true
			}
		}
		return false
	}
	note := func(path, kafka, zonewise string) {
		if below(path) {
			return
		}
		if kafka == absent || zonewise == absent || strings.HasPrefix(kafka, "empty") || strings.HasPrefix(zonewise, "empty") || path == "$outcome" {
			missing = append(missing, path)
		}
		if path == "$outcome" {
			missing = append(missing, "")
		}
		d.Path, d.Kafka, d.Zonewise = path, kafka, zonewise
		out = append(out, d)
	}
	have := make(map[string]bool, len(a))
	outcome := len(a) > 0 && len(b) > 0 && a[0].value != b[0].value
	for _, f := range a {
		have[f.path] = true
		value, ok := values[f.path]
		if !ok {
			value = absent
		}
		if value != f.value && (!outcome || f.path == "$outcome") {
			note(f.path, f.value, value)
		}
	}
	for _, f := range b {
		if !have[f.path] && !outcome {
			note(f.path, absent, f.value)
		}
	}
	return out
}
