package main

import (
	"runtime"
	"testing"
)

// The heap after a collection is exported: the soak suite and operators see by it
// whether memory is kept for ever.
func TestTheHeapAfterACollectionIsExported(t *testing.T) {
	runtime.GC()
	families, err := processMetrics().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "go_gc_heap_live_bytes" && f.GetMetric()[0].GetGauge().GetValue() > 0 {
			return
		}
	}
	t.Error("go_gc_heap_live_bytes is not exported, or 0")
}
