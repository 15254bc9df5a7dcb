package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// Seeds that ran at this commit are not run again; those of another commit are.
func TestRunsResume(t *testing.T) {
	dir := t.TempDir()
	file, out := filepath.Join(dir, "state"), filepath.Join(dir, "out")
	s, err := openState(file, "abc", resumeState)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(out, []byte(`{"Seed":0,"Batches":7,"Coverage":{"x":1}}`+"\n"+`{"Seed":2,"Wrong":["gap: t/0"],"Coverage":{"y":0}}`+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if n, err := s.takeResults(out); n != 2 || err != nil {
		t.Fatalf("took %d lines: %v", n, err)
	}
	if s, err = openState(file, "abc", resumeState); err != nil {
		t.Fatal(err)
	}
	if got := s.missingPortions(portionSeeds + 4); !reflect.DeepEqual(got, [][2]int{{1, 1}, {3, portionSeeds}, {portionSeeds + 3, 1}}) {
		t.Errorf("missing %v", got)
	}
	if got := s.failedSeeds(); !reflect.DeepEqual(got, []int{2}) {
		t.Errorf("failed %v", got)
	}
	text, missing := s.renderReport()
	if !strings.Contains(text, "| client batches | 7 |") || !strings.Contains(text, "- gap: t/0") || !reflect.DeepEqual(missing, []string{"y"}) {
		t.Errorf("missing %q in\n%s", missing, text)
	}
	if s, err = openState(file, "other", carryOver); err != nil || !reflect.DeepEqual(s.missingPortions(3), [][2]int{{1, 2}}) {
		t.Errorf("carried over: missing %v, %v; what failed is to be run again", s.missingPortions(3), err)
	}
	if text, _ = s.renderReport(); !strings.Contains(text, "| of these held at `abc`, and were not run again | 1 |") {
		t.Errorf("the report hides where a seed was run:\n%s", text)
	}
	if s, err = openState(file, "other", resumeState); err != nil || !reflect.DeepEqual(s.missingPortions(3), [][2]int{{1, 2}}) {
		t.Errorf("gone on at the same commit: missing %v, %v", s.missingPortions(3), err)
	}
	if s, err = openState(file, "third", resumeState); err != nil || len(s.done) != 0 {
		t.Errorf("%d seeds of another commit count: %v", len(s.done), err)
	}
}

// A run that ran out of time reports its progress, and fails if that is too little.
func TestTooFewSeedsFail(t *testing.T) {
	s := &seedState{done: map[int]result{0: {}, 1: {}}}
	if err := s.reportOutcome(&config{seeds: 5, minSeeds: 2}); err != nil {
		t.Error(err)
	}
	if err := s.reportOutcome(&config{seeds: 5, minSeeds: 3}); err == nil {
		t.Error("two seeds of three asked for are enough")
	}
}
