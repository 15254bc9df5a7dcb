// Package node assembles one broker from its doors: the log, the bucket, and
// somewhere to listen. It owns the broker's life: follow the log, open a
// session, take its share of the roles, serve, and when the session is lost,
// let everything of it go before the next one is opened.
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
