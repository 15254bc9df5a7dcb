// Command mutants breaks the service on purpose, one place at a time, and checks that
// a test fails: a mutant that no test catches shows a promise without a guard.
// `make mutants` runs it.
//
//	table of mutants -> changed copy of a file -> go test -overlay -> must fail
//
// The tree is not changed: each mutant is a file in a temporary folder that replaces
// the real one by an overlay. A mutant whose text is no longer found is a failure
// too, and so is a test that fails without a mutant.
package main
