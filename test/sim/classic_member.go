package sim

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// classicMember is one member of a classic group: it joins, gets partitions,
// continues from the committed offset, and commits.
type classicMember struct {
	client
	group            string
	topic            string
	parts            int32
	membership       membership
	assigned         []int32
	offset           map[int32]int64
	coordinatorKnown bool
	steps            int
}

func (m *classicMember) run(ctx context.Context) {
	defer m.closeConn()
	for ctx.Err() == nil {
		err := m.runGeneration(ctx)
		var refused groupError
		switch {
		case errors.As(err, &refused) && refused.code == errUnknownMember:
			m.membership.id = ""
		case errors.As(err, &refused) && (refused.code == errRebalancing || refused.code == errIllegalGeneration):
		default:
			m.coordinatorKnown = false
			m.closeConn()
			m.addrIndex++
		}
		if m.backOff(ctx) != nil {
			return
		}
	}
}

// runGeneration is one generation, from joining to the error that ends it.
func (m *classicMember) runGeneration(ctx context.Context) error {
	if !m.coordinatorKnown {
		if err := m.findCoordinator(ctx, m.group); err != nil {
			return err
		}
		m.coordinatorKnown = true
	}
	if err := m.joinGroup(ctx); err != nil {
		return err
	}
	m.offset = map[int32]int64{}
	for _, p := range m.assigned {
		at, err := m.fetchOffset(ctx, m.group, TP{m.topic, p})
		if err != nil {
			return err
		}
		m.offset[p] = max(at, 0)
	}
	for {
		m.steps++
		if err := m.sendHeartbeat(ctx); err != nil {
			return err
		}
		for _, p := range m.assigned {
			m.offset[p]++
			if err := m.commitOffset(ctx, m.group, TP{m.topic, p}, m.offset[p], m.membership); err != nil {
				return err
			}
		}
		select {
		case <-time.After(250*time.Millisecond + time.Duration(m.w.generateNumber("beat", m.name, m.steps)%100_000_000)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (m *classicMember) joinGroup(ctx context.Context) error {
	q := kmsg.NewPtrJoinGroupRequest()
	q.Group, q.MemberID, q.ProtocolType = m.group, m.membership.id, "consumer"
	q.SessionTimeoutMillis, q.RebalanceTimeoutMillis = 6000, 3000
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name, p.Metadata = "sim", []byte{0, 1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}
	q.Protocols = append(q.Protocols, p)
	resp, err := m.requestOnce(ctx, q, 5)
	if err != nil {
		return err
	}
	j := resp.(*kmsg.JoinGroupResponse)
	if j.ErrorCode == errMemberIDRequired {
		m.membership.id = j.MemberID
		return groupError{"join", errRebalancing}
	}
	if j.ErrorCode != errNone {
		return groupError{"join", j.ErrorCode}
	}
	m.membership = membership{generation: j.Generation, id: j.MemberID}
	s := kmsg.NewPtrSyncGroupRequest()
	s.Group, s.Generation, s.MemberID = m.group, j.Generation, j.MemberID
	if j.LeaderID == j.MemberID {
		s.GroupAssignment = m.assignPartitions(j.Members)
	}
	resp, err = m.requestOnce(ctx, s, 3)
	if err != nil {
		return err
	}
	a := resp.(*kmsg.SyncGroupResponse)
	if a.ErrorCode != errNone {
		return groupError{"sync", a.ErrorCode}
	}
	m.assigned = nil
	for b := a.MemberAssignment; len(b) >= 4; b = b[4:] {
		m.assigned = append(m.assigned, int32(binary.BigEndian.Uint32(b)))
	}
	m.w.history.update(func() {
		m.w.history.Assignments = append(m.w.history.Assignments, GroupAssignment{m.group, j.Generation, m.name, m.assigned, m.w.recoveryCount()})
	})
	return nil
}

// assignPartitions assigns the partitions round robin.
func (m *classicMember) assignPartitions(members []kmsg.JoinGroupResponseMember) (out []kmsg.SyncGroupRequestGroupAssignment) {
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

func (m *classicMember) sendHeartbeat(ctx context.Context) error {
	q := kmsg.NewPtrHeartbeatRequest()
	q.Group, q.Generation, q.MemberID = m.group, m.membership.generation, m.membership.id
	resp, err := m.requestOnce(ctx, q, 3)
	if err != nil {
		return err
	}
	if code := resp.(*kmsg.HeartbeatResponse).ErrorCode; code != errNone {
		return groupError{"heartbeat", code}
	}
	return nil
}
