package oracle

import (
	"regexp"
	"strconv"
	"strings"
)

// A rule says how a field that depends on the broker, not on the protocol, is
// compared. Rules are tried in order; a field without one is compared as it is.
type rule struct {
	api    string // "" is every API
	field  *regexp.Regexp
	how    mapping
	Reason string
}

// mapping turns a field's value into what is compared.
type mapping func(n *normaliser, leaf *node) string

// rules is the table. docs/compatibility.md shows it.
func rules() []rule {
	r := func(api, field string, how mapping, reason string) rule {
		return rule{api, regexp.MustCompile(`(^|\.)(` + field + `)$`), how, reason}
	}
	return []rule{
		r("", "ThrottleMillis", ignored, "quotas are no subject of this comparison"),
		r("", "ErrorMessage|StatusMessage", text, "wording is free; that there is a message is compared"),
		r("DescribeConfigs", "Documentation", text, "wording is free"),
		r("", "Host", host, "where the broker runs"),
		r("", "Port", host, "where the broker runs"),
		r("", "Rack", rack, "where the broker runs; that it has a rack is compared"),
		r("", "ClusterID", text, "a name of the cluster; that there is one is compared"),
		r("", "NodeID|LeaderID|Leader|ControllerID|BrokerID|PreferredReadReplica", broker, "broker ids are mapped: a live broker, or the value as it is"),
		r("", "Replicas|ISR|OfflineReplicas|EligibleLeaderReplicas|LastKnownELR|AddingReplicas|RemovingReplicas", broker, "broker ids are mapped, their number is compared"),
		r("", "TopicID|TopidID", invented("topic id"), "a random id: compared by where it comes again; null must be null"),
		r("", "ProducerID", invented("producer id"), "given by the broker: compared by where it comes again; -1 must be -1"),
		r("", "MemberID|Leader", invented("member id"), "given by the broker: compared by where it comes again; empty must be empty"),
		r("", "SessionID", invented("session"), "given by the broker: compared by where it comes again; 0 must be 0"),
		r("", "ClientInstanceID|IncarnationID", invented("client"), "a random id"),
		r("OffsetForLeaderEpoch", "LeaderEpoch", notNegative, "epochs count other events; -1 must be -1"),
		r("OffsetFetch", "LeaderEpoch", same, "what was committed comes back"),
		r("", "LeaderEpoch|CurrentLeader.LeaderEpoch|PartitionEpoch", notNegative, "epochs count other events; -1 must be -1"),
		r("ApiVersions", "FinalizedFeaturesEpoch", notNegative, "counts other events"),
		r("", "CoordinatorEpoch", notNegative, "counts other events"),
		r("DescribeProducers", "LastTimestamp", recently, "Kafka gives the last record's time, zonewise its own of the last change; that it is near now is compared"),
		r("", "Timestamp|LogAppendTime|FirstTimestamp|MaxTimestamp|StartTimestamp|LastTimestamp|LastUpdateTimestamp", clock, "a time near now is the broker's own; others are compared"),
		r("DescribeLogDirs", "Dir|TotalBytes|UsableBytes", text, "of the machine; that there is one is compared"),
		r("DescribeLogDirs", "Size", positive, "bytes are laid out in other ways; zero must be zero"),
		r("ListTransactions|DescribeTransactions", "TransactionStartTimestamp|StartTimestamp", clock, "a time near now is the broker's own"),
	}
}

func same(_ *normaliser, leaf *node) string { return leaf.value }

func ignored(*normaliser, *node) string { return "#any" }

func text(_ *normaliser, leaf *node) string {
	if leaf.value == "#null" || leaf.value == `""` {
		return leaf.value
	}
	return "#text"
}

func host(_ *normaliser, leaf *node) string {
	if leaf.value == `""` || leaf.isNum && leaf.number <= 0 || leaf.value == "#null" {
		return leaf.value
	}
	return "#here"
}

func rack(_ *normaliser, leaf *node) string { return text(nil, leaf) }

func broker(n *normaliser, leaf *node) string {
	if leaf.isNum && n.target.Nodes[int32(leaf.number)] {
		return "#broker"
	}
	if !leaf.isNum { // JoinGroup's Leader is a member
		return invented("member id")(n, leaf)
	}
	return leaf.value
}

func notNegative(_ *normaliser, leaf *node) string {
	if leaf.isNum && leaf.number >= 0 {
		return "#count"
	}
	return leaf.value
}

func positive(_ *normaliser, leaf *node) string {
	if leaf.isNum && leaf.number > 0 {
		return "#count"
	}
	return leaf.value
}

// clock maps times within two hours of the run to #now, unless the scenario
// has said them itself.
func clock(n *normaliser, leaf *node) string {
	const near = 2 * 3600 * 1000
	if leaf.isNum && leaf.number != n.now && leaf.number > n.now-near && leaf.number < n.now+near && !n.said(leaf.value) {
		return "#now"
	}
	return leaf.value
}

// recently maps every time near the run to #now.
func recently(n *normaliser, leaf *node) string {
	const near = 2 * 3600 * 1000
	if leaf.isNum && leaf.number > n.now-near && leaf.number < n.now+near {
		return "#now"
	}
	return leaf.value
}

// zeroID is the value of each kind of id that says there is none.
var zeroID = regexp.MustCompile(`^(""|-1|0|#null|hex:0+)$`)

// invented maps ids to numbers in order of appearance, so that the same id in
// two answers is the same on both sides.
func invented(kind string) mapping {
	return func(n *normaliser, leaf *node) string {
		if zeroID.MatchString(leaf.value) && !(kind == "producer id" && leaf.value == "0") || !leaf.isNum && n.said(strings.Trim(leaf.value, `"`)) || leaf.number > 1<<20 && n.said(leaf.value) {
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
