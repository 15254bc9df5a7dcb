// Package etcdserver runs an etcd member inside this program, with the
// settings that the log relies on (docs/design.md, section 3): `zonewise dev`,
// `zonewise etcd` and tests start it.
//
//	Start ─▶ Member ── Endpoint, Client ──▶ etcdlog.FromEtcd
//	                └─ Stop: waits until nothing of it is left
//
// members.go has what an operator does to a cluster of members: add, remove,
// list, snapshot, and the way out of a full database.
package etcdserver
