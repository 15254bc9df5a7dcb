package metadata

import "strconv"

// Features of the protocol whose level can be lowered and raised again while
// brokers run (UpdateFeatures, KIP-584). Levels are Kafka's.
const (
	GroupFeature = "group.version"       // 1: the consumer protocol (KIP-848)
	TxnFeature   = "transaction.version" // 2: Produce begins a transaction (KIP-890)
)

// featuresEpochKey is the key, among the levels, of the revision at which one was
// last set.
const featuresEpochKey = "" // no feature has this name

// FinalizedLevel returns the level to which a feature was set; top if it never
// was.
func (s *State) FinalizedLevel(feature string, top int16) int16 {
	v, ok := s.Configs(ResourceFeatures, "")[feature]
	if !ok {
		return top
	}
	n, err := strconv.ParseInt(v, 10, 16)
	if err != nil {
		return top
	}
	return int16(n)
}

// FeaturesEpoch rises whenever a feature is set: clients keep the levels with the
// greatest epoch that they received.
func (s *State) FeaturesEpoch() int64 {
	at, _ := strconv.ParseInt(s.Configs(ResourceFeatures, "")[featuresEpochKey], 10, 64)
	return int64(s.level) + at
}
