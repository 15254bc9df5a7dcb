// Package recovery brings a cluster back whose etcd is lost for good, from what
// its bucket holds, and finds out whether that is needed.
//
//	bucket:  <n>/checkpoint/...   <n>/archive/...   incarnation/<n>
//	             │ newest that is      │ chain, verified
//	             │ not newer than      │ by its digests
//	             ▼                     ▼
//	         State at the end of the last archive
//	             │
//	             ▼ new, empty etcd: format, generation, truncated, checkpoint
//	         first entry: open, recovered, archived, drain
//
// It owns nothing that outlives a call. The new incarnation's revisions begin
// above every revision of the old one; what the lost tail may have assigned
// (offsets, producer ids, leader epochs) is skipped by apply of the first
// entry. `zonewise recover` and the simulation call Run; a broker that starts
// calls CheckNew and CheckStart; `zonewise dump state` calls Rebuild.
package recovery
