package main

// coreFixes: the core: recovery, hand-over, accounting.
func coreFixes() []mutant {
	return []mutant{}
}
