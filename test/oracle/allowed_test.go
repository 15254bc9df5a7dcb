package oracle

import (
	"errors"
	"testing"
)

// The list in this tree follows its own rules.
func TestTheListOfAllowedDifferencesIsValid(t *testing.T) {
	list, err := AllowedDifferences()
	if err != nil || len(list) == 0 {
		t.Fatalf("%d allowed differences: %v", len(list), err)
	}
}

// Rules that would hide too much are refused.
func TestAllowedDifferencesNeverCoverOffsetsRecordsOrAPIs(t *testing.T) {
	const good = "[{api: Fetch, field: 'Topics[].Partitions[].ErrorCode', kafka: '75', reason: because of a good reason, client: kcat was seen to meet it}]"
	if _, err := parseAllowed([]byte(good)); err != nil {
		t.Fatalf("a good line: %v", err)
	}
	for name, line := range map[string]string{
		"offset":          "{api: Fetch, field: 'Topics[].Partitions[].LogStartOffset', kafka: '0', reason: because of a good reason, client: kcat was seen to meet it}",
		"base offset":     "{api: Produce, field: 'Topics[].Partitions[].BaseOffset', kafka: '0', reason: because of a good reason, client: kcat was seen to meet it}",
		"high watermark":  "{api: Fetch, field: 'Topics[].Partitions[].HighWatermark', kafka: '0', reason: because of a good reason, client: kcat was seen to meet it}",
		"records":         "{api: Fetch, field: 'Topics[].Partitions[].RecordBatches[].Records[].Value', kafka: x, reason: because of a good reason, client: kcat was seen to meet it}",
		"whole batches":   "{api: Fetch, field: 'Topics[].Partitions[].RecordBatches[]', kafka: x, reason: because of a good reason, client: kcat was seen to meet it}",
		"whole API":       "{api: Fetch, field: '*', kafka: x, reason: because of a good reason, client: kcat was seen to meet it}",
		"any outcome":     "{api: Fetch, field: $outcome, kafka: closed, reason: because of a good reason, client: kcat was seen to meet it}",
		"no condition":    "{api: Fetch, field: ErrorCode, reason: because of a good reason, client: kcat was seen to meet it}",
		"no reason":       "{api: Fetch, field: ErrorCode, kafka: '1'}",
		"no client":       "{api: Fetch, field: ErrorCode, kafka: '1', reason: because of a good reason}",
		"any value":       "{api: Fetch, field: ErrorCode, kafka: '.*', reason: because of a good reason, client: kcat was seen to meet it}",
		"no such API":     "{api: Fetsh, field: ErrorCode, kafka: '1', reason: because of a good reason, client: kcat was seen to meet it}",
		"no such key":     "{api: Fetch, feld: ErrorCode, kafka: '1', reason: because of a good reason, client: kcat was seen to meet it}",
		"broken pattern":  "{api: Fetch, field: ErrorCode, kafka: '(', reason: because of a good reason, client: kcat was seen to meet it}",
		"broken versions": "{api: Fetch, field: ErrorCode, versions: a-b, kafka: '1', reason: because of a good reason, client: kcat was seen to meet it}",
	} {
		if _, err := parseAllowed([]byte("[" + line + "]")); !errors.Is(err, ErrAllowed) {
			t.Errorf("%s: %v, want it refused", name, err)
		}
	}
}

// A line explains only the difference that it names, and those that follow from it
// in the same structure.
func TestAnAllowedDifferenceExplainsNoOther(t *testing.T) {
	list, err := parseAllowed([]byte("[{api: Fetch, versions: 9-12, field: 'Topics[].Partitions[].ErrorCode', kafka: '75', zonewise: '0', request: epoch, reason: because of a good reason, client: kcat was seen to meet it}]"))
	if err != nil {
		t.Fatal(err)
	}
	d := func(path, kafka, zonewise string) Difference {
		return Difference{Scenario: "s", Line: 3, Text: "with an epoch", API: "Fetch", Version: 9, Path: path, Kafka: kafka, Zonewise: zonewise}
	}
	code := d("Topics[t].Partitions[000000].ErrorCode", "75", "0")
	beside := d("Topics[t].Partitions[000000].HighWatermark", "-1", "4")
	if rest, used := Split(list, []Difference{code, beside}); len(rest) != 0 || used[0] != 1 {
		t.Errorf("left %v, used %v", rest, used)
	}
	change := func(change func(*Difference)) Difference {
		c := code
		change(&c)
		return c
	}
	for name, other := range map[string]Difference{
		"partition": d("Topics[t].Partitions[000001].HighWatermark", "-1", "4"),
		"code":      d("Topics[t].Partitions[000001].ErrorCode", "74", "0"),
		"value":     d("Topics[t].Partitions[000001].ErrorCode", "75", "3"),
		"version":   change(func(c *Difference) { c.Version = 13 }),
		"API":       change(func(c *Difference) { c.API = "ListOffsets" }),
		"request":   change(func(c *Difference) { c.Text = "without" }),
		"step":      change(func(c *Difference) { c.Line, c.Path = 4, "Topics[t].Partitions[000000].HighWatermark" }),
	} {
		if rest, _ := Split(list, []Difference{code, other}); len(rest) != 1 {
			t.Errorf("another %s: left %v, want it unexplained", name, rest)
		}
	}
	alone := d("Topics[t].Partitions[000000].HighWatermark", "3", "4")
	if rest, _ := Split(list, []Difference{alone}); len(rest) != 1 {
		t.Error("an offset without the code that explains it passed")
	}
}
