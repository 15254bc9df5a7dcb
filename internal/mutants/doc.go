// Command mutants breaks the service on purpose, one way at a time, and sees
// that a test notices: a breakage that no test notices shows a promise that
// nobody guards. `make mutants` runs it.
//
//	table of mutants -> changed copy of a file -> go test -overlay -> must fail
//
// Nothing in the tree is touched: each mutant is a file in a temporary folder
// that an overlay puts in the place of the real one. A mutant whose text is
// not found any more is a failure too, and so is a test that fails without
// any mutant.
package main
