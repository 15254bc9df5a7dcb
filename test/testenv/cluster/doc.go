// Package cluster runs a whole zonewise cluster of real processes for the
// integration tests: three `zonewise etcd` members that sync their disk,
// versitygw as the bucket, and brokers in three zones, from the configuration
// files in deploy/three-zones with other addresses.
//
//	Start(t, Options)
//	  go build cmd/zonewise -> bin
//	  block N (flock): 127.N.z.5 etcd, 127.N.z.10 the first broker of zone z,
//	                   .11 the second ...; ports are the files' + 10000
//	  or, with Namespaces: a network namespace per zone, 10.N.z.5, 10.N.z.10,
//	                   with the files' own ports (netns.go has the picture)
//
// Every process can be killed, terminated and restarted; its output goes to a file
// that is shown when the test fails. Owner: the Cluster owns processes, namespaces
// and addresses, and the test's cleanup removes all of them. If the test process is
// killed, its child processes end with it (parent death signal), and the next holder
// of the block removes the rest.
package cluster
