// Package soak runs a cluster of real processes on small limits for minutes or hours,
// so that everything ends while it is watched: records, objects, archives, checkpoints
// (build tag soak; `make soak`, `make soak-steady`).
//
//	TestSoakWithKills   flat-out load under retention, a broker killed every 20 s: what
//	                    is in retention is read back exactly, all the time
//	TestSteadyUnderLoad, TestSteadyIdle
//	                    bucket, etcd, checkpoint and memory do not grow
//	TestDisasterDrill   etcd's data deleted under load, after retention and garbage
//	                    collection have run; `zonewise recover`; everything is compared
//	TestLargeDeletions  a topic of gigabytes, and DeleteRecords of 300 partitions;
//	                    ...OfAGeneratedDay: the same in one process, by processor time
//
// Each ends with `zonewise verify --deep`. The parts that judge (History, Sweep,
// Series) are pure, and tested with `make test`.
//
// Environment: SOAK_DURATION is how long the load of a test runs; SOAK_BUCKET the size of
// the bucket, in bytes, at which flat-out producers wait (3 GiB; garbage collection is
// half a minute behind them); SOAK_BYTES how much TestLargeDeletions writes; SOAK_OUT the
// folder for samples, plots, summaries and the reports of verify and recover (data/soak);
// SOAK_REPORT a document to which the TestSteady tests write their section.
//
// Owner: a test owns its processes and folders, and ends them when it ends, also on SIGINT
// and SIGTERM. Where the test process is killed, its children end with it, and the next
// run removes its folders.
package soak
