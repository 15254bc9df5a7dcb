// Package cli is how zonewise is told what to do: subcommands whose settings
// come from flags, from the environment and from one YAML file, in that order
// of precedence, and whose help teaches.
//
//	--kafka-port 9092   >   ZONEWISE_KAFKA_PORT=9092   >   kafka-port: 9092   >   default
//
// A setting is declared once, in a Set, and known by that one name in all three
// places. What is not known is an error that names the nearest thing that is: a
// misspelt limit must not become the default. The package owns parsing, help
// and exit codes; what a setting means belongs to the command.
package cli
