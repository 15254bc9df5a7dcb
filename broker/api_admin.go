package broker

// adminAPIs are the rows of the table for admin tools: replicas, log dirs and
// features, most of which are synthetic here.
func adminAPIs() []api {
	return []api{
		{key: 34, name: "AlterReplicaLogDirs", min: 1, max: 2, minAdvertised: 1, flexible: 2, serve: serveDecoded((*Server).handleAlterReplicaLogDirs)},
		{key: 35, name: "DescribeLogDirs", min: 1, max: 5, minAdvertised: 1, flexible: 2, serve: serveDecoded((*Server).handleDescribeLogDirs), estimateResponse: (*Server).estimateLogDirs},
		{key: 43, name: "ElectLeaders", min: 0, max: 2, minAdvertised: 0, flexible: 2, serve: serveDecoded((*Server).handleElectLeaders)},
		{key: 45, name: "AlterPartitionReassignments", min: 0, max: 1, minAdvertised: 0, flexible: 0, serve: serveDecoded((*Server).handleAlterPartitionReassignments)},
		{key: 46, name: "ListPartitionReassignments", min: 0, max: 0, minAdvertised: 0, flexible: 0, serve: serveDecoded((*Server).handleListPartitionReassignments)},
		{key: 57, name: "UpdateFeatures", min: 0, max: 2, minAdvertised: 0, flexible: 0, serve: serveDecoded((*Server).handleUpdateFeatures)},
		{key: 74, name: "ListConfigResources", min: 0, max: 1, minAdvertised: 0, flexible: 0, serve: serveDecoded((*Server).handleListConfigResources), estimateResponse: (*Server).estimateListConfigResources},
	}
}
