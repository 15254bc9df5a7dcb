package oracle

import (
	"maps"
	"slices"
)

// Coverage counts what was compared, by API and version.
type Coverage struct {
	Answers   map[APIVersion]int             // answers compared
	Different map[APIVersion]int             // those with an unexplained difference
	Scenarios map[string]map[string]struct{} // scenario names by API
	Used      []int                          // per line of the list of allowed differences
	Requests  int
}

// APIVersion is one version of one API.
type APIVersion struct {
	API     string
	Version int16
}

func newCoverage(allowed int) Coverage {
	return Coverage{Answers: map[APIVersion]int{}, Different: map[APIVersion]int{}, Scenarios: map[string]map[string]struct{}{}, Used: make([]int, allowed)}
}

func (c *Coverage) clone() Coverage {
	out := Coverage{Answers: maps.Clone(c.Answers), Different: maps.Clone(c.Different), Scenarios: map[string]map[string]struct{}{}, Used: slices.Clone(c.Used), Requests: c.Requests}
	for api, names := range c.Scenarios {
		out.Scenarios[api] = maps.Clone(names)
	}
	return out
}

func (c *Coverage) addResult(r *Result, used []int) {
	for i := range r.KafkaAnswers {
		x := &r.KafkaAnswers[i]
		if x.Outcome != answered && x.Outcome != closed && x.Outcome != silent || x.API == "raw" || x.API == "" {
			continue
		}
		c.Answers[APIVersion{x.API, x.Version}]++
		if c.Scenarios[x.API] == nil {
			c.Scenarios[x.API] = map[string]struct{}{}
		}
		c.Scenarios[x.API][r.Scenario.Name] = struct{}{}
	}
	for _, d := range r.Unexplained {
		c.Different[APIVersion{d.API, d.Version}]++
	}
	for i, n := range used {
		c.Used[i] += n
	}
	c.Requests += r.Requests
}
