package main

import "testing"

func TestValuesSayWhoseTheyAreAndWhetherTheyAreWhole(t *testing.T) {
	for _, size := range []int{0, 30, 1024, 70_000} {
		v := makeValue("franz-1", 7, 42, size)
		if size > 30 && len(v) != size {
			t.Errorf("value of %d bytes, want %d", len(v), size)
		}
		name, partition, seq, err := readValue(v)
		if err != nil || name != "franz-1" || partition != 7 || seq != 42 {
			t.Errorf("%d bytes: read %q %d %d, %v", size, name, partition, seq, err)
		}
		v[len(v)/2] ^= 1
		if _, _, _, err := readValue(v); err == nil {
			t.Errorf("%d bytes: a flipped bit was not seen", size)
		}
	}
}
