package broker

// adminAPIs are the rows of the table that tools ask for: what Kafka answers
// about replicas, log dirs and features, of which there is little here.
func adminAPIs() []api {
	return []api{
		{key: 34, min: 1, max: 2, shown: 1, flexible: 2, serve: plain((*Server).alterReplicaLogDirs)},
		{key: 35, min: 1, max: 5, shown: 1, flexible: 2, serve: plain((*Server).describeLogDirs), answers: (*Server).logDirsBytes},
		{key: 43, min: 0, max: 2, shown: 0, flexible: 2, serve: plain((*Server).electLeaders)},
		{key: 45, min: 0, max: 1, shown: 0, flexible: 0, serve: plain((*Server).alterPartitionReassignments)},
		{key: 46, min: 0, max: 0, shown: 0, flexible: 0, serve: plain((*Server).listPartitionReassignments)},
		{key: 57, min: 0, max: 2, shown: 0, flexible: 0, serve: plain((*Server).updateFeatures)},
		{key: 74, min: 0, max: 1, shown: 0, flexible: 0, serve: plain((*Server).listConfigResources), answers: (*Server).listResourcesBytes},
	}
}
