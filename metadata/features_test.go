package metadata

import "testing"

// Clients keep the levels of the greatest epoch, so it rises with each change.
func TestTheEpochOfFeaturesRisesWhenALevelIsSet(t *testing.T) {
	r := newTxnRig(t)
	if got := r.state.FinalizedLevel(TxnFeature, 2); got != 2 {
		t.Errorf("level %d before any was set", got)
	}
	epoch := r.state.FeaturesEpoch()
	for _, level := range []string{"1", "0", "2"} {
		r.is(r.do(t, SetConfigs{ResourceFeatures, "", map[string]string{TxnFeature: level}, nil}), CodeOK)
		if got := r.state.FeaturesEpoch(); got <= epoch {
			t.Errorf("epoch %d after %d", got, epoch)
		}
		epoch = r.state.FeaturesEpoch()
		if got := r.state.FinalizedLevel(TxnFeature, 2); got != int16(level[0]-'0') {
			t.Errorf("level %d, want %s", got, level)
		}
	}
	if got := r.state.FinalizedLevel(GroupFeature, 1); got != 1 {
		t.Errorf("the other feature is at %d", got)
	}
}
