package costmodel

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Component is a kind of quantity, by its name in the ledger and the API.
type Component string

// Kind says how a component is priced.
type Kind uint8

// The kinds. A transfer is priced by its pair of zones; a client transfer has
// an end that is not ours, whose zone may be unknown.
const (
	KindFree Kind = iota + 1
	KindMeter
	KindTransfer
	KindClientTransfer
)

// ComponentInfo describes a component. Label is for people.
type ComponentInfo struct {
	Component Component
	Label     string
	Unit      Unit
	Kind      Kind
	Meter     MeterID // KindMeter only
}

// componentTable lists every component in the order in which pages show them.
// Names are those of metadata.Component.
func componentTable() []ComponentInfo {
	return []ComponentInfo{
		{"s3_put", "S3 writes (PUT)", UnitNanoRequests, KindMeter, MeterPut},
		{"put_hedge", "S3 writes repeated to be fast", UnitNanoRequests, KindMeter, MeterPut},
		{"s3_get", "S3 reads (GET)", UnitNanoRequests, KindMeter, MeterGet},
		{"storage", "S3 storage", UnitByteMS, KindMeter, MeterStorage},
		{"inline", "Small writes through the log, across zones", UnitBytes, KindTransfer, ""},
		{"etcd", "Log entries, across zones", UnitBytes, KindTransfer, ""},
		{"peer", "Broker to broker, across zones", UnitBytes, KindTransfer, ""},
		{"produce", "Producers to brokers", UnitBytes, KindClientTransfer, ""},
		{"produce_resp", "Answers to producers", UnitBytes, KindClientTransfer, ""},
		{"fetch", "Consumers' requests", UnitBytes, KindClientTransfer, ""},
		{"fetch_resp", "Brokers to consumers", UnitBytes, KindClientTransfer, ""},
		{"group", "Consumer groups' traffic", UnitBytes, KindClientTransfer, ""},
		{"control", "Other client requests", UnitBytes, KindClientTransfer, ""},
		{"platform_put", "Platform: archive and checkpoint writes", UnitNanoRequests, KindMeter, MeterPut},
		{"platform_get", "Platform: archive and checkpoint reads", UnitNanoRequests, KindMeter, MeterGet},
		{"platform_list", "Platform: bucket listings", UnitNanoRequests, KindMeter, MeterList},
		{"s3_delete", "S3 deletes", UnitNanoRequests, KindMeter, MeterDelete},
		{"bytes_in", "Record bytes written", UnitBytes, KindFree, ""},
		{"records_in", "Records written", UnitRecords, KindFree, ""},
		{"bytes_out", "Record bytes read", UnitBytes, KindFree, ""},
		{"cache_saved", "S3 reads saved by caches", UnitNanoRequests, KindFree, ""},
	}
}

// Components returns every known component, in the order in which pages show
// them.
func Components() []ComponentInfo { return componentTable() }

// componentIndex returns the table by name.
func componentIndex() map[Component]ComponentInfo {
	index := make(map[Component]ComponentInfo)
	for _, info := range componentTable() {
		index[info.Component] = info
	}
	return index
}

// Names of the rows for what belongs to no single topic. They are shown in
// every view by topic, also when they are zero.
const (
	RowPlatform    = "__platform__"    // work for the service as a whole
	RowControl     = "__control__"     // entries and requests without records
	RowOther       = "__other__"       // past the cardinality limit
	RowUnallocated = "__unallocated__" // charged, but no usage explains it
)

// ReservedRows returns the reserved rows in the order in which they are shown.
func ReservedRows() []string {
	return []string{RowPlatform, RowControl, RowOther, RowUnallocated}
}

// IsReserved reports whether a topic name is a reserved row.
func IsReserved(topic string) bool { return slices.Contains(ReservedRows(), topic) }

// Key says what a quantity is attributed to. Topics are told apart by id: a
// recreated name is another topic. A reserved row has its name as both.
type Key struct {
	TopicID   string
	Topic     string // for display
	Component Component
	Src, Dst  string // zone ids; a transfer's two ends, or Src alone
	Principal string
	Group     string
}

// compareTo is the canonical order of keys.
func (k Key) compareTo(o Key) int {
	return cmp.Or(strings.Compare(k.TopicID, o.TopicID), strings.Compare(string(k.Component), string(o.Component)),
		strings.Compare(k.Src, o.Src), strings.Compare(k.Dst, o.Dst), strings.Compare(k.Principal, o.Principal),
		strings.Compare(k.Group, o.Group), strings.Compare(k.Topic, o.Topic))
}

// Usage is a quantity attributed to a key, in the component's unit.
type Usage struct {
	Key
	Quantity Quantity
}

// mergeUsage adds up rows of equal key, so that the cutting of its input shows
// in no result. The order of what it returns means nothing.
func mergeUsage(rows []Usage) ([]Usage, error) {
	sums := make(map[Key]Quantity, len(rows))
	for _, r := range rows {
		sum, err := sums[r.Key].Add(r.Quantity)
		if err != nil {
			return nil, fmt.Errorf("add usage of %s %s: %w", r.Topic, r.Component, err)
		}
		sums[r.Key] = sum
	}
	out := make([]Usage, 0, len(sums))
	for k, q := range sums {
		out = append(out, Usage{k, q})
	}
	return out, nil
}
