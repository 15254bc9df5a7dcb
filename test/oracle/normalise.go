package oracle

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// field is one comparable field: its path, and its value after the rules.
type field struct {
	path  string
	value string
}

// normaliser is the state of one target's responses during one scenario.
type normaliser struct {
	target   *Target
	rules    []rule
	now      int64
	unique   string
	text     string                       // of the scenario: values that it sets itself
	ids      map[string]map[string]string // kind, value, name
	mappings map[string]mapping           // API and path without indices
	api      string
}

func newNormaliser(t *Target, s *Scenario, unique string, now int64) *normaliser {
	return &normaliser{target: t, rules: ruleTable(), now: now, unique: unique, text: strings.Join(s.Lines, "\n"), ids: map[string]map[string]string{}, mappings: map[string]mapping{}}
}

// inScenario reports whether the scenario itself contains the value.
func (n *normaliser) inScenario(value string) bool {
	if len(value) < 3 {
		return false
	}
	for at := 0; ; {
		i := strings.Index(n.text[at:], value)
		if i < 0 {
			return false
		}
		at += i
		if !isWordChar(n.text, at-1) && !isWordChar(n.text, at+len(value)) {
			return true
		}
		at++
	}
}

// isWordChar reports whether s has a letter, a digit or a minus at i: then the text
// next to it is part of a longer word.
func isWordChar(s string, i int) bool {
	return i >= 0 && i < len(s) && (s[i] == '-' || s[i] >= '0' && s[i] <= '9' || s[i] >= 'a' && s[i] <= 'z' || s[i] >= 'A' && s[i] <= 'Z')
}

// flattenExchange flattens a response.
func (n *normaliser) flattenExchange(x *Exchange) []field {
	n.api = x.API
	out := []field{{"$outcome", x.Outcome}}
	if x.Outcome != answered {
		return out
	}
	if !x.Canonical {
		out = append(out, field{"$encoding", "other bytes than its fields encode to"})
	} else {
		out = append(out, field{"$encoding", "canonical"})
	}
	return n.flatten(out, "", "", &x.tree)
}

// flatten appends the fields below a node. plain is the path without indices.
func (n *normaliser) flatten(out []field, path, plain string, at *node) []field {
	join := func(base string, more string) string {
		if base == "" {
			return more
		}
		return base + "." + more
	}
	switch {
	case at.leaf:
		return append(out, field{path, n.mappingFor(plain)(n, at)})
	case !at.list:
		for i := range at.items {
			out = n.flatten(out, join(path, at.items[i].name), join(plain, at.items[i].name), &at.items[i])
		}
		return out
	}
	items := n.comparedElements(at)
	if len(items) == 0 {
		if len(at.items) > 0 || sharedLists[n.api] {
			return append(out, field{path, "empty"}) // null or not: an empty list after removing what other scenarios created
		}
		return append(out, field{path, "empty" + at.value})
	}
	out = append(out, field{path, "list"})
	if len(items) > 0 && items[0].node.leaf {
		var values []string
		for _, e := range items {
			values = append(values, n.mappingFor(plain)(n, e.node))
		}
		slices.Sort(values)
		return append(out, field{path + "[]", strings.Join(values, " ")})
	}
	for _, e := range items {
		here := path + "[" + e.id + "]"
		out = append(out, field{here, "#there"})
		out = n.flatten(out, here, plain, e.node)
	}
	return out
}

// sharedLists are the APIs that also list what other scenarios have created.
var sharedLists = map[string]bool{"ListTransactions": true, "ListGroups": true, "ListConfigResources": true, "DescribeLogDirs": true} // read only

type element struct {
	id   string
	node *node
}

// identifyingFields are the fields that identify the elements of a list: the first
// that an element has.
var identifyingFields = []string{"Topic", "Name", "Group", "GroupID", "TransactionalID", "ResourceName", "ConfigName", "Feature", "ApiKey", "Key", "Partition", "NodeID", "MemberID", "TopicID", "ProducerID", "Dir"}

// orderedLists are lists whose order has a meaning.
var orderedLists = regexp.MustCompile(`^(RecordBatches|Records|AbortedTransactions|ConfigSynonyms)$`)

// comparedElements returns the elements to compare: sorted by their identifiers,
// without what other scenarios have created.
func (n *normaliser) comparedElements(list *node) []element {
	var out []element
	for i := range list.items {
		e := &list.items[i]
		if e.leaf {
			out = append(out, element{node: e})
			continue
		}
		id := n.elementID(e)
		if id == "" && sharedLists[n.api] && list.name == "Groups" && !strings.Contains(n.text, `Group: ""`) {
			continue // the group with an empty name, which a scenario uses
		}
		if isForeign(id, n.unique) || strings.HasPrefix(id, "__") && !strings.Contains(n.text, "__") {
			continue
		}
		out = append(out, element{strings.TrimPrefix(id, n.unique), e})
	}
	if !orderedLists.MatchString(list.name) {
		slices.SortStableFunc(out, func(a, b element) int { return cmp.Compare(a.id, b.id) })
	}
	seen := map[string]int{}
	for i := range out {
		id := out[i].id
		if seen[id]++; seen[id] > 1 || id == "" || orderedLists.MatchString(list.name) {
			out[i].id = strings.TrimLeft(id+"#"+itoa(seen[id]), " ")
		}
	}
	return out
}

func itoa(i int) string {
	if i < 10 {
		return string(rune('0' + i))
	}
	return itoa(i/10) + itoa(i%10)
}

// UniquePrefix is the prefix of every scenario's unique names.
const UniquePrefix = "sc-"

func isForeign(id, own string) bool {
	return strings.HasPrefix(id, UniquePrefix) && !strings.HasPrefix(id, own)
}

func (n *normaliser) elementID(e *node) string {
	for _, name := range identifyingFields {
		for i := range e.items {
			f := &e.items[i]
			if f.name != name || !f.leaf || zeroID.MatchString(f.value) && !f.isNum {
				continue
			}
			switch name {
			case "MemberID", "TopicID", "ProducerID", "NodeID", "Dir":
				return n.mappingFor(name)(n, f)
			}
			if f.isNum {
				return "0000000000"[:max(0, 6-len(f.value))] + f.value
			}
			return strings.Trim(f.value, `"`)
		}
	}
	return ""
}

// mappingFor finds the mapping of a field.
func (n *normaliser) mappingFor(plain string) mapping {
	key := n.api + " " + plain
	if how, ok := n.mappings[key]; ok {
		return how
	}
	how := keepValue
	for _, r := range n.rules {
		if r.field.MatchString(plain) && (r.api == "" || slices.Contains(strings.Split(r.api, "|"), n.api)) {
			how = r.mapping
			break
		}
	}
	n.mappings[key] = how
	return how
}
