// Package broker serves the Kafka protocol: unchanged clients produce to and
// fetch from any broker, for any partition.
//
//	       listener of zone a, of zone b, ..., without zone
//	                          |
//	accept --> conn: one reader ----------------> one writer
//	                  |  frames, headers,           ^  responses in the
//	                  |  Produce: check and         |  order of requests;
//	                  |  append to the WAL,         |  all other requests
//	                  |  in order of arrival        |  are handled here
//	                  v                             |
//	              queue of pending requests (bounded in number and bytes)
//
// A broker owns its sockets and no state that could be lost: the applied state
// is the truth (metadata.Replica), the WAL and the bucket store the data. The
// leaders in responses are routing hints (package router). They depend on the
// client's zone, and a wrong hint does no harm.
//
// Every API has one file, named after its key, which begins with its versions,
// behaviour and gaps. api.go is the table of served APIs; nothing else is
// advertised.
//
// Ownership: a connection's reader owns the read side of its socket and
// appends; its writer owns the write side, the order of responses and the
// connection's fetch sessions. The registry of waiting fetches
// (poll_registry.go) is a mutex over a map. All clocks, timers and connections
// work in a testing/synctest bubble, so the whole package can be tested in one.
package broker
