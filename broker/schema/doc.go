// Package schema has the shapes of Kafka's requests. It walks a request's bytes
// before anything is decoded, checks that they are well formed, and measures how
// much memory the decoded request will take.
//
//	body --> Shape.Measure --> Size{Elements, Bytes}, or an error
//	            |
//	            +-- requests.txt, from the definitions in Kafka's own jar
//
// The walk allocates nothing, so a hostile frame costs its own bytes and a pass
// over them. Shapes are read-only after Load and may be shared.
package schema
