package groups

import (
	"math/bits"

	"github.com/zonewise/zonewise/metadata"
)

// What an entry must hold. A classic generation is written whole: every member
// with its assignment and its metadata for the protocol that was chosen, which
// is what Kafka writes of it. What else members can speak is in memory alone;
// who coordinates the group next hears it when they join again.

// stringBytes is what a text or a blob of n bytes takes in an entry: its length
// goes before it, seven bits a byte.
func stringBytes(n int) int { return n + (bits.Len(uint(n)|1)+6)/7 }

// storedHead is what a generation takes beside its members.
func (m *machine) storedHead(protocol string) int {
	return 24 + stringBytes(len(m.name)) + stringBytes(len(m.protocolType)) + stringBytes(len(protocol)) + stringBytes(max(maxMemberID, len(m.leader)))
}

// storedMember is what a member takes, its protocol and its assignment apart.
func storedMember(mem *member) int {
	return 9 + stringBytes(len(mem.id)) + stringBytes(len(mem.instance)) + stringBytes(len(mem.clientID)) + stringBytes(len(mem.clientHost))
}

func storedProtocol(p *metadata.GroupProtocol) int {
	return stringBytes(len(p.Name)) + stringBytes(len(p.Metadata))
}

// storedBytes is what the present generation takes in an entry.
func (m *machine) storedBytes() int {
	n := m.storedHead(m.protocol) + m.sums.members + m.sums.protocols[m.protocol].bytes
	for _, mem := range m.members {
		n += stringBytes(len(mem.assignment))
	}
	return n
}

// fits reports whether a generation with a newcomer could be written, whatever
// little its leader assigns: with one of the protocols that all speak.
func (m *machine) fits(a *joinAsk) bool {
	mem := a.member(a.id + a.newID)
	for i := range a.protocols {
		p := &a.protocols[i]
		all := m.sums.protocols[p.Name]
		if all.members < len(m.members) {
			continue
		}
		n := m.storedHead(p.Name) + m.sums.members + len(m.members) + all.bytes + storedMember(mem) + storedProtocol(p) + 1
		if n <= maxStoredBytes {
			return true
		}
	}
	return false
}

// storedParticipant is what a member of the consumer protocol takes in an
// entry: it is written by itself.
func storedParticipant(group string, m *metadata.ConsumerMember) int {
	n := 32 + stringBytes(len(group))
	for _, s := range []string{m.ID, m.InstanceID, m.RackID, m.ClientID, m.ClientHost, m.Regex, m.Assignor} {
		n += stringBytes(len(s))
	}
	for _, t := range m.Topics {
		n += stringBytes(len(t))
	}
	for i := range m.Protocols {
		n += storedProtocol(&m.Protocols[i])
	}
	return n
}
