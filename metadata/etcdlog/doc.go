// Package etcdlog is the cluster's order kept in etcd: metadata.Log and
// metadata.LogAdmin over the few calls of an etcd client that they need.
//
//	broker A ──Append──▶ txn: If my session, generation g, my incarnation, key absent
//	                          Then put log/<g>/<session>/<lane>/<seq>, put head
//	                          Else read what stands in the way
//	broker B ◀─Follow─── watch log/      etcd's revision of the put is the entry's
//	                                     place in the total order
//	role holder ─Keeper─▶ generation, truncated, checkpoint, deletes, compaction,
//	                      each fenced by the role's and the session's create revision
//
// Rules that the code keeps (docs/design.md, section 4):
//
//   - Every answer of etcd may be lost and every request may land late. What
//     was sent is sent again byte for byte until a read tells what became of
//     it; an equal key is success.
//   - An attempt is given up only where nothing of it can land any more: its
//     session's key is gone, or the generation it names is closed, at a
//     revision at which its key was absent.
//   - An empty value under log/ is an empty entry: it takes the place of an
//     entry whose extra guard failed, so that a late first attempt finds its
//     place taken. Committed.Bytes of length 0 says so to apply.
//   - Every revision that leaves the package is the cluster's base plus etcd's
//     own, create revisions (session ids, role epochs) included.
//   - Going back in time is judged only by linearizable answers, against what
//     had been seen before the request was sent.
//
// The Log owns one goroutine per open session (its lease) and, during a call
// of Follow, one that takes from the watch. Close waits for them.
package etcdlog
