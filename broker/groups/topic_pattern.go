package groups

import (
	"fmt"
	"regexp"
	"regexp/syntax"
)

// Limits of a subscription's regular expression. Go's regexp takes time in
// proportion to program and text, so that their product is what has to be
// bounded.
const (
	maxPatternBytes   = 4 << 10
	maxPatternProgram = 4_000     // instructions: an alternation of some hundred names
	maxPatternCost    = 400 << 20 // instructions x bytes of topic names, of all patterns of a group: a second or so
	maxPatterns       = 64        // different ones in one group: clients of one group send one or two
)

// topicPattern is a compiled subscription.
type topicPattern struct {
	re         *regexp.Regexp
	program    int      // instructions
	members    int      // members
	unresolved bool     // not resolved yet
	matched    []string // topics, sorted
}

// compilePattern checks and compiles an expression that must match a whole
// topic name, as Kafka's does.
func compilePattern(expr string) (*topicPattern, error) {
	if len(expr) > maxPatternBytes {
		return nil, fmt.Errorf("the expression has %d bytes, at most %d", len(expr), maxPatternBytes)
	}
	if _, err := syntax.Parse(expr, syntax.Perl); err != nil {
		return nil, fmt.Errorf("not an RE2 expression: %w", err) // alone: it could close the group around it
	}
	tree, err := syntax.Parse(`\A(?:`+expr+`)\z`, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("not an RE2 expression: %w", err)
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil, fmt.Errorf("not an RE2 expression: %w", err)
	}
	if len(program.Inst) > maxPatternProgram {
		return nil, fmt.Errorf("the expression compiles to %d instructions, at most %d", len(program.Inst), maxPatternProgram)
	}
	re, err := regexp.Compile(`\A(?:` + expr + `)\z`)
	if err != nil {
		return nil, fmt.Errorf("not an RE2 expression: %w", err)
	}
	return &topicPattern{re: re, program: len(program.Inst), unresolved: true}, nil
}

// matchCost is what matching all of the names may take at worst.
func (p *topicPattern) matchCost(bytes int) int { return p.program * (bytes + 1) }

// matchTopics finds the topics among sorted names.
func (p *topicPattern) matchTopics(names []string) {
	p.matched, p.unresolved = nil, false
	for _, name := range names {
		if p.re.MatchString(name) {
			p.matched = append(p.matched, name)
		}
	}
}
