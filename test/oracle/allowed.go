package oracle

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:embed allowed.yaml
var allowedText []byte // read only

// Allowed is one intended difference: an API, a field, a condition, the reason, and a
// client that met it. It never covers an offset, record bytes or a whole API.
type Allowed struct {
	API      string `yaml:"api"`
	Field    string `yaml:"field"`    // path with empty brackets: Topics[].ErrorCode
	Versions string `yaml:"versions"` // 2-4; empty is all
	Element  string `yaml:"element"`  // pattern for the identifier of the innermost element
	Kafka    string `yaml:"kafka"`    // pattern for Kafka's value
	Zonewise string `yaml:"zonewise"` // pattern for zonewise's value
	Request  string `yaml:"request"`  // pattern that the scenario's line must match
	Reason   string `yaml:"reason"`
	Client   string `yaml:"client"` // the run of a client that met it, and what it saw

	low, high                         int16
	element, kafka, zonewise, request *regexp.Regexp
}

// ErrAllowed: the list of allowed differences breaks its own rules.
var ErrAllowed = errors.New("list of allowed differences")

// forbiddenFields are fields that no rule may excuse.
var forbiddenFields = regexp.MustCompile(`(?i)(^|\.|\])(\w*offset|highwatermark|records|recordbatches)($|\[|\.)`)

// wildcards are patterns that match everything.
var wildcards = regexp.MustCompile(`\.[*+]`)

// AllowedDifferences reads the list that is embedded in this package.
func AllowedDifferences() ([]Allowed, error) { return parseAllowed(allowedText) }

func parseAllowed(text []byte) ([]Allowed, error) {
	var list []Allowed
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&list); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAllowed, err)
	}
	for i := range list {
		if err := list[i].compile(); err != nil {
			return nil, fmt.Errorf("%w: number %d, %s %s: %w", ErrAllowed, i+1, list[i].API, list[i].Field, err)
		}
	}
	return list, nil
}

func (a *Allowed) compile() (err error) {
	if _, ok := KeyOf(a.API); !ok {
		return errors.New("no such API")
	}
	switch {
	case len(strings.Fields(a.Reason)) < 4:
		return errors.New("it gives no reason")
	case len(strings.Fields(a.Client)) < 4:
		return errors.New("it names no run of a client that met it")
	case wildcards.MatchString(a.Element + " " + a.Kafka + " " + a.Zonewise + " " + a.Request):
		return errors.New("it has a wildcard where it should name a value")
	case a.Kafka == "" && a.Zonewise == "" && a.Element == "":
		return errors.New("it has no condition")
	case a.Field == "" || strings.Contains(a.Field, "*"):
		return errors.New("it does not name a field")
	case forbiddenFields.MatchString(a.Field):
		return errors.New("an offset or record bytes can not be allowed to differ")
	case a.Field == "$outcome" && a.Request == "":
		return errors.New("a difference of $outcome needs a request pattern")
	}
	a.low, a.high = 0, 1<<15-1
	if a.Versions != "" {
		first, last, both := strings.Cut(a.Versions, "-")
		if !both {
			last = first
		}
		l, err1 := strconv.ParseInt(first, 10, 16)
		h, err2 := strconv.ParseInt(last, 10, 16)
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		a.low, a.high = int16(l), int16(h)
	}
	for _, p := range []struct {
		text string
		into **regexp.Regexp
	}{{a.Element, &a.element}, {a.Kafka, &a.kafka}, {a.Zonewise, &a.zonewise}} {
		if *p.into, err = regexp.Compile("^(?:" + p.text + ")$"); err != nil {
			return err
		}
	}
	a.request, err = regexp.Compile(a.Request)
	return err
}

var brackets = regexp.MustCompile(`\[[^\]]*\]`)

// Pattern is the path without the identifiers of elements: Topics[].ErrorCode.
func (d *Difference) Pattern() string { return brackets.ReplaceAllString(d.Path, "[]") }

func (a *Allowed) coversDifference(d *Difference) bool {
	if a.API != d.API || d.Version < a.low || d.Version > a.high || d.Pattern() != a.Field {
		return false
	}
	if a.Element != "" {
		all := brackets.FindAllString(d.Path, -1)
		if len(all) == 0 || !a.element.MatchString(strings.Trim(all[len(all)-1], "[]")) {
			return false
		}
	}
	return (a.Kafka == "" || a.kafka.MatchString(d.Kafka)) && (a.Zonewise == "" || a.zonewise.MatchString(d.Zonewise)) && a.request.MatchString(d.Text)
}

// Split returns the differences that the list does not explain. used counts the
// explained ones per line of the list.
//
// If one broker refuses what the other serves, or returns "none" where the other
// returns a value, and the list allows that, then the other fields of the same
// structure may differ too: one side has no values for them. See
// Difference.isOneSidedAnswer.
func Split(list []Allowed, all []Difference) (unexplained []Difference, used []int) {
	used = make([]int, len(list))
	var roots []string
	covered := make([]bool, len(all))
	for i := range all {
		for k := range list {
			if list[k].coversDifference(&all[i]) {
				used[k]++
				covered[i] = true
				if all[i].isOneSidedAnswer() {
					roots = append(roots, all[i].structureKey())
				}
				break
			}
		}
	}
	for i := range all {
		if !covered[i] && !slices.Contains(roots, all[i].structureKey()) {
			unexplained = append(unexplained, all[i])
		}
	}
	return unexplained, used
}

// structureKey identifies the structure of a field, in one exchange.
func (d *Difference) structureKey() string {
	at := strings.LastIndex(d.Path, ".")
	return fmt.Sprintf("%s %d %s %d %s %s", d.Scenario, d.Line, d.API, d.Version, d.Path[:max(at, 0)], d.Text)
}

// isOneSidedAnswer reports whether only one side has an answer: an error on one side
// only, or no epoch on one side only.
func (d *Difference) isOneSidedAnswer() bool {
	last := d.Path[strings.LastIndex(d.Path, ".")+1:]
	switch last {
	case "ErrorCode":
		return (d.Kafka == "0") != (d.Zonewise == "0") || d.Kafka == "-1"
	case "LeaderEpoch":
		return (d.Kafka == "-1") != (d.Zonewise == "-1")
	}
	return false
}
