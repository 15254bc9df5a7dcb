package oracle

import (
	"regexp"
	"strconv"
	"strings"
)

// A rule defines how a field is compared that depends on the broker, not on the
// protocol. Rules are tried in order; a field without one is compared as it is.
type rule struct {
	api     string // "" is every API
	field   *regexp.Regexp
	mapping mapping
	Reason  string
}

// mapping maps a field's value to the value that is compared.
type mapping func(n *normaliser, leaf *node) string

// ruleTable is the table. docs/compatibility.md shows it.
func ruleTable() []rule {
	r := func(api, field string, how mapping, reason string) rule {
		return rule{api, regexp.MustCompile(`(^|\.)(` + field + `)$`), how, reason}
	}
	return []rule{
		r("", "ThrottleMillis", ignoreValue, "quotas are not part of this comparison"),
		r("", "ErrorMessage|StatusMessage", maskText, "wording is free; whether there is a message is compared"),
		r("DescribeConfigs", "Documentation", maskText, "wording is free"),
		r("", "Host", maskHost, "where the broker runs"),
		r("", "Port", maskHost, "where the broker runs"),
		r("", "Rack", maskRack, "where the broker runs; whether it has a rack is compared"),
		r("", "ClusterID", maskText, "an id of the cluster; whether there is one is compared"),
		r("", "NodeID|LeaderID|Leader|ControllerID|BrokerID|PreferredReadReplica", mapBroker, "broker ids are mapped: a live broker, or the unchanged value"),
		r("", "Replicas|ISR|OfflineReplicas|EligibleLeaderReplicas|LastKnownELR|AddingReplicas|RemovingReplicas", mapBroker, "broker ids are mapped, their number is compared"),
		r("", "TopicID|TopidID", numberIDs("topic id"), "a random id: compared by where it appears again; null must be null"),
		r("", "ProducerID", numberIDs("producer id"), "chosen by the broker: compared by where it appears again; -1 must be -1"),
		r("", "MemberID|Leader", numberIDs("member id"), "chosen by the broker: compared by where it appears again; empty must be empty"),
		r("", "SessionID", numberIDs("session"), "chosen by the broker: compared by where it appears again; 0 must be 0"),
		r("", "ClientInstanceID|IncarnationID", numberIDs("client"), "a random id"),
		r("OffsetForLeaderEpoch", "LeaderEpoch", maskNonNegative, "epochs count other events; -1 must be -1"),
		r("OffsetFetch", "LeaderEpoch", keepValue, "the committed value is returned"),
		r("", "LeaderEpoch|CurrentLeader.LeaderEpoch|PartitionEpoch", maskNonNegative, "epochs count other events; -1 must be -1"),
		r("ApiVersions", "FinalizedFeaturesEpoch", maskNonNegative, "counts other events"),
		r("", "CoordinatorEpoch", maskNonNegative, "counts other events"),
		r("DescribeProducers", "LastTimestamp", maskRecentTime, "Kafka returns the last record's time, zonewise its own of the last change; whether it is near now is compared"),
		r("", "Timestamp|LogAppendTime|FirstTimestamp|MaxTimestamp|StartTimestamp|LastTimestamp|LastUpdateTimestamp", maskUngivenTime, "a time near now is the broker's own; others are compared"),
		r("DescribeLogDirs", "Dir|TotalBytes|UsableBytes", maskText, "depends on the machine; whether there is one is compared"),
		r("DescribeLogDirs", "Size", maskPositive, "the layout of bytes differs; zero must be zero"),
		r("ListTransactions|DescribeTransactions", "TransactionStartTimestamp|StartTimestamp", maskUngivenTime, "a time near now is the broker's own"),
	}
}

func keepValue(_ *normaliser, leaf *node) string { return leaf.value }

func ignoreValue(*normaliser, *node) string { return "#any" }

func maskText(_ *normaliser, leaf *node) string {
	if leaf.value == "#null" || leaf.value == `""` {
		return leaf.value
	}
	return "#text"
}

func maskHost(_ *normaliser, leaf *node) string {
	if leaf.value == `""` || leaf.isNum && leaf.number <= 0 || leaf.value == "#null" {
		return leaf.value
	}
	return "#here"
}

func maskRack(_ *normaliser, leaf *node) string { return maskText(nil, leaf) }

func mapBroker(n *normaliser, leaf *node) string {
	if leaf.isNum && n.target.Nodes[int32(leaf.number)] {
		return "#broker"
	}
	if !leaf.isNum { // JoinGroup's Leader is a member
		return numberIDs("member id")(n, leaf)
	}
	return leaf.value
}

func maskNonNegative(_ *normaliser, leaf *node) string {
	if leaf.isNum && leaf.number >= 0 {
		return "#count"
	}
	return leaf.value
}

func maskPositive(_ *normaliser, leaf *node) string {
	if leaf.isNum && leaf.number > 0 {
		return "#count"
	}
	return leaf.value
}

// maskUngivenTime maps times within two hours of the run to #now, unless the scenario
// contains them.
func maskUngivenTime(n *normaliser, leaf *node) string {
	const near = 2 * 3600 * 1000
	if leaf.isNum && leaf.number != n.now && leaf.number > n.now-near && leaf.number < n.now+near && !n.inScenario(leaf.value) {
		return "#now"
	}
	return leaf.value
}

// maskRecentTime maps every time near the run to #now.
func maskRecentTime(n *normaliser, leaf *node) string {
	const near = 2 * 3600 * 1000
	if leaf.isNum && leaf.number > n.now-near && leaf.number < n.now+near {
		return "#now"
	}
	return leaf.value
}

// zeroID matches the value of each kind of id that means "none".
var zeroID = regexp.MustCompile(`^(""|-1|0|#null|hex:0+)$`)

// numberIDs maps ids to numbers in order of appearance, so that the same id in
// two answers is the same on both sides.
func numberIDs(kind string) mapping {
	return func(n *normaliser, leaf *node) string {
		if zeroID.MatchString(leaf.value) && !(kind == "producer id" && leaf.value == "0") || !leaf.isNum && n.inScenario(strings.Trim(leaf.value, `"`)) || leaf.number > 1<<20 && n.inScenario(leaf.value) {
			return leaf.value
		}
		ids := n.ids[kind]
		if ids == nil {
			ids = map[string]string{}
			n.ids[kind] = ids
		}
		if ids[leaf.value] == "" {
			ids[leaf.value] = "#" + kind + " " + strconv.Itoa(len(ids)+1)
		}
		return ids[leaf.value]
	}
}
