package oracle

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Session compares two brokers over many scenarios. It may be used by several
// goroutines.
type Session struct {
	Kafka, Zonewise *Target
	Allowed         []Allowed
	Name            string // of this run, in every name that scenarios create

	mu       sync.Mutex
	count    int
	coverage Coverage
}

// Result is the result of one scenario.
type Result struct {
	Scenario    *Scenario
	Requests    int // answers compared
	Differences []Difference
	Unexplained []Difference
	// InvalidSteps are steps that reached neither broker: the scenario is faulty.
	InvalidSteps []string
	// KafkaAnswers are Kafka's exchanges, for authors of scenarios.
	KafkaAnswers, ZonewiseAnswers []Exchange
}

// NewSession discovers both brokers and reads the list of allowed differences.
func NewSession(ctx context.Context, name, kafka, zonewise string) (*Session, error) {
	k, err := Discover(ctx, "Kafka", kafka)
	if err != nil {
		return nil, err
	}
	z, err := Discover(ctx, "zonewise", zonewise)
	if err != nil {
		return nil, err
	}
	list, err := AllowedDifferences()
	if err != nil {
		return nil, err
	}
	return &Session{Kafka: k, Zonewise: z, Allowed: list, Name: name, coverage: newCoverage(len(list))}, nil
}

// Play replays a scenario at both brokers at once and compares.
func (s *Session) Play(ctx context.Context, sc *Scenario) Result {
	s.mu.Lock()
	s.count++
	unique := fmt.Sprintf("%s%s-%d-", UniquePrefix, s.Name, s.count)
	s.mu.Unlock()
	now := time.Now().UnixMilli()
	offered := s.Kafka.Versions
	var kafka, zonewise []Exchange
	var wg sync.WaitGroup
	wg.Go(func() { kafka = Run(ctx, sc, s.Kafka, offered, unique, now) })
	wg.Go(func() { zonewise = Run(ctx, sc, s.Zonewise, offered, unique, now) })
	wg.Wait()
	r := Result{Scenario: sc, KafkaAnswers: kafka, ZonewiseAnswers: zonewise}
	r.Differences = Compare(sc, kafka, zonewise, s.Kafka, s.Zonewise, unique, now)
	var used []int
	r.Unexplained, used = Split(s.Allowed, r.Differences)
	for i := range kafka {
		if i < len(zonewise) && len(kafka[i].Outcome) > 7 && kafka[i].Outcome[:5] != "answe" && kafka[i].Outcome == zonewise[i].Outcome && kafka[i].Outcome != silent && kafka[i].Outcome != closed {
			r.InvalidSteps = append(r.InvalidSteps, fmt.Sprintf("%s line %d: %s", sc.Name, kafka[i].Line, kafka[i].Outcome))
		}
		if kafka[i].Outcome == answered || kafka[i].Outcome == closed {
			r.Requests++
		}
	}
	s.mu.Lock()
	s.coverage.addResult(&r, used)
	s.mu.Unlock()
	return r
}

// Coverage returns what has been compared so far.
func (s *Session) Coverage() Coverage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.coverage.clone()
}
