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
//	TestLargeDeletions  a topic of gigabytes, and DeleteRecords of 300 partitions
//
// Each ends with `zonewise verify --deep`. The parts that judge (History, Sweep,
// Series) are pure, and tested with `make test`.
//
// Environment: SOAK_DURATION is how long the load of a test runs, SOAK_BYTES how much
// TestLargeDeletions writes, SOAK_OUT the folder for samples, plots and summaries,
// SOAK_REPORT a document to which TestSteady... write their section. Owner: TestMain
// owns one temporary folder for all of a run. It is removed at the end, also after
// SIGINT and SIGTERM, and what a killed run has left is removed by the next one.
package soak
