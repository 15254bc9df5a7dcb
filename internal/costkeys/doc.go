// Package costkeys is the vocabulary of cost: the components of the ledger with
// their stored numbers, names, units and kinds, the reserved rows, the meters
// that are charged for, and quantities. It is declared here once; metadata books
// by it, costmodel prices by it, dashboards show it and internal/node counts by it.
//
// To add a component, append a constant to the list and a row to the table in
// component.go. A stored number is never changed or reused: numbers are in
// entries, checkpoints and hashes; names are in the JSON, the CSV and price books.
package costkeys
