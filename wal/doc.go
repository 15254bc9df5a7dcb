// Package wal makes records durable and ordered before they are acknowledged.
// It owns what is not yet acknowledged, for the duration of one session:
//
//	Append --> budget --> assignment --> lane low or standard       one goroutine each
//	                               |
//	                    sequence: duplicate? gap? retry of a pending one?
//	                               |
//	                    open buffer: partition > producer > batches
//	                               |  seal.go decides when
//	              +----------------+-----------------+
//	        object: PUT,                      inline: as soon as the
//	        hedged, several in flight         commit slot is free
//	              +----------------+-----------------+
//	                               |  in order per partition
//	Submit --> lane control --> slot: one append in flight per lane --> Log
//	                               |
//	Ack <-- offsets of the applied outcome of our own entry <-- Replica
//
// Invariants, each with the test that would fail:
//
//   - A batch is acknowledged from the applied outcome of the entry that holds
//     it, never because a buffer is empty or an upload ended
//     (TestFailedUploadFailsEachBatchAndGivesOutNoOffset,
//     TestAckNamesTheOffsetThatIsReadBack).
//   - Nothing of a partition is committed ahead of what was sealed, or has
//     failed, before it
//     (TestStormOfUploadsKeepsOrderAndLosesNothing,
//     TestFailedObjectTakesLaterBatchesOfItsPartitionsAlong).
//   - An idempotent producer's batch is committed once, in order, whichever
//     brokers its retries reach (TestRetriesThatRoamBetweenBrokersLandOnce).
//   - What a lost session did not commit never commits, and its batches fail
//     (TestSessionsLostUnderLoadLoseAndRepeatNothing,
//     TestPausedBrokerOverwritesNothingAndCommitsNothing).
//   - Every PUT is named once in an entry, orphaned and failed uploads too, with
//     what it cost (checkBill, in all tests of uploads), or is in UnbookedPuts
//     where the session is lost (TestPutsThatALostSessionLeavesAreCounted).
//   - Data waits for memory, commands never do
//     (TestMemoryLimitPushesBackOnAppendAlone).
//
// Goroutines: one per lane, which owns everything in it but the mailbox; one
// per upload and one per attempt of it; one per commit under way, until its
// outcome is applied. They post to a lane's mailbox, which never blocks; Close
// waits for all of them. The mutexes (WAL.mu, budget, mailbox) guard memory
// only.
//
// Limits: BudgetBytes (with BatchOverheadBytes for each batch), MaxBufferBytes,
// MaxUploads per lane, MaxHedges and the limits of package hedge, MaxWaiting
// batches per producer and partition that wait for a missing sequence,
// MaxUnapplied entries per lane, and those of an entry (metadata.MaxEntryBytes,
// MaxInlineBytes, SealRunBytes, MaxEntryObjects). The bodies of objects under
// way contain the batches, which become slices of them, so that memory is twice
// the batches' only while one is encoded. A body that is sent again is charged
// by itself, until its last request ends. Submissions are bounded by their
// callers, who wait.
package wal
