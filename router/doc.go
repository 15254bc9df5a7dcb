// Package router determines where clients are and which broker each of them
// should use. It is a library: it holds nothing durable and serves nothing.
//
//	listener, client.id, rack, address --Resolver--> Evidence{zone, billed zone}
//	                                                    |
//	State (sessions, placement) --NewView--> View --------+--> leader, replicas,
//	                                        ^                controller, endpoints
//	Prober (peers that do not answer) ------+                as that zone sees them
//
// A leader is a hint: every broker serves every partition, so a wrong hint
// costs money or a round trip and never correctness. What must be the same for
// every client (replicas, epochs) comes from the applied state alone.
//
// Owners: Resolver, CIDRTable and View are immutable; a broker builds a new
// View when the session list has changed and publishes it by an atomic pointer.
// Counters belong to one broker. A Prober's goroutine is the one that calls
// Run.
package router
