package groups

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// CommitOffsets handles OffsetCommit, versions 2 to 9. Offsets are written
// under the slot's epoch before it returns; each partition has its own error
// code. A group without members accepts a negative generation (clients that
// assign themselves); otherwise member id, instance id and generation must
// match. In a group of the consumer protocol the generation is the member's
// epoch, and may be an older one (isCurrent).
func (c *Coordinator) CommitOffsets(ctx context.Context, _ Client, r *kmsg.OffsetCommitRequest) *kmsg.OffsetCommitResponse {
	j := &commitJob{c: c, r: r, response: kmsg.NewPtrOffsetCommitResponse()}
	j.initResponse()
	g, code := c.acquireCommitGroup(r)
	if code != noError {
		j.rejectCommit(ctx, code)
		return j.response
	}
	defer c.releaseGroup(g)
	j.run(ctx, g)
	return j.response
}

// acquireCommitGroup returns the live group for a commit. A group that does not
// exist is created for clients that assign themselves; a commit by a member of
// it gets an error.
func (c *Coordinator) acquireCommitGroup(r *kmsg.OffsetCommitRequest) (*group, int16) {
	if r.Generation >= 0 {
		known := false
		c.cfg.Replica.View(func(s *metadata.State) { _, known = s.Group(r.Group) })
		g, code := c.acquireGroup(r.Group, known)
		if g == nil && code == noError {
			return nil, pickCode(r.Version >= 9, kerr.GroupIDNotFound.Code, kerr.IllegalGeneration.Code)
		}
		return g, code
	}
	return c.acquireGroup(r.Group, true)
}

// commitJob is the state of one OffsetCommit.
type commitJob struct {
	c        *Coordinator
	r        *kmsg.OffsetCommitRequest
	txn      *metadata.TxnOffsets // the transaction whose commit makes the offsets visible; nil: none
	response *kmsg.OffsetCommitResponse
	offsets  []pendingOffset
	// Error codes of partitions that resolveOffsets cannot write.
	unknown []*int16 // no such partition
	large   []*int16 // metadata over the limit
}

// pendingOffset is an offset to write, and its error code in the response.
type pendingOffset struct {
	metadata.OffsetCommit
	code *int16
}

// initResponse makes the response, without error codes.
func (j *commitJob) initResponse() {
	j.response.Version = j.r.Version
	for i := range j.r.Topics {
		t := kmsg.NewOffsetCommitResponseTopic()
		t.Topic = j.r.Topics[i].Topic
		for k := range j.r.Topics[i].Partitions {
			p := kmsg.NewOffsetCommitResponseTopicPartition()
			p.Partition = j.r.Topics[i].Partitions[k].Partition
			t.Partitions = append(t.Partitions, p)
		}
		j.response.Topics = append(j.response.Topics, t)
	}
}

// failRemaining sets an error code on every partition that has none.
func (j *commitJob) failRemaining(code int16) {
	for i := range j.response.Topics {
		for k := range j.response.Topics[i].Partitions {
			if p := &j.response.Topics[i].Partitions[k]; p.ErrorCode == noError {
				p.ErrorCode = code
			}
		}
	}
}

// rejectCommit fails a commit whose group or member is wrong. Unknown
// partitions get UNKNOWN_TOPIC_OR_PARTITION, as in Kafka, which checks topics
// first.
func (j *commitJob) rejectCommit(ctx context.Context, code int16) {
	switch code {
	case kerr.IllegalGeneration.Code, kerr.UnknownMemberID.Code, kerr.GroupIDNotFound.Code:
		if j.find(ctx) {
			j.failUnknown()
		}
	}
	j.failRemaining(code)
}

func (j *commitJob) run(ctx context.Context, g *group) {
	found := j.find(ctx)
	code := callGroup(ctx, g, kerr.NotCoordinator.Code, func(at time.Time, reply func(int16)) {
		if g.openCommits > 0 && g.isWriting() {
			// A write waits for the commits that were admitted: an endless
			// sequence of them would starve it.
			g.deferred = append(g.deferred, func(at time.Time) { reply(j.checkMember(at, g)) })
			return
		}
		reply(j.checkMember(at, g))
	}, nil)
	if found {
		j.failUnknown()
	}
	if code != noError {
		j.failRemaining(code)
		return
	}
	defer g.post(func(time.Time) { g.openCommits-- })
	if !found {
		j.failRemaining(kerr.CoordinatorNotAvailable.Code)
		return
	}
	for _, code := range j.large {
		*code = kerr.OffsetMetadataTooLarge.Code
	}
	ctx, cancel := context.WithTimeout(ctx, j.c.cfg.WriteTimeout)
	defer cancel()
	for len(j.offsets) > 0 {
		n := countCommitChunk(j.offsets)
		j.writeOffsets(ctx, g, j.offsets[:n])
		j.offsets = j.offsets[n:]
	}
}

// checkMember checks the sender of the commit, in the group's goroutine.
func (j *commitJob) checkMember(at time.Time, g *group) (code int16) {
	id, instance, generation := j.r.MemberID, textOrEmpty(j.r.InstanceID), j.r.Generation
	switch {
	case g.consumer != nil && j.txn != nil:
		code = g.consumer.checkTxnCommit(id, instance, generation, j.r.Version, j.offsets)
	case g.consumer != nil:
		code = g.consumer.checkCommit(id, generation, j.r.Version, j.offsets)
	case j.txn != nil:
		code = g.classic.checkTxnCommit(at, id, instance, generation)
	default:
		code = g.classic.checkCommit(at, id, instance, generation)
	}
	if code == noError {
		g.openCommits++
	}
	return code
}

// find resolves topic names. If one is unknown, it takes a barrier and resolves
// them again; false if the barrier failed.
func (j *commitJob) find(ctx context.Context) bool {
	if j.resolveOffsets(); len(j.unknown) == 0 {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, j.c.cfg.WriteTimeout)
	defer cancel()
	if err := j.c.cfg.Replica.Barrier(ctx); err != nil {
		return false
	}
	j.resolveOffsets()
	return true
}

// resolveOffsets resolves names to the list of offsets to write.
func (j *commitJob) resolveOffsets() {
	j.offsets, j.unknown, j.large = j.offsets[:0], j.unknown[:0], j.large[:0]
	at := j.c.cfg.Clock.Now()
	j.c.cfg.Replica.View(func(s *metadata.State) {
		for i := range j.r.Topics {
			topic, known := s.TopicNamed(j.r.Topics[i].Topic)
			for k := range j.r.Topics[i].Partitions {
				p, code := &j.r.Topics[i].Partitions[k], &j.response.Topics[i].Partitions[k].ErrorCode
				switch {
				case !known || p.Partition < 0 || p.Partition >= topic.Partitions:
					j.unknown = append(j.unknown, code)
				case len(textOrEmpty(p.Metadata)) > j.c.cfg.MaxOffsetMetadata:
					j.large = append(j.large, code)
				default:
					j.offsets = append(j.offsets, pendingOffset{metadata.OffsetCommit{Topic: topic.ID,
						Partition: metadata.Partition(p.Partition), Offset: metadata.Offset(p.Offset),
						LeaderEpoch: leaderEpoch(j.r.Version, p.LeaderEpoch), Metadata: textOrEmpty(p.Metadata), Time: at}, code})
				}
			}
		}
	})
}

func leaderEpoch(version int16, epoch int32) metadata.LeaderEpoch {
	if version < 6 {
		return metadata.LeaderEpoch(noLeaderEpoch)
	}
	return metadata.LeaderEpoch(max(epoch, noLeaderEpoch))
}

// failUnknown sets the error code of the partitions that resolveOffsets did not
// find.
func (j *commitJob) failUnknown() {
	for _, code := range j.unknown {
		*code = kerr.UnknownTopicOrPartition.Code
	}
}

// countCommitChunk returns how many offsets fit one command, at least one.
func countCommitChunk(list []pendingOffset) int {
	size := 0
	for i := range list {
		if size += 64 + len(list[i].Metadata); size > maxCommitBytes && i > 0 {
			return i
		}
	}
	return len(list)
}

// newCommand returns the command that writes offsets.
func (j *commitJob) newCommand(epoch metadata.RoleEpoch, list []pendingOffset) metadata.Command {
	offsets := make([]metadata.OffsetCommit, len(list))
	for i := range list {
		offsets[i] = list[i].OffsetCommit
	}
	if j.txn != nil {
		c := *j.txn
		c.Slot, c.Offsets = epoch, offsets
		return c
	}
	return metadata.CommitOffsets{Group: j.r.Group, Epoch: epoch, Offsets: offsets}
}

// writeOffsets writes offsets that fit one command. If a topic was deleted
// meanwhile, apply refuses the command and names the partition: only that one
// fails, and the rest is written again.
func (j *commitJob) writeOffsets(ctx context.Context, g *group, list []pendingOffset) {
	for len(list) > 0 {
		out, err := j.c.cfg.Writer.Submit(ctx, []metadata.Command{j.newCommand(g.slot.epoch, list)}, nil)
		code := j.c.resolveWrite(g.slot, out, err)
		if code == kerr.UnknownTopicOrPartition.Code && len(out.Commands) == 1 && int(out.Commands[0].Value) < len(list) {
			bad := int(out.Commands[0].Value)
			*list[bad].code = kerr.UnknownTopicOrPartition.Code
			list = append(append([]pendingOffset{}, list[:bad]...), list[bad+1:]...)
			continue
		}
		for i := range list {
			*list[i].code = code
		}
		return
	}
}
