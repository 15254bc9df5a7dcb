package main

// etcdFixes: the etcd client, sessions and roles.
func etcdFixes() []mutant {
	return []mutant{}
}
