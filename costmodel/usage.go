package costmodel

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/zonewise/zonewise/internal/costkeys"
)

// Key is what a quantity is attributed to. Topics are distinguished by id: a
// recreated name is another topic. A reserved row has its name as both.
type Key struct {
	TopicID   string
	Topic     string // for display
	Component costkeys.Component
	Src, Dst  string // zone ids; a transfer's two ends, or Src alone
	Principal string
	Group     string
}

// compareTo is the canonical order of keys.
func (k Key) compareTo(o Key) int {
	return cmp.Or(strings.Compare(k.TopicID, o.TopicID), strings.Compare(k.Component.String(), o.Component.String()),
		strings.Compare(k.Src, o.Src), strings.Compare(k.Dst, o.Dst), strings.Compare(k.Principal, o.Principal),
		strings.Compare(k.Group, o.Group), strings.Compare(k.Topic, o.Topic))
}

// Usage is a quantity attributed to a key, in the component's unit.
type Usage struct {
	Key
	Quantity costkeys.Quantity
}

// mergeUsage adds up rows of equal key, so that results do not depend on how
// the input was split. The order of its result is arbitrary.
func mergeUsage(rows []Usage) ([]Usage, error) {
	sums := make(map[Key]costkeys.Quantity, len(rows))
	for _, r := range rows {
		sum, err := sums[r.Key].CheckedAdd(r.Quantity)
		if err != nil {
			return nil, fmt.Errorf("add usage of %s %s: %w", r.Topic, r.Component, err)
		}
		sums[r.Key] = sum
	}
	out := make([]Usage, 0, len(sums))
	for k, q := range sums {
		out = append(out, Usage{k, q})
	}
	return out, nil
}
