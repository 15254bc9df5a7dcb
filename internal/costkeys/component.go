package costkeys

import (
	"fmt"
	"slices"
)

// Component is what a quantity of the ledger is of, by its stored number. The
// unit is fixed per component. The zero value is no component.
type Component uint8

// The components, by stored number. Requests are in nano-requests, because one
// PUT is shared by several topics; storage is in byte-milliseconds.
const (
	ComponentBytesIn         Component = iota + 1 // record bytes accepted (bytes; free)
	ComponentRecordsIn                            // offsets accepted (records; free)
	ComponentPut                                  // share of WAL PUTs that became part of the log (nano-requests)
	ComponentPutHedge                             // share of PUTs given up or repeated (nano-requests)
	ComponentStorage                              // live bytes over state time (byte-ms)
	ComponentInline                               // inline record bytes x network hops between zones (bytes, by pair)
	ComponentEtcd                                 // the rest of each entry x network hops between zones (bytes, by pair)
	ComponentPutPlatform                          // PUTs of archives, checkpoints, probes, lost sessions (nano-requests)
	ComponentGetPlatform                          // GETs of archives, checkpoints, probes (nano-requests)
	ComponentListPlatform                         // LISTs (nano-requests)
	ComponentDelete                               // DELETEs (nano-requests; free on AWS)
	ComponentGet                                  // GETs made to serve fetches (nano-requests)
	ComponentBytesOut                             // record bytes served (bytes; free)
	ComponentProduce                              // Produce requests, client to broker (bytes, by pair)
	ComponentProduceReply                         // Produce responses (bytes, by pair)
	ComponentFetch                                // Fetch requests (bytes, by pair)
	ComponentFetchReply                           // Fetch responses, broker to client (bytes, by pair)
	ComponentGroup                                // group requests and responses (bytes, by pair)
	ComponentControl                              // all other requests and responses (bytes, by pair)
	ComponentPeer                                 // broker to broker (bytes, by pair)
	ComponentCacheSaved                           // GETs that a cache saved (nano-requests; free)
	ComponentStorageDeleted                       // bytes of deleted records in objects that are not deleted yet, over state time (byte-ms)
	ComponentPlatformStorage                      // bytes in the bucket that are no topic's, over state time (byte-ms)
	ComponentEnd                                  // one past the last stored number
)

// Kind is how a component is priced.
type Kind uint8

// The kinds. A transfer is priced by its pair of zones; one end of a client
// transfer is a client, whose zone may be unknown.
const (
	KindFree Kind = iota + 1
	KindMeter
	KindTransfer
	KindClientTransfer
)

// Category groups components that a reader of the bill thinks of as one thing.
type Category uint8

// The categories, in the order in which charts stack them. CategoryFree is what
// is counted and not charged.
const (
	CategoryWrites Category = iota
	CategoryReads
	CategoryStorage
	CategoryLog
	CategoryClients
	CategoryPlatform
	CategoryFree
)

// CategoryCount is the number of categories that are charged.
const CategoryCount = int(CategoryFree)

// Info describes a component.
type Info struct {
	Component Component
	Name      string // in the JSON, the CSV and the command line
	Label     string // on pages
	Unit      Unit
	Kind      Kind
	Meter     MeterID // KindMeter only
	Category  Category
}

// componentTable lists every component in the order in which pages show them.
var componentTable = [...]Info{
	{ComponentPut, "s3_put", "S3 writes (PUT)", UnitNanoRequests, KindMeter, MeterPut, CategoryWrites},
	{ComponentPutHedge, "put_hedge", "S3 writes repeated to be fast", UnitNanoRequests, KindMeter, MeterPut, CategoryWrites},
	{ComponentGet, "s3_get", "S3 reads (GET)", UnitNanoRequests, KindMeter, MeterGet, CategoryReads},
	{ComponentStorage, "storage", "S3 storage of live records", UnitByteMS, KindMeter, MeterStorage, CategoryStorage},
	{ComponentStorageDeleted, "storage_deleted", "S3 storage of deleted records, until their objects are gone", UnitByteMS, KindMeter, MeterStorage, CategoryStorage},
	{ComponentInline, "inline", "Small writes through the log, across zones", UnitBytes, KindTransfer, "", CategoryLog},
	{ComponentEtcd, "etcd", "Log entries, across zones", UnitBytes, KindTransfer, "", CategoryLog},
	{ComponentPeer, "peer", "Broker to broker, across zones", UnitBytes, KindTransfer, "", CategoryLog},
	{ComponentProduce, "produce", "Producers to brokers", UnitBytes, KindClientTransfer, "", CategoryClients},
	{ComponentProduceReply, "produce_resp", "Answers to producers", UnitBytes, KindClientTransfer, "", CategoryClients},
	{ComponentFetch, "fetch", "Consumers' requests", UnitBytes, KindClientTransfer, "", CategoryClients},
	{ComponentFetchReply, "fetch_resp", "Brokers to consumers", UnitBytes, KindClientTransfer, "", CategoryClients},
	{ComponentGroup, "group", "Consumer groups' traffic", UnitBytes, KindClientTransfer, "", CategoryClients},
	{ComponentControl, "control", "Other client requests", UnitBytes, KindClientTransfer, "", CategoryClients},
	{ComponentPutPlatform, "platform_put", "Platform: archive and checkpoint writes", UnitNanoRequests, KindMeter, MeterPut, CategoryPlatform},
	{ComponentGetPlatform, "platform_get", "Platform: archive and checkpoint reads", UnitNanoRequests, KindMeter, MeterGet, CategoryPlatform},
	{ComponentPlatformStorage, "platform_storage", "Platform: storage of archives, checkpoints and overhead", UnitByteMS, KindMeter, MeterStorage, CategoryPlatform},
	{ComponentListPlatform, "platform_list", "Platform: bucket listings", UnitNanoRequests, KindMeter, MeterList, CategoryPlatform},
	{ComponentDelete, "s3_delete", "S3 deletes", UnitNanoRequests, KindMeter, MeterDelete, CategoryPlatform},
	{ComponentBytesIn, "bytes_in", "Record bytes written", UnitBytes, KindFree, "", CategoryFree},
	{ComponentRecordsIn, "records_in", "Records written", UnitRecords, KindFree, "", CategoryFree},
	{ComponentBytesOut, "bytes_out", "Record bytes read", UnitBytes, KindFree, "", CategoryFree},
	{ComponentCacheSaved, "cache_saved", "S3 reads saved by caches", UnitNanoRequests, KindFree, "", CategoryFree},
}

// Components returns every component in the order in which pages show them.
func Components() []Info { return slices.Clone(componentTable[:]) }

// Info returns the description of a component, or false for one that this
// version does not know.
func (c Component) Info() (Info, bool) {
	for i := range componentTable {
		if componentTable[i].Component == c {
			return componentTable[i], true
		}
	}
	return Info{}, false
}

// String returns the component's name; no component has none.
func (c Component) String() string {
	if info, ok := c.Info(); ok {
		return info.Name
	}
	if c == 0 {
		return ""
	}
	return fmt.Sprintf("component-%d", uint8(c))
}

// Valid reports whether c is a component of this version.
func (c Component) Valid() bool { return c > 0 && c < ComponentEnd }

// IsTransfer reports whether c counts bytes that may cross between zones.
func (c Component) IsTransfer() bool {
	info, ok := c.Info()
	return ok && (info.Kind == KindTransfer || info.Kind == KindClientTransfer)
}

// IsClientTransfer reports whether c counts bytes between clients and brokers.
func (c Component) IsClientTransfer() bool {
	info, ok := c.Info()
	return ok && info.Kind == KindClientTransfer
}
