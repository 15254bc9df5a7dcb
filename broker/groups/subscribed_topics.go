package groups

import "encoding/binary"

// newSubscriptionCheck returns a function that reports whether a member subscribes
// to a topic. It is the only code that reads the members' metadata, for deletion
// of offsets only. A subscription that cannot be read counts as one to every
// topic: refusing a deletion does no harm.
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

// parseSubscribedTopics reads the topics of a consumer's subscription
// (ConsumerProtocolSubscription). All versions begin alike, so the version and
// the rest do not matter:
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

// newSubscriptionCheck returns a function that reports whether a member of either
// protocol subscribes to a topic.
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
