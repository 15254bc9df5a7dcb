// Package node assembles one broker from the log, the bucket and its listeners.
// It runs the broker: follow the log, open a session, compete for the roles,
// serve, and when the session is lost, end everything that belongs to it before
// the next one is opened.
//
//	                 +----------- Node ------------+
//	Kafka clients -> | broker.Server               |
//	                 |   Writer -> session.wal ----|--> bucket (PUT), Log (append)
//	                 |   Reader -> s3stream.Store -|--> bucket (GET)
//	                 |   Groups -> Coordinator     |
//	                 | Replica <-------------------|--- Log (follow), archives, checkpoints
//	                 | session: wal, maintenance,  |
//	                 |   slots, usage              |
//	                 +-----------------------------+
//
// Commands (zonewise dev, zonewise broker) and the simulation build their
// brokers here, so that what is simulated is what runs.
package node
