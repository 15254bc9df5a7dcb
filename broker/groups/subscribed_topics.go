package groups

import "encoding/binary"

// newSubscriptionCheck tells of a topic whether a member subscribes to it. It is the
// only place that looks into members' bytes, and for OffsetDelete alone. A
// subscription that cannot be read counts as one to every topic: refusing a
// deletion harms nobody.
func (m *classicGroup) newSubscriptionCheck() func(topic string) bool {
	topics := map[string]bool{}
	for _, mem := range m.members {
		protocol := m.protocol
		if protocol == "" && len(mem.protocols) > 0 {
			protocol = mem.protocols[0].Name
		}
		list, ok := parseSubscribedTopics(mem.findMetadata(protocol))
		if !ok {
			return func(string) bool { return true }
		}
		for _, t := range list {
			topics[t] = true
		}
	}
	return func(topic string) bool { return topics[topic] }
}

// parseSubscribedTopics reads the topics of a consumer's subscription (the
// consumer protocol's ConsumerProtocolSubscription). Every version begins
// alike, so that what follows, and the version, do not matter:
//
//	+---------+-------+--------+-------------
//	| version | count | length | name ...       big-endian
//	| 2       | 4     | 2      | length
//	+---------+-------+--------+-------------
func parseSubscribedTopics(b []byte) (topics []string, ok bool) {
	if len(b) < 6 || int16(binary.BigEndian.Uint16(b)) < 0 {
		return nil, false
	}
	count := int(int32(binary.BigEndian.Uint32(b[2:])))
	b = b[6:]
	if count < 0 || count > len(b)/2 {
		return nil, false
	}
	for range count {
		if len(b) < 2 {
			return nil, false
		}
		n := int(int16(binary.BigEndian.Uint16(b)))
		if b = b[2:]; n < 0 || n > len(b) {
			return nil, false
		}
		topics = append(topics, string(b[:n]))
		b = b[n:]
	}
	return topics, true
}

// newSubscriptionCheck tells of a topic whether a member of either protocol subscribes
// to it.
func (g *group) newSubscriptionCheck() func(topic string) bool {
	if g.consumer == nil {
		return g.classic.newSubscriptionCheck()
	}
	topics := map[string]bool{}
	for name := range g.consumer.subscriptions.named {
		topics[name] = true
	}
	for _, p := range g.consumer.subscriptions.patterns {
		for _, name := range p.matched {
			topics[name] = true
		}
	}
	return func(topic string) bool { return topics[topic] }
}
