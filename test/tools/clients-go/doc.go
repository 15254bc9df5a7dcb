// Command clients-go drives Kafka clients written in Go from the command line,
// for tests: franz-go, Sarama and kafka-go, with the same commands for each. It is
// a module of its own, so that the product's go.mod stays small.
//
//	clients-go create   --family F --bootstrap B --topic T --partitions N
//	clients-go produce  --family F --topic T --partitions N --producer NAME,B,CLIENTID ... --out FOLDER
//	clients-go consume  --family F --topic T --group G --member NAME,B,CLIENTID[,RACK] ... --out FOLDER
//	clients-go leaders  --family F --bootstrap B --topic T --refreshes N
//
// F is franz, sarama or kafka-go; a bootstrap B lists host:port separated by ';'. The
// result is printed as one JSON object per producer or member; acknowledged or read
// records are lines of a file (see acks.go). A run without an end of its own ends when
// standard input does.
package main
