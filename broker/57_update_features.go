package broker

// UpdateFeatures, key 57, versions 0-2 (KIP-584, KIP-778).
//
// Behaviour: the levels of transaction.version and group.version are stored in
// the cluster's log and take effect at once; metadata.version is fixed by the
// zonewise version. If one update of a request is invalid
// (INVALID_UPDATE_VERSION), none is made, as in Kafka.
// Gaps: metadata.version cannot be changed.

import (
	"context"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

func (s *Server) handleUpdateFeatures(ctx context.Context, r *request, q *kmsg.UpdateFeaturesRequest) *kmsg.UpdateFeaturesResponse {
	resp := kmsg.NewPtrUpdateFeaturesResponse()
	fail := func(code int16, text string) *kmsg.UpdateFeaturesResponse {
		resp.ErrorCode, resp.ErrorMessage = code, nullableText("no feature was changed: "+text)
		return resp
	}
	if err := s.barrier(ctx); err != nil {
		return fail(kerr.RequestTimedOut.Code, err.Error())
	}
	set := map[string]string{}
	for i := range q.FeatureUpdates {
		u := &q.FeatureUpdates[i]
		now, text := s.checkFeatureUpdate(q.Version, u)
		if text != "" {
			return fail(kerr.InvalidUpdateVersion.Code, u.Feature+" "+text)
		}
		if now != u.MaxVersionLevel {
			set[u.Feature] = strconv.Itoa(int(u.MaxVersionLevel))
		}
	}
	if len(set) > 0 && (q.Version == 0 || !q.ValidateOnly) {
		out, err := s.submit(ctx, []metadata.Command{metadata.SetConfigs{Resource: metadata.ResourceFeatures, Set: set}})
		if code, text := r.commandError(out, err, 0); code != noError {
			return fail(code, text)
		}
	}
	for i := range q.FeatureUpdates {
		if q.Version > 1 {
			break // version 2 has no results
		}
		r := kmsg.NewUpdateFeaturesResponseResult()
		r.Feature, r.ErrorMessage = q.FeatureUpdates[i].Feature, kmsg.StringPtr("NONE") // Kafka's text for no error
		resp.Results = append(resp.Results, r)
	}
	return resp
}

// Update types from version 1; in zonewise an unsafe downgrade loses no more than
// a safe one.
const (
	upgradeTypeUpgrade         = 1
	upgradeTypeSafeDowngrade   = 2
	upgradeTypeUnsafeDowngrade = 3
)

// checkFeatureUpdate returns a feature's current level, and why the update is
// invalid; empty if it is valid.
func (s *Server) checkFeatureUpdate(version int16, u *kmsg.UpdateFeaturesRequestFeatureUpdate) (now int16, text string) {
	kind := u.UpgradeType
	if version == 0 {
		kind = upgradeTypeUpgrade
		if u.AllowDowngrade {
			kind = upgradeTypeSafeDowngrade
		}
	}
	levels, _ := s.readFinalizedFeatures()
	for i, f := range features {
		if f.name != u.Feature {
			continue
		}
		want := u.MaxVersionLevel
		now = levels[i]
		switch {
		case kind < upgradeTypeUpgrade || kind > upgradeTypeUnsafeDowngrade:
			text = fmt.Sprintf("has the unknown upgrade type %d", kind)
		case want < f.min || want > f.top:
			text = fmt.Sprintf("has levels %d to %d here, not %d", f.min, f.top, want)
		case f.fixed && want != now:
			text = fmt.Sprintf("is at level %d, which is fixed by the zonewise version", now)
		case want < now && kind == upgradeTypeUpgrade:
			text = fmt.Sprintf("is at level %d: lowering it to %d needs a downgrade type", now, want)
		case want > now && kind != upgradeTypeUpgrade:
			text = fmt.Sprintf("is at level %d: a downgrade cannot go up to %d", now, want)
		}
		return now, text
	}
	return 0, "is not known"
}
