// Package metadatatest is the acceptance test of the metadata.Log and
// metadata.LogAdmin doors: what every implementation promises, whatever stands
// behind it. It has no faults; those are each implementation's own tests.
package metadatatest
