package groups

import (
	"math/bits"

	"github.com/zonewise/zonewise/metadata"
)

// What an entry must hold. A classic generation is written whole: every member
// with its assignment and its metadata for the protocol that was chosen, which
// is what Kafka writes of it. What else members can speak is in memory alone;
// who coordinates the group next hears it when they join again.

// encodedTextBytes is what a text or a blob of n bytes takes in an entry: its length
// goes before it, seven bits a byte.
func encodedTextBytes(n int) int { return n + (bits.Len(uint(n)|1)+6)/7 }

// headRecordBytes is what a generation takes beside its members.
func (m *classicGroup) headRecordBytes(protocol string) int {
	return 24 + encodedTextBytes(len(m.name)) + encodedTextBytes(len(m.protocolType)) + encodedTextBytes(len(protocol)) + encodedTextBytes(max(maxMemberID, len(m.leader)))
}

// memberRecordBytes is what a member takes, its protocol and its assignment apart.
func memberRecordBytes(mem *classicGroupMember) int {
	return 9 + encodedTextBytes(len(mem.id)) + encodedTextBytes(len(mem.instance)) + encodedTextBytes(len(mem.clientID)) + encodedTextBytes(len(mem.clientHost))
}

func protocolRecordBytes(p *metadata.GroupProtocol) int {
	return encodedTextBytes(len(p.Name)) + encodedTextBytes(len(p.Metadata))
}

// recordBytes is what the present generation takes in an entry.
func (m *classicGroup) recordBytes() int {
	n := m.headRecordBytes(m.protocol) + m.totals.memberBytes + m.totals.protocols[m.protocol].bytes
	for _, mem := range m.members {
		n += encodedTextBytes(len(mem.assignment))
	}
	return n
}

// fitsRecord reports whether a generation with a newcomer could be written, whatever
// little its leader assigns: with one of the protocols that all speak.
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

// consumerMemberRecordBytes is what a member of the consumer protocol takes in an
// entry: it is written by itself.
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
