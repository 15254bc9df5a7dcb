// Package kafkaoracle runs Apache Kafka 4.4.0 for comparison with zonewise: KRaft
// brokers on loopback, each a Java process of its own, from the jars that pom.xml
// names.
//
//	Start(t, Options{Brokers: 3})
//	  mvn dependency:copy-dependencies -> user cache, once per content of pom.xml
//	  StorageTool format                -> a folder per broker
//	  kafka.Kafka server.properties     -> broker and controller in one process
//
// Owner: the Oracle owns its processes and folders, and the test's cleanup removes
// them. Needs java 17 and mvn.
package kafkaoracle
