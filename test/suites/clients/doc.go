// Package clients runs unchanged Kafka clients of other projects against three zones
// (build tag `clients`, `make clients`): kcat, the Java client and the console tools
// of Apache Kafka, confluent-kafka, kafkajs, franz-go, Sarama and kafka-go.
//
//	go test ──> zonewise dev (three zones, one process)
//	   │            ▲   ▲   ▲
//	   │   produce ─┘   │   └─ consume x 3, one member per zone, each from its own bootstrap
//	   │   leaders ─────┘
//	   └──> franz-go as oracle: the stored bytes, with each batch's codec
//
// Every client program has the same commands, so that one scenario fits all:
//
//	create  --bootstrap B --client-id C --topic T --partitions N
//	produce --bootstrap B --client-id C --topic T
//	        in:  {"i":7,"partition":1,"key":K,"value":V,"headers":[["name",V]],"codec":"zstd","idempotent":true}
//	        out: {"ack":7,"partition":1,"offset":42}
//	        One producer with acks=all per (codec, idempotent); when these change, all earlier records are acknowledged first.
//	stream  --bootstrap B --client-id C --topic T
//	        in:  the same lines; each is sent when it arrives, all with one producer, of the first one's codec and kind
//	        out: as produce, or {"failed":7,"error":"why"}; it continues after records that fail
//	consume --bootstrap B --client-id C --topic T --group G
//	        out: {"assigned":[0,3]} whenever that changes: all partitions of this member
//	             {"partition":1,"offset":42,"key":K,"value":V,"headers":[["name",V]]}
//	             {"closed":true} last: standard input ended, everything printed is committed, the member has left
//	leaders --bootstrap B --client-id C --topic T --refreshes N
//	        out: {"refresh":1,"leaders":{"0":"host:port"},"brokers":["host:port"]} after each refresh
//
// The first line of each is {"client":name,"version":v}. K and V are base64 or
// null. A client that fails prints the reason to standard error and exits with 1.
//
// TestStreamsPurge runs Kafka Streams with a repartition topic that it purges.
//
// The programs and their pinned dependencies are test/tools/clients-java,
// clients-streams, clients-python, clients-node and clients-go/jsonl. Their dependencies are
// installed into the user's cache folder, below a name with a hash of the pinned
// versions. If a runtime is missing, the suite prints "not run: <client>: <why>", and
// fails if CI=true: not run is not passed.
package clients
