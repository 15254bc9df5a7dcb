package framing

import (
	"bufio"
	"bytes"
	"fmt"
	"hash/crc32"
)

// Verdicts are what a broker said of the cases of a seed, from the first one on.
// As a text:
//
//	seed 1
//	0 5f3a90c1 taken
//	1 88d02b7e refused
//
// with the index and the checksum of the body of each: where a packer was changed
// since, the case is another one, and the verdict says nothing of it.
type Verdicts struct {
	Seed  uint64
	sums  []uint32
	taken []bool
}

// Add tells what was said of the next case.
func (v *Verdicts) Add(c Case, taken bool) {
	v.sums, v.taken = append(v.sums, crc32.ChecksumIEEE(c.Body)), append(v.taken, taken)
}

// Len is how many cases there are.
func (v *Verdicts) Len() int { return len(v.taken) }

// Of is what was said of a case, and whether it still is that case.
func (v *Verdicts) Of(c Case) (taken, same bool) {
	return v.taken[c.Index], v.sums[c.Index] == crc32.ChecksumIEEE(c.Body)
}

// Text is all that was said.
func (v *Verdicts) Text() []byte {
	out := fmt.Appendf(nil, "seed %d\n", v.Seed)
	for i, taken := range v.taken {
		out = fmt.Appendf(out, "%d %08x %s\n", i, v.sums[i], map[bool]string{true: "taken", false: "refused"}[taken])
	}
	return out
}

// ParseVerdicts reads Text.
func ParseVerdicts(text []byte) (*Verdicts, error) {
	v := &Verdicts{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	if !lines.Scan() {
		return nil, fmt.Errorf("read verdicts: nothing there")
	}
	if _, err := fmt.Sscanf(lines.Text(), "seed %d", &v.Seed); err != nil {
		return nil, fmt.Errorf("read verdicts: %w", err)
	}
	for lines.Scan() {
		var index int
		var sum uint32
		var word string
		if _, err := fmt.Sscanf(lines.Text(), "%d %x %s", &index, &sum, &word); err != nil || index != v.Len() {
			return nil, fmt.Errorf("read verdicts: line %q: %w", lines.Text(), err)
		}
		v.sums, v.taken = append(v.sums, sum), append(v.taken, word == "taken")
	}
	return v, lines.Err()
}
