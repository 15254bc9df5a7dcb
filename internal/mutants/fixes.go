package main

import "slices"

// fixedBugs is the second table: each row takes one fix out again, and the
// test that came with the fix must fail. Rows are named after the sentence in
// docs/bugs.md that tells the bug.
func fixedBugs() []mutant {
	return slices.Concat(fetchFixes(), etcdFixes(), walFixes(), coreFixes(), configFixes(), groupFixes(), answerFixes(), codecFixes())
}
