//go:build clients

package clients

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/zonewise/zonewise/test/framing"
	"github.com/zonewise/zonewise/test/testenv/devserver"
	"github.com/zonewise/zonewise/test/testenv/kafkaoracle"
)

// Settings of the generated framings: the seed, their number, the one that is tested
// alone, and a file to which Kafka's responses are written instead.
const (
	drawnSeed   = "FRAMINGS_SEED"
	drawnCount  = "FRAMINGS"
	drawnCase   = "FRAMINGS_CASE"
	drawnRecord = "FRAMINGS_RECORD"
)

// envNumber is a setting of a run.
func envNumber(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// TestDrawnFramingsAreReadByAll is TestWhatIsTakenIsReadByAll with generated framings:
// what zonewise and Apache Kafka accept is read by all three readers.
func TestDrawnFramingsAreReadByAll(t *testing.T) {
	seed, n, only := envNumber(t, drawnSeed, 1), envNumber(t, drawnCount, 1500), envNumber(t, drawnCase, -1)
	var cases []framing.Case
	for i := range n {
		if only < 0 || i == only {
			cases = append(cases, framing.Draw(uint64(seed), i))
		}
	}
	if only >= n {
		cases = []framing.Case{framing.Draw(uint64(seed), only)}
	}
	readers := readersOfFramings(t)
	kafka := kafkaoracle.Start(t, kafkaoracle.Options{})
	all := make([]framed, len(cases))
	for i, c := range cases {
		all[i] = framed{name: c.String(), codec: c.Codec, body: c.Body}
	}
	theirs := produceFramings(t, kafka.Bootstrap[0], 1, all)
	if path := os.Getenv(drawnRecord); path != "" {
		record(t, path, seed, cases, theirs)
		return
	}
	ours := devserver.Start(t, "--zones", "1")
	codes := produceFramings(t, ours.Bootstrap(0), len(all), all)
	again := func(c framing.Case) string {
		return fmt.Sprintf("again: %s=%d %s=%d go test -tags clients -run TestDrawnFramings ./test/suites/clients", drawnSeed, seed, drawnCase, c.Index)
	}
	taken := 0
	for i, c := range cases {
		if codes[i] == "taken" {
			taken++
		}
		if !sameAnswer(codes[i], theirs[i]) && !(codes[i] != "taken" && theirs[i] == "taken" && c.RefusedOnPurpose()) {
			t.Errorf("%v: %s, at Apache Kafka %s; %s", c, codes[i], theirs[i], again(c))
		}
	}
	first := map[int]string{} // result of the first reader
	for _, r := range readers {
		var readable []int // TestWhatIsTakenIsReadByAll covers the unreadable ones
		for i, c := range cases {
			if codes[i] == "taken" && !c.UnreadBy(r.name) {
				readable = append(readable, i)
			}
		}
		found := r.read(t, ours.Bootstrap(0), together(readable, 25))
		for _, i := range readable {
			if _, known := first[i]; !known {
				first[i] = found[i]
			}
			if whole(found[i]) && found[i] == first[i] {
				continue
			}
			t.Errorf("%v: %s finds %q, the first reader %q; %s", cases[i], r.name, found[i], first[i], again(cases[i]))
		}
		fmt.Printf("    generated framings: %s read %d of %d accepted ones\n", r.name, len(readable), taken)
	}
	fmt.Printf("    generated framings: seed %d, %d tested, %d accepted\n", seed, len(cases), taken)
}

// record writes Apache Kafka's responses.
func record(t *testing.T, path string, seed int, cases []framing.Case, codes []string) {
	t.Helper()
	v := framing.Verdicts{Seed: uint64(seed)}
	for i, c := range cases {
		v.Add(c, codes[i] == "taken")
	}
	if err := os.WriteFile(path, v.Text(), 0o644); err != nil {
		t.Fatal(err)
	}
}
