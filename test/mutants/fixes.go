package main

import "slices"

// fixedBugs is the second table: each row takes out one fix, and the test that came
// with the fix must fail. Rows are named after the bug's description in docs/bugs.md.
func fixedBugs() []mutant {
	return slices.Concat(fetchFixes(), etcdFixes(), walFixes(), bucketFixes(), coreFixes(), configFixes(), groupFixes(), answerFixes(), codecFixes(), checkpointFixes(), missingFixes(), costFixes(), storageFixes(), applyFixes())
}
