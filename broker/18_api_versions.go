package broker

// ApiVersions, key 18, versions 0-5 (KIP-35, KIP-511, KIP-1242).
//
// Behaviour: the table of api.go. Any other version gets a version 0 body with
// UNSUPPORTED_VERSION and the range of this API alone, so that the client
// retries with a supported version. The response header always has version 0.
// Software name and version are checked and counted per connection. A client of
// version 5 that names another cluster or broker gets REBOOTSTRAP_REQUIRED: it
// starts over from its bootstrap servers.
// Gaps: none known.

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

const apiVersionsKey = 18

func (s *Server) handleAPIVersions(_ context.Context, r *request, q *kmsg.ApiVersionsRequest) *kmsg.ApiVersionsResponse {
	resp := kmsg.NewPtrApiVersionsResponse()
	if q.Version >= 3 {
		if !isValidSoftwareName(q.ClientSoftwareName) || !isValidSoftwareName(q.ClientSoftwareVersion) {
			resp.ErrorCode = kerr.InvalidRequest.Code
			return resp
		}
		if resp.ErrorCode = s.checkIntendedBroker(q); resp.ErrorCode != noError {
			return resp
		}
		name := q.ClientSoftwareName + " " + q.ClientSoftwareVersion
		if r.conn.software.Swap(&name) == nil {
			s.metrics.countSoftware(q.ClientSoftwareName, q.ClientSoftwareVersion)
		}
	}
	resp.ApiKeys = s.listAdvertisedAPIs()
	levels, epoch := s.readFinalizedFeatures()
	resp.FinalizedFeaturesEpoch = epoch
	for i, f := range features {
		if levels[i] > 0 { // level 0 is not listed, as in Kafka
			kf := kmsg.NewApiVersionsResponseFinalizedFeature()
			kf.Name, kf.MinVersionLevel, kf.MaxVersionLevel = f.name, levels[i], levels[i]
			resp.FinalizedFeatures = append(resp.FinalizedFeatures, kf)
		}
		if f.min == 0 && q.Version < 4 {
			continue // KAFKA-17011: older clients refuse a minimum of 0
		}
		sf := kmsg.NewApiVersionsResponseSupportedFeature()
		sf.Name, sf.MinVersion, sf.MaxVersion = f.name, f.min, f.top
		resp.SupportedFeatures = append(resp.SupportedFeatures, sf)
	}
	return resp
}

// checkIntendedBroker checks the cluster and broker that the client means to
// reach (KIP-1242): it sends both or neither. A broker that has no id yet
// accepts any.
func (s *Server) checkIntendedBroker(q *kmsg.ApiVersionsRequest) int16 {
	self, cluster := s.cfg.Self(), s.currentView().clusterID()
	switch {
	case q.Version < 5, q.ClusterID == nil && q.NodeID == -1:
		return noError
	case q.ClusterID == nil || q.NodeID == -1:
		return kerr.InvalidRequest.Code
	case *q.ClusterID != cluster, self != metadata.NoBroker && q.NodeID != int32(self):
		return kerr.RebootstrapRequired.Code
	}
	return noError
}

// features are those of an Apache Kafka 4.4 broker that zonewise serves at
// least in part. transaction.version 2 is KIP-890: clients then let Produce and
// TxnOffsetCommit begin a transaction; brokers decide by the versions of
// requests, whatever the level. Without group.version 1 (KIP-848) the consumer
// protocol is refused.
var features = [...]struct {
	name     string
	min, top int16
	fixed    bool // fixed by the zonewise version
}{
	{"metadata.version", 7, 33, true}, // 4.4-IV2
	{metadata.TxnFeature, 0, 2, false},
	{metadata.GroupFeature, 0, 1, false},
}

// readFinalizedFeatures returns the level of each feature, and the epoch of all.
func (s *Server) readFinalizedFeatures() (levels [len(features)]int16, epoch int64) {
	s.cfg.Replica.View(func(st *metadata.State) {
		epoch = st.FeaturesEpoch()
		for i, f := range features {
			levels[i] = st.FinalizedLevel(f.name, f.top)
		}
	})
	return levels, epoch
}

func (s *Server) listAdvertisedAPIs() []kmsg.ApiVersionsResponseApiKey {
	out := make([]kmsg.ApiVersionsResponseApiKey, 0, len(s.apis))
	for _, a := range s.apis {
		k := kmsg.NewApiVersionsResponseApiKey()
		k.ApiKey, k.MinVersion, k.MaxVersion = a.key, a.minAdvertised, a.max
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b kmsg.ApiVersionsResponseApiKey) int { return int(a.ApiKey) - int(b.ApiKey) })
	return out
}

// respondUnsupportedVersion responds to an unknown version of ApiVersions: the
// client reads a version 0 body whatever version it sent.
func (s *Server) respondUnsupportedVersion(correlation int32) response {
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.Version = 0
	resp.ErrorCode = kerr.UnsupportedVersion.Code
	for _, k := range s.listAdvertisedAPIs() {
		if k.ApiKey == apiVersionsKey {
			resp.ApiKeys = append(resp.ApiKeys, k)
		}
	}
	return response{head: resp.AppendTo(appendResponseHeader(nil, correlation, false))}
}

// isValidSoftwareName is KIP-511's [a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?
func isValidSoftwareName(s string) bool {
	for i := range len(s) {
		c := s[i]
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && (i == 0 || i == len(s)-1 || c != '-' && c != '.') {
			return false
		}
	}
	return s != ""
}
