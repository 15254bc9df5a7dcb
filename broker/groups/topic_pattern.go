package groups

import (
	"fmt"
	"regexp"
	"regexp/syntax"
)

// Limits of a subscription's regular expression. The time of Go's regexp grows
// with the product of program size and text size, so that product is bounded.
const (
	maxPatternBytes   = 4 << 10
	maxPatternProgram = 4_000     // instructions: an alternation of a few hundred names
	maxPatternCost    = 400 << 20 // instructions x bytes of topic names, of all patterns of a group: about a second
	maxPatterns       = 64        // distinct ones in one group: clients of one group use one or two
)

// topicPattern is a compiled regular expression of a subscription.
type topicPattern struct {
	re         *regexp.Regexp
	program    int      // instructions
	members    int      // members that use it
	unresolved bool     // not matched yet
	matched    []string // topics, sorted
}

// compilePattern checks and compiles an expression that must match a whole topic
// name, as in Kafka.
func compilePattern(expr string) (*topicPattern, error) {
	if len(expr) > maxPatternBytes {
		return nil, fmt.Errorf("the expression has %d bytes, at most %d", len(expr), maxPatternBytes)
	}
	if _, err := syntax.Parse(expr, syntax.Perl); err != nil {
		return nil, fmt.Errorf("not an RE2 expression: %w", err) // parsed without \A(?:...)\z, which it could close
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

// matchCost is the worst case of matching all names.
func (p *topicPattern) matchCost(bytes int) int { return p.program * (bytes + 1) }

// matchTopics matches the sorted names of all topics.
func (p *topicPattern) matchTopics(names []string) {
	p.matched, p.unresolved = nil, false
	for _, name := range names {
		if p.re.MatchString(name) {
			p.matched = append(p.matched, name)
		}
	}
}
