package schema

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
)

// requests.txt has a block per request:
//
//	request KEY NAME VALID-VERSIONS flexible VERSIONS
//	 FIELD TYPE VERSIONS [nullable VERSIONS] [tag N]
//	  FIELD ...                     of a struct, or of an array of them
//
// in the order of the wire. VERSIONS are "3", "0-12" or "9+".
//
//go:embed requests.txt
var requests string // read only

// Table is the shapes of all requests, by API key and version.
type Table struct{ shapes map[requestVersion]*Shape }

type requestVersion struct{ key, version int16 }

// Shape is the wire format of one version of a request.
type Shape struct {
	flexible bool
	body     structShape
}

// structShape is a struct's fields in one version.
type structShape struct {
	fields []fieldShape
	tagged []fieldShape
	// bytes is the struct's size in memory without what it references: all fields of
	// all versions, as in kmsg's structs.
	bytes int64
}

type fieldShape struct {
	name     string
	kind     kind
	array    bool
	nullable bool
	pointer  bool // nullable in some version: kmsg holds a pointer in all
	tag      uint32
	inner    *structShape // of kindStruct
}

type kind uint8

const (
	kindStruct kind = iota
	kind8           // bool, int8
	kind16
	kind32
	kind64
	kindUUID
	kindString
	kindBytes // and records
)

var kinds = map[string]kind{"struct": kindStruct, "bool": kind8, "int8": kind8, "int16": kind16, "uint16": kind16, "int32": kind32,
	"int64": kind64, "float64": kind64, "uuid": kindUUID, "string": kindString, "bytes": kindBytes, "records": kindBytes} // read only

// Load reads the shapes of the versions first to last of each request of
// ranges.
func Load(ranges map[int16][2]int16) (*Table, error) { return parseTable(requests, ranges) }

// Shape returns the shape of a version of a request; nil if it was not loaded.
func (t *Table) Shape(key, version int16) *Shape { return t.shapes[requestVersion{key, version}] }

// versionRange is a range of versions; none is last < first.
type versionRange struct{ first, last int16 }

func (v versionRange) contains(n int16) bool { return v.first <= n && n <= v.last }

func parseVersions(text string) (versionRange, error) {
	from, to, ranged := strings.Cut(strings.TrimSuffix(text, "+"), "-")
	first, err := strconv.ParseInt(from, 10, 16)
	last := first
	switch {
	case text == "none":
		return versionRange{0, -1}, nil
	case strings.HasSuffix(text, "+"):
		last = 1<<15 - 1
	case ranged && err == nil:
		last, err = strconv.ParseInt(to, 10, 16)
	}
	if err != nil {
		return versionRange{}, fmt.Errorf("versions %q: %w", text, err)
	}
	return versionRange{int16(first), int16(last)}, nil
}

// fieldDefinition is a field with all its versions.
type fieldDefinition struct {
	fieldShape
	versions, nullable versionRange
	isTagged           bool
	fields             []fieldDefinition
}

// parseTable reads a table.
func parseTable(text string, ranges map[int16][2]int16) (*Table, error) {
	t := &Table{shapes: map[requestVersion]*Shape{}}
	for _, block := range strings.Split(text, "\nrequest ")[1:] {
		head, rest, _ := strings.Cut(block, "\n")
		words := strings.Fields(head)
		if len(words) != 5 || words[3] != "flexible" {
			return nil, fmt.Errorf("request %q: want KEY NAME VERSIONS flexible VERSIONS", head)
		}
		key, err := strconv.ParseInt(words[0], 10, 16)
		if err != nil {
			return nil, fmt.Errorf("request %q: %w", head, err)
		}
		served, ok := ranges[int16(key)]
		if !ok {
			continue
		}
		valid, err := parseVersions(words[2])
		if err != nil {
			return nil, fmt.Errorf("request %q: %w", head, err)
		}
		flexible, err := parseVersions(words[4])
		if err != nil {
			return nil, fmt.Errorf("request %q: %w", head, err)
		}
		lines := strings.Split(strings.TrimRight(rest, "\n"), "\n")
		fields, left, err := parseFields(lines, 1)
		if err != nil || len(left) > 0 {
			return nil, fmt.Errorf("request %s: %q is left over: %w", words[1], left, err)
		}
		for v := served[0]; v <= served[1]; v++ {
			if !valid.contains(v) {
				return nil, fmt.Errorf("request %s: version %d is not in %s", words[1], v, words[2])
			}
			s := &Shape{flexible: flexible.contains(v), body: newStructShape(fields, v)}
			s.body.bytes += 16 // the version
			t.shapes[requestVersion{int16(key), v}] = s
		}
	}
	for key, served := range ranges {
		if t.Shape(key, served[0]) == nil {
			return nil, fmt.Errorf("no shape of request %d", key)
		}
	}
	return t, nil
}

// parseFields reads the lines of a given depth and those nested in them.
func parseFields(lines []string, depth int) (fields []fieldDefinition, left []string, err error) {
	for len(lines) > 0 {
		line := lines[0]
		indent := len(line) - len(strings.TrimLeft(line, " "))
		if indent < depth || line == "" {
			break
		}
		f, err := parseField(strings.Fields(line))
		if err != nil {
			return nil, nil, err
		}
		lines = lines[1:]
		if f.kind == kindStruct {
			if f.fields, lines, err = parseFields(lines, indent+1); err != nil {
				return nil, nil, err
			}
		}
		fields = append(fields, f)
	}
	return fields, lines, nil
}

func parseField(words []string) (f fieldDefinition, err error) {
	if len(words) < 3 || len(words)%2 == 0 {
		return f, fmt.Errorf("field %q: want NAME TYPE VERSIONS", words)
	}
	f.name = words[0]
	typ := strings.TrimPrefix(words[1], "[]")
	f.array = typ != words[1]
	k, ok := kinds[typ]
	if !ok {
		return f, fmt.Errorf("field %q: unknown type", words)
	}
	f.kind, f.nullable = k, versionRange{0, -1}
	if f.versions, err = parseVersions(words[2]); err != nil {
		return f, err
	}
	for i := 3; i < len(words); i += 2 {
		switch words[i] {
		case "nullable":
			if f.nullable, err = parseVersions(words[i+1]); err != nil {
				return f, err
			}
		case "tag":
			n, err := strconv.ParseUint(words[i+1], 10, 32)
			if err != nil {
				return f, fmt.Errorf("field %q: %w", words, err)
			}
			f.isTagged, f.tag = true, uint32(n)
		default:
			return f, fmt.Errorf("field %q: unknown word %s", words, words[i])
		}
	}
	return f, nil
}

// newStructShape selects a version's fields.
func newStructShape(fields []fieldDefinition, version int16) structShape {
	s := structShape{bytes: 8} // the map of unknown tags
	for i := range fields {
		d := &fields[i]
		f := d.fieldShape
		f.nullable, f.pointer = d.nullable.contains(version), d.nullable.first <= d.nullable.last
		if f.kind == kindStruct {
			inner := newStructShape(d.fields, version)
			f.inner = &inner
		}
		s.bytes += f.inlineBytes()
		switch {
		case !d.versions.contains(version):
		case d.isTagged:
			s.tagged = append(s.tagged, f)
		default:
			s.fields = append(s.fields, f)
		}
	}
	return s
}

// inlineBytes is the size of a field in its struct.
func (f *fieldShape) inlineBytes() int64 {
	if f.array {
		return 24
	}
	return f.elementBytes()
}

// elementBytes is the size of one value in place.
func (f *fieldShape) elementBytes() int64 {
	switch f.kind {
	case kindStruct:
		return f.inner.bytes
	case kindUUID, kindString:
		return 16
	case kindBytes:
		return 24
	case kind8:
		if f.array {
			return 1
		}
	case kind16:
		if f.array {
			return 2
		}
	case kind32:
		if f.array {
			return 4
		}
	}
	return 8
}
