package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
)

// A mutant that does not compile breaks nothing. Renames leave names behind that
// stand only in what a mutant puts in place.
func TestEveryMutantCompiles(t *testing.T) {
	h := &harness{root: "../..", temp: t.TempDir()}
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for i, m := range slices.Concat(promiseMutants(), fixedBugs()) {
		overlay, err := h.writeOverlay(i, m)
		if err != nil {
			t.Errorf("%s: %v", m.name, err)
			continue
		}
		args := []string{"build", "-o", os.DevNull, "-overlay", overlay}
		for _, e := range m.edits {
			if dir := "./" + filepath.Dir(e.file); !slices.Contains(args, dir) {
				args = append(args, dir)
			}
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			build := exec.Command("go", args...)
			build.Dir = h.root
			if out, err := build.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", m.name, err, out)
			}
		})
	}
	wg.Wait()
}
