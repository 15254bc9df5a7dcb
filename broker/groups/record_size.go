package groups

import (
	"math/bits"

	"github.com/zonewise/zonewise/metadata"
)

// Sizes in a log entry. A classic generation is written as one record: every
// member with its assignment and its metadata for the chosen protocol, as in
// Kafka. The members' other protocols are in memory only; the next coordinator
// gets them when the members rejoin.

// encodedTextBytes is the size of a string or blob of n bytes in an entry: its
// varint length precedes it.
func encodedTextBytes(n int) int { return n + (bits.Len(uint(n)|1)+6)/7 }

// headRecordBytes is the size of a generation without its members.
func (m *classicGroup) headRecordBytes(protocol string) int {
	return 24 + encodedTextBytes(len(m.name)) + encodedTextBytes(len(m.protocolType)) + encodedTextBytes(len(protocol)) + encodedTextBytes(max(maxMemberID, len(m.leader)))
}

// memberRecordBytes is the size of a member without its protocol and
// assignment.
func memberRecordBytes(mem *classicGroupMember) int {
	return 9 + encodedTextBytes(len(mem.id)) + encodedTextBytes(len(mem.instance)) + encodedTextBytes(len(mem.clientID)) + encodedTextBytes(len(mem.clientHost))
}

func protocolRecordBytes(p *metadata.GroupProtocol) int {
	return encodedTextBytes(len(p.Name)) + encodedTextBytes(len(p.Metadata))
}

// recordBytes is the size of the current generation in an entry.
func (m *classicGroup) recordBytes() int {
	n := m.headRecordBytes(m.protocol) + m.totals.memberBytes + m.totals.protocols[m.protocol].bytes
	for _, mem := range m.members {
		n += encodedTextBytes(len(mem.assignment))
	}
	return n
}

// fitsRecord reports whether a generation with a new member can be written,
// with any of the protocols that all members support and even if the leader
// assigns little.
func (m *classicGroup) fitsRecord(a *joinRequest) bool {
	mem := a.newMember(a.id + a.newID)
	for i := range a.protocols {
		p := &a.protocols[i]
		all := m.totals.protocols[p.Name]
		if all.members < len(m.members) {
			continue
		}
		n := m.headRecordBytes(p.Name) + m.totals.memberBytes + len(m.members) + all.bytes + memberRecordBytes(mem) + protocolRecordBytes(p) + 1
		if n <= maxStoredBytes {
			return true
		}
	}
	return false
}

// consumerMemberRecordBytes is the size in an entry of a member of the consumer
// protocol: each is written by itself.
func consumerMemberRecordBytes(group string, m *metadata.ConsumerMember) int {
	n := 32 + encodedTextBytes(len(group))
	for _, s := range []string{m.ID, m.InstanceID, m.RackID, m.ClientID, m.ClientHost, m.Regex, m.Assignor} {
		n += encodedTextBytes(len(s))
	}
	for _, t := range m.Topics {
		n += encodedTextBytes(len(t))
	}
	for i := range m.Protocols {
		n += protocolRecordBytes(&m.Protocols[i])
	}
	return n
}
