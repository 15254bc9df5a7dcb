// Package dashboards shows what a cluster is and what it costs: one page for
// people at /, and the same numbers for programs under /api/v1.
//
//	replica's state ──Source──► Ledger: cells of windows, one revision
//	                               │ names, units
//	                               ▼
//	                         costmodel.Bill ──► Statement ──► page, JSON, CSV, table
//
// It owns no state and starts no goroutine: every request reads one snapshot
// through Source (which cmd implements over the replica) and computes from it.
// The page and the API cut a window in the same way, so that their rows are the
// same to the nano-dollar. Before anything is shown, the ledger's rows are
// compared with the meters, which are counted separately; where they differ the
// answer is an error, not a number.
//
// The page is rendered on the server and needs no script and nothing from
// outside; its Content-Security-Policy allows nothing else.
package dashboards
