package metadata

import (
	"errors"
	"fmt"
)

// FeatureLevel is the version of what apply computes and of what is stored. A
// change to either is used only from the entry on that raised the level
// (RaiseLevel); raising it converts nothing. Brokers of one cluster may be of
// several versions as long as all of them understand its level.
type FeatureLevel uint16

// MinFeatureLevel is the oldest level that this program understands, and the one
// at which a new cluster begins.
const MinFeatureLevel FeatureLevel = 1

// ErrLevel: the cluster, or an object of it, is at a feature level that this
// program does not understand. Not damage.
var ErrLevel = errors.New("feature level is not understood")

// CheckLevel returns an error that says what to do, ErrLevel, unless this program
// understands a level.
func CheckLevel(l FeatureLevel) error {
	switch {
	case l > MaxFeatureLevel:
		return fmt.Errorf("%w: it is level %d, and this program understands levels %d to %d: start a later version of the program, "+
			"one that understands level %d; earlier versions cannot be used once a level was raised", ErrLevel, l, MinFeatureLevel, MaxFeatureLevel, l)
	case l < MinFeatureLevel:
		return fmt.Errorf("%w: it is level %d, and this program understands levels %d to %d: start an earlier version of the program, "+
			"raise the level with `zonewise features upgrade`, and then upgrade the program", ErrLevel, l, MinFeatureLevel, MaxFeatureLevel)
	}
	return nil
}

// DescribeLevel returns what a level brings, in a sentence; "" where this program
// does not know it.
func DescribeLevel(l FeatureLevel) string {
	if l > MaxFeatureLevel {
		return ""
	}
	return levelTexts[l]
}
