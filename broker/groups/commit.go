package groups

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// CommitOffsets answers OffsetCommit, versions 2 to 9. Offsets are stored
// under the slot's epoch before it answers; each partition has its own code.
// A group without members takes what comes with a negative generation
// (clients that assign themselves); else the member, its instance and its
// generation must be the group's. In a group of the consumer protocol the
// generation is the member's epoch, and may be an older one (isCurrent).
func (c *Coordinator) CommitOffsets(ctx context.Context, _ Client, r *kmsg.OffsetCommitRequest) *kmsg.OffsetCommitResponse {
	j := &commitJob{c: c, r: r, out: kmsg.NewPtrOffsetCommitResponse()}
	j.blank()
	g, code := c.commitGroup(r)
	if code != codeOK {
		j.refuse(ctx, code)
		return j.out
	}
	defer c.unref(g)
	j.run(ctx, g)
	return j.out
}

// commitGroup is the live group for a commit. One that does not exist is made
// for clients that assign themselves; a member of it is answered here.
func (c *Coordinator) commitGroup(r *kmsg.OffsetCommitRequest) (*group, int16) {
	if r.Generation >= 0 {
		known := false
		c.cfg.Replica.View(func(s *metadata.State) { _, known = s.Group(r.Group) })
		g, code := c.group(r.Group, known)
		if g == nil && code == codeOK {
			return nil, pickCode(r.Version >= 9, codeGroupNotFound, codeIllegalGeneration)
		}
		return g, code
	}
	return c.group(r.Group, true)
}

// commitJob is one OffsetCommit on its way.
type commitJob struct {
	c    *Coordinator
	r    *kmsg.OffsetCommitRequest
	txn  *metadata.TxnOffsets // whose commit makes the positions visible; nil: they are at once
	out  *kmsg.OffsetCommitResponse
	list []pendingOffset
	// Codes of what is not stored, as resolve finds it.
	unknown []*int16 // no such partition
	large   []*int16 // more metadata than is taken
}

// pendingOffset is a position to be stored, and where its answer goes.
type pendingOffset struct {
	metadata.OffsetCommit
	code *int16
}

// blank makes the answer with no code yet.
func (j *commitJob) blank() {
	j.out.Version = j.r.Version
	for i := range j.r.Topics {
		t := kmsg.NewOffsetCommitResponseTopic()
		t.Topic = j.r.Topics[i].Topic
		for k := range j.r.Topics[i].Partitions {
			p := kmsg.NewOffsetCommitResponseTopicPartition()
			p.Partition = j.r.Topics[i].Partitions[k].Partition
			t.Partitions = append(t.Partitions, p)
		}
		j.out.Topics = append(j.out.Topics, t)
	}
}

// fail puts a code on every partition that has none.
func (j *commitJob) fail(code int16) {
	for i := range j.out.Topics {
		for k := range j.out.Topics[i].Partitions {
			if p := &j.out.Topics[i].Partitions[k]; p.ErrorCode == codeOK {
				p.ErrorCode = code
			}
		}
	}
}

// refuse fails a commit whose group or member is wrong. A partition that is
// not known is named as that, as in Kafka, which looks at topics first.
func (j *commitJob) refuse(ctx context.Context, code int16) {
	switch code {
	case codeIllegalGeneration, codeUnknownMember, codeGroupNotFound:
		if j.find(ctx) {
			j.failUnknown()
		}
	}
	j.fail(code)
}

func (j *commitJob) run(ctx context.Context, g *group) {
	found := j.find(ctx)
	code := ask(ctx, g, codeNotCoordinator, func(at time.Time, reply func(int16)) {
		if g.commits > 0 && g.busy() {
			// A write waits for the commits that were let through: one after
			// the other they would keep it waiting for ever.
			g.later = append(g.later, func(at time.Time) { reply(j.admit(at, g)) })
			return
		}
		reply(j.admit(at, g))
	}, nil)
	if found {
		j.failUnknown()
	}
	if code != codeOK {
		j.fail(code)
		return
	}
	defer g.do(func(time.Time) { g.commits-- })
	if !found {
		j.fail(codeNotAvailable)
		return
	}
	for _, code := range j.large {
		*code = codeMetadataTooLarge
	}
	ctx, cancel := context.WithTimeout(ctx, j.c.cfg.WriteTimeout)
	defer cancel()
	for len(j.list) > 0 {
		n := chunk(j.list)
		j.write(ctx, g, j.list[:n])
		j.list = j.list[n:]
	}
}

// admit checks who commits, in the group's goroutine.
func (j *commitJob) admit(at time.Time, g *group) (code int16) {
	id, instance, generation := j.r.MemberID, text(j.r.InstanceID), j.r.Generation
	switch {
	case g.k != nil && j.txn != nil:
		code = g.k.mayCommitTxn(id, instance, generation, j.r.Version, j.list)
	case g.k != nil:
		code = g.k.mayCommit(id, generation, j.r.Version, j.list)
	case j.txn != nil:
		code = g.m.mayCommitTxn(at, id, instance, generation)
	default:
		code = g.m.mayCommit(at, id, instance, generation)
	}
	if code == codeOK {
		g.commits++
	}
	return code
}

// find resolves names. Where one is not known it waits until this replica is
// as new as the log; false where it could not.
func (j *commitJob) find(ctx context.Context) bool {
	if j.resolve(); len(j.unknown) == 0 {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, j.c.cfg.WriteTimeout)
	defer cancel()
	if err := j.c.cfg.Replica.Barrier(ctx); err != nil {
		return false
	}
	j.resolve()
	return true
}

// resolve makes the list of positions to store from names.
func (j *commitJob) resolve() {
	j.list, j.unknown, j.large = j.list[:0], j.unknown[:0], j.large[:0]
	at := j.c.cfg.Clock.Now()
	j.c.cfg.Replica.View(func(s *metadata.State) {
		for i := range j.r.Topics {
			topic, known := s.TopicNamed(j.r.Topics[i].Topic)
			for k := range j.r.Topics[i].Partitions {
				p, code := &j.r.Topics[i].Partitions[k], &j.out.Topics[i].Partitions[k].ErrorCode
				switch {
				case !known || p.Partition < 0 || p.Partition >= topic.Partitions:
					j.unknown = append(j.unknown, code)
				case len(text(p.Metadata)) > j.c.cfg.MaxOffsetMetadata:
					j.large = append(j.large, code)
				default:
					j.list = append(j.list, pendingOffset{metadata.OffsetCommit{Topic: topic.ID,
						Partition: metadata.Partition(p.Partition), Offset: metadata.Offset(p.Offset),
						LeaderEpoch: leaderEpoch(j.r.Version, p.LeaderEpoch), Metadata: text(p.Metadata), Time: at}, code})
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

// failUnknown answers the partitions that resolve did not find.
func (j *commitJob) failUnknown() {
	for _, code := range j.unknown {
		*code = codeUnknownTopic
	}
}

// chunk is how many positions go into one command, at least one.
func chunk(list []pendingOffset) int {
	size := 0
	for i := range list {
		if size += 64 + len(list[i].Metadata); size > maxCommitBytes && i > 0 {
			return i
		}
	}
	return len(list)
}

// command is what stores positions.
func (j *commitJob) command(epoch metadata.RoleEpoch, list []pendingOffset) metadata.Command {
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

// write stores positions that fit one command. Apply refuses all of them for
// one whose topic was deleted meanwhile, and says which: it is answered alone.
func (j *commitJob) write(ctx context.Context, g *group, list []pendingOffset) {
	for len(list) > 0 {
		out, err := j.c.cfg.Writer.Submit(ctx, []metadata.Command{j.command(g.hold.epoch, list)}, nil)
		code := j.c.settle(g.hold, out, err)
		if code == codeUnknownTopic && len(out.Commands) == 1 && int(out.Commands[0].Value) < len(list) {
			bad := int(out.Commands[0].Value)
			*list[bad].code = codeUnknownTopic
			list = append(append([]pendingOffset{}, list[:bad]...), list[bad+1:]...)
			continue
		}
		for i := range list {
			*list[i].code = code
		}
		return
	}
}
