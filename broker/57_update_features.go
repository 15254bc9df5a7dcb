package broker

// UpdateFeatures, key 57, versions 0-2 (KIP-584, KIP-778).
//
// Behaviour: features are what this version of zonewise serves, and change
// with it: an update to the level that a feature has is accepted, any other is
// refused (95), and then none of the request's is made, as in Kafka.
// Gaps: no level can be changed.

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func (s *Server) updateFeatures(_ context.Context, _ *request, q *kmsg.UpdateFeaturesRequest) *kmsg.UpdateFeaturesResponse {
	resp := kmsg.NewPtrUpdateFeaturesResponse()
	for i := range q.FeatureUpdates {
		u := &q.FeatureUpdates[i]
		if code, text := featureProblem(q.Version, u); code != errNone {
			resp.ErrorCode = code
			resp.ErrorMessage = textOf("no feature was changed, for this one cannot be: " + text)
			return resp
		}
	}
	for i := range q.FeatureUpdates {
		if q.Version > 1 {
			break // the results went with version 2
		}
		r := kmsg.NewUpdateFeaturesResponseResult()
		r.Feature = q.FeatureUpdates[i].Feature
		resp.Results = append(resp.Results, r)
	}
	return resp
}

// The types of an update from version 1 on: upgrade, safe and unsafe downgrade.
const (
	updateUpgrade = 1
	updateUnsafe  = 3
)

func featureProblem(version int16, u *kmsg.UpdateFeaturesRequestFeatureUpdate) (int16, string) {
	if version >= 1 && (u.UpgradeType < updateUpgrade || u.UpgradeType > updateUnsafe) {
		return errUpdateVersion, fmt.Sprintf("%s: unknown type of update %d", u.Feature, u.UpgradeType)
	}
	for _, f := range features {
		if f.name != u.Feature {
			continue
		}
		if f.shown && u.MaxVersionLevel == f.level {
			return errNone, ""
		}
		return errUpdateVersion, fmt.Sprintf("%s is at level %d, which follows from the version of zonewise", f.name, f.level)
	}
	return errUpdateVersion, fmt.Sprintf("%s is not known", u.Feature)
}
