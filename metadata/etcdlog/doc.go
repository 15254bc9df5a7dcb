// Package etcdlog is the cluster's order kept in etcd: metadata.Log and
// metadata.LogAdmin over the few calls of an etcd client that they need.
//
//	broker A ──Append──▶ txn: If my session, extent g, my incarnation, key absent
//	                          Then put log/<g>/<session>/<lane>/<seq>, put head
//	                          Else: a read finds out why
//	broker B ◀─Follow─── watch log/      etcd's revision of the put is the entry's
//	                                     place in the total order
//	role holder ──────▶ generation, truncated, checkpoint, deletes, compaction,
//	                    each fenced by the role's and the session's create revision
//
// Rules that the code keeps (docs/design.md, section 4):
//
//   - Every response of etcd may be lost and every request may be executed late.
//     The same bytes are sent again until a read shows the outcome; an equal key
//     is success.
//   - An attempt is given up only if it cannot be committed any more: its
//     session's key is gone, or its extent is closed, at a revision at which its
//     key was absent.
//   - An empty value under log/ is an empty entry: it takes the place of an entry
//     whose guard failed, so that a late first attempt finds its key present.
//     CommittedEntry.Bytes is empty then.
//   - Every revision that leaves the package is the cluster's base plus etcd's
//     own, create revisions (session ids, role epochs) included.
//   - Whether etcd went back in time is decided only by linearizable responses,
//     compared with what had been seen before the request was sent.
//
// The Log owns one goroutine per open session (its lease) and, during a call
// of Follow, one that reads the watch. Close waits for them.
package etcdlog
