//go:build !nextlevel

package metadata

// MaxFeatureLevel is the newest level that this program understands. To raise it,
// add what the level brings to levelTexts, and gate what it changes: commands in
// commandRows, results of apply and what is hashed and stored by State.level.
const MaxFeatureLevel FeatureLevel = 1

var levelTexts = [...]string{1: "the first level: everything that version 0.1 does"}

// nextLevel is what only a level that no release has adds to the state: nothing.
// Tests build the program with the tag nextlevel to try an upgrade
// (level_next.go).
type nextLevel struct{}

func (nextLevel) hashInto(m Hash, _ FeatureLevel) Hash { return m }
func (nextLevel) encode(*writer, FeatureLevel)         {}
func (*nextLevel) decode(*reader, FeatureLevel)        {}

// nextLevelRow is no command.
var nextLevelRow commandRow
