package main

import (
	"slices"
	"testing"
)

// A mutant whose text has changed is found here, not in the long run that applies
// them all.
func TestEveryEditFindsItsTextOnce(t *testing.T) {
	h := &harness{root: "../..", temp: t.TempDir()}
	for i, m := range slices.Concat(promiseMutants(), storagePromises(), fixedBugs()) {
		if _, err := h.writeOverlay(i, m); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
}
