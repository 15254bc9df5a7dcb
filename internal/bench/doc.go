// Package bench loads a Kafka cluster, any one, and verifies what it reads.
//
//	producers ── paced or flat out ─▶ cluster ─▶ consumers
//	   │ ack latency                                │ end-to-end latency
//	   └──────────────▶ Result ◀────────────────────┘ gaps, repeats, order, bytes
//
// Every record says who sent it, as which one of its partition, and when
// (record.go), so that consumers find what is missing, repeated, out of order
// or changed, without talking to the producers. Latency of a paced run is
// counted from the moment at which a record was due, not from when the client
// got around to sending it. Brokers of zonewise are asked for their metrics
// before and after, and what they did is reported per GiB of records.
package bench
