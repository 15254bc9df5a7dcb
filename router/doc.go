// Package router knows where clients are and which broker each of them should
// talk to. It is a library: it holds nothing durable and serves nothing.
//
//	listener, client.id, rack, address --Resolver--> Evidence{zone, billed zone}
//	                                                    |
//	State (sessions, placement) --Build--> View --------+--> leader, replicas,
//	                                        ^                controller, endpoints
//	Prober (peers that do not answer) ------+                as that zone sees them
//
// A leader is a hint: every broker serves every partition, so a wrong answer
// costs money or a round trip and is never wrong in substance. What must be the
// same for every asker (replicas, epochs) comes from the applied state alone.
//
// Owners: Resolver, CIDRTable and View are immutable; a broker builds a new
// View when the session list has moved and publishes it behind an atomic
// pointer. Counters belong to one broker. A Prober's goroutine is the one
// that calls Run.
package router
