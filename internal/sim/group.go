package sim

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// member is one member of a classic group: it joins, is given partitions,
// goes on from the committed offset, and commits.
type member struct {
	client
	group  string
	topic  string
	parts  int32
	me     membership
	mine   []int32
	offset map[int32]int64
	found  bool
	steps  int
}

func (m *member) run(ctx context.Context) {
	defer m.drop()
	for ctx.Err() == nil {
		err := m.life(ctx)
		var refused groupError
		switch {
		case errors.As(err, &refused) && refused.code == errUnknownMember:
			m.me.id = ""
		case errors.As(err, &refused) && (refused.code == errRebalancing || refused.code == errIllegalGeneration):
		default:
			m.found = false
			m.drop()
			m.next++
		}
		if m.pause(ctx) != nil {
			return
		}
	}
}

// life is one generation, from joining to the error that ends it.
func (m *member) life(ctx context.Context) error {
	if !m.found {
		if err := m.findCoordinator(ctx, m.group); err != nil {
			return err
		}
		m.found = true
	}
	if err := m.join(ctx); err != nil {
		return err
	}
	m.offset = map[int32]int64{}
	for _, p := range m.mine {
		at, err := m.fetchOffset(ctx, m.group, TP{m.topic, p})
		if err != nil {
			return err
		}
		m.offset[p] = max(at, 0)
	}
	for {
		m.steps++
		if err := m.beat(ctx); err != nil {
			return err
		}
		for _, p := range m.mine {
			m.offset[p]++
			if err := m.commitOffset(ctx, m.group, TP{m.topic, p}, m.offset[p], m.me); err != nil {
				return err
			}
		}
		select {
		case <-time.After(250*time.Millisecond + time.Duration(m.w.draw("beat", m.name, m.steps)%100_000_000)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (m *member) join(ctx context.Context) error {
	q := kmsg.NewPtrJoinGroupRequest()
	q.Group, q.MemberID, q.ProtocolType = m.group, m.me.id, "consumer"
	q.SessionTimeoutMillis, q.RebalanceTimeoutMillis = 6000, 3000
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name, p.Metadata = "sim", []byte{0, 1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}
	q.Protocols = append(q.Protocols, p)
	resp, err := m.try(ctx, q, 5)
	if err != nil {
		return err
	}
	j := resp.(*kmsg.JoinGroupResponse)
	if j.ErrorCode == errMemberIDRequired {
		m.me.id = j.MemberID
		return groupError{"join", errRebalancing}
	}
	if j.ErrorCode != errNone {
		return groupError{"join", j.ErrorCode}
	}
	m.me = membership{generation: j.Generation, id: j.MemberID}
	s := kmsg.NewPtrSyncGroupRequest()
	s.Group, s.Generation, s.MemberID = m.group, j.Generation, j.MemberID
	if j.LeaderID == j.MemberID {
		s.GroupAssignment = m.assign(j.Members)
	}
	resp, err = m.try(ctx, s, 3)
	if err != nil {
		return err
	}
	a := resp.(*kmsg.SyncGroupResponse)
	if a.ErrorCode != errNone {
		return groupError{"sync", a.ErrorCode}
	}
	m.mine = nil
	for b := a.MemberAssignment; len(b) >= 4; b = b[4:] {
		m.mine = append(m.mine, int32(binary.BigEndian.Uint32(b)))
	}
	m.w.history.note(func() {
		m.w.history.Owned = append(m.w.history.Owned, Owned{m.group, j.Generation, m.name, m.mine, m.w.recoveries()})
	})
	return nil
}

// assign shares the partitions out, round and round.
func (m *member) assign(members []kmsg.JoinGroupResponseMember) (out []kmsg.SyncGroupRequestGroupAssignment) {
	slices.SortFunc(members, func(a, b kmsg.JoinGroupResponseMember) int {
		return slices.Compare([]byte(a.MemberID), []byte(b.MemberID))
	})
	for i, mem := range members {
		a := kmsg.NewSyncGroupRequestGroupAssignment()
		a.MemberID = mem.MemberID
		for p := range m.parts {
			if int(p)%len(members) == i {
				a.MemberAssignment = binary.BigEndian.AppendUint32(a.MemberAssignment, uint32(p))
			}
		}
		out = append(out, a)
	}
	return out
}

func (m *member) beat(ctx context.Context) error {
	q := kmsg.NewPtrHeartbeatRequest()
	q.Group, q.Generation, q.MemberID = m.group, m.me.generation, m.me.id
	resp, err := m.try(ctx, q, 3)
	if err != nil {
		return err
	}
	if code := resp.(*kmsg.HeartbeatResponse).ErrorCode; code != errNone {
		return groupError{"heartbeat", code}
	}
	return nil
}
