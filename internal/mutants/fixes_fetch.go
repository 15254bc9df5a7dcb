package main

// fetchFixes: Fetch, memory of requests, and limits.
func fetchFixes() []mutant {
	return []mutant{}
}
