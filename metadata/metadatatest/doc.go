// Package metadatatest is the acceptance test of the metadata.Log and
// metadata.LogAdmin interfaces: what every implementation guarantees. It injects
// no faults; each implementation has its own tests of those.
package metadatatest
