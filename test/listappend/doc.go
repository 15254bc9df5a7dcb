// Package listappend checks histories of a transactional list-append workload like
// Jepsen's Kafka tests: transactions append unique values to partitions and poll
// committed records, and the history shows whether the log kept Kafka's guarantees.
// It is pure; test/suites/external produces the histories with real clients and
// faults.
//
//	History ── index (who wrote, who read, where) ─┬─ offsets: duplicate, inconsistent, nonmonotonic send
//	                                               ├─ reads:   aborted, uncommitted, phantom
//	                                               ├─ polls:   skip, nonmonotonic poll, partial
//	                                               ├─ final:   lost, unseen, partial
//	                                               └─ graph:   G0, G1c (Tarjan)
//
// Sources: Jepsen's analyses of Kafka-like systems (jepsen.io/analyses), Adya's
// phenomena G0, G1a, G1b, G1c, KIP-98.
//
// Two kinds of anomalies are reported but allowed, because Kafka has them. Open
// transactions of Kafka interleave their writes, so a cycle of write-write edges (G0)
// breaks no guarantee; nor does a cycle that needs a write-write edge in addition to
// reads (G1c-ww): T1 writes x before T2 does, T2 commits, T1 polls y and sees T2. A
// cycle of reads only is impossible: each of its transactions ended before the next
// one polled.
package listappend
