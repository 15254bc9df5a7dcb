// Package cli is the command line of zonewise: subcommands whose settings come
// from flags, from the environment and from one YAML file, in that order of
// precedence, and whose help teaches.
//
//	--kafka-port 9092   >   ZONEWISE_KAFKA_PORT=9092   >   kafka-port: 9092   >   default
//
// A setting is declared once, in a Set, and has one name in all three places.
// An unknown name is an error that suggests the nearest known one: a misspelt
// limit must not become the default. The package owns parsing, help and exit
// codes; the meaning of a setting belongs to the command.
package cli
