// Package bench loads a Kafka cluster, any one, and verifies what it reads.
//
//	producers ── paced or flat out ─▶ cluster ─▶ consumers
//	   │ ack latency                                │ end-to-end latency
//	   └──────────────▶ Result ◀────────────────────┘ gaps, repeats, order, bytes
//
// Every record has its sender, its number in the partition, and its time
// (record.go), so that consumers detect what is missing, repeated, out of order
// or changed, without talking to the producers. Latency of a paced run is
// counted from the moment at which a record was due, not from when the client
// sent it. The metrics of zonewise brokers are read before and after, and their
// work is reported per GiB of records.
package bench
