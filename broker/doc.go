// Package broker speaks the Kafka protocol: unchanged clients produce to and
// fetch from any broker, for any partition.
//
//	       listener of zone a, of zone b, ..., without zone
//	                          |
//	accept --> conn: one reader ----------------> one writer
//	                  |  frames, headers,           ^  answers in the
//	                  |  Produce: check and         |  order of requests;
//	                  |  append to the WAL,         |  all other requests
//	                  |  in order of arrival        |  are handled here
//	                  v                             |
//	              queue of pending requests (bounded in number and bytes)
//
// A broker owns its sockets and nothing that could be lost: what is true is
// the applied state (metadata.Replica), what is stored is the WAL's and the
// bucket's. Answers that name a leader name a routing hint (package router),
// which differs by the zone of the asker and may be wrong without harm.
//
// Every API has one file, named after its key, that begins with its versions,
// behaviour and gaps. api.go is the table of what is served; only what is in
// it is advertised.
//
// Who owns what: a connection's reader owns its socket's read side and
// appends; its writer owns the write side, the order of answers and the
// connection's fetch sessions. wait.go's registry is a mutex over a map.
// Everything runs on the clocks, timers and connections it is given, so that
// the whole package runs in a testing/synctest bubble.
package broker
