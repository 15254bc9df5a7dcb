//go:build integration

package integration

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/zonewise/zonewise/test/testenv/cluster"
)

// costReport is the response of /api/v1/cost.
type costReport struct {
	AsOf   int64     `json:"as_of_revision"`
	Rows   []costRow `json:"rows"`
	Meters []costRow `json:"meters"`
	Total  string    `json:"total_nano_usd"`
	GapsMs int64     `json:"gaps_ms"`
}

type costRow struct {
	Topic     string `json:"topic"`
	Component string `json:"component"`
	Meter     string `json:"meter"`
	Src       string `json:"src_zone"`
	Dst       string `json:"dst_zone"`
	Quantity  string `json:"quantity"`
	Unit      string `json:"unit"`
	NanoUSD   string `json:"nano_usd"`
}

func parseBigInt(t *testing.T, text string) *big.Int {
	t.Helper()
	n, ok := new(big.Int).SetString(text, 10)
	if !ok {
		t.Fatalf("%q is no number", text)
	}
	return n
}

func (r costRow) quantityValue(t *testing.T) int64 { return parseBigInt(t, r.Quantity).Int64() }

// readCost requests broker i's cost report, like `zonewise cost`.
func readCost(t *testing.T, c *cluster.Cluster, i int, by string) (out costReport) {
	t.Helper()
	c.GetJSON(i, "/api/v1/cost?window=1h&by="+by, &out)
	return out
}

const nanoRequests = 1_000_000_000

// billedRequests counts the billed requests by S3 operation.
func billedRequests(t *testing.T, of costReport) map[string]int64 {
	t.Helper()
	operation := map[string]string{"s3_put": "put", "put_hedge": "put", "platform_put": "put", "s3_get": "get", "platform_get": "get",
		"platform_list": "list", "s3_delete": "delete"}
	nano := map[string]*big.Int{}
	for _, r := range of.Rows {
		if op := operation[r.Component]; op != "" {
			if nano[op] == nil {
				nano[op] = new(big.Int)
			}
			nano[op].Add(nano[op], parseBigInt(t, r.Quantity))
		}
	}
	out := map[string]int64{}
	for op, n := range nano {
		whole, rest := new(big.Int).QuoRem(n, big.NewInt(nanoRequests), new(big.Int))
		if rest.Sign() != 0 {
			t.Errorf("%s: %s nano-requests are no whole number of requests", op, n)
		}
		out[op] = whole.Int64()
	}
	return out
}

// loggedRequests counts the requests that the S3 server answered with 2xx or 4xx, and
// the others as faults.
func loggedRequests(t *testing.T, c *cluster.Cluster) (counts map[string]int64, faults int) {
	t.Helper()
	counts = map[string]int64{}
	for _, r := range c.S3.Requests() {
		if r.Status/100 != 2 && r.Status/100 != 4 {
			faults++
			continue
		}
		switch {
		case r.Operation == "PutObject":
			counts["put"]++
		case r.Operation == "GetObject", r.Operation == "GetBucketVersioning":
			counts["get"]++
		case strings.HasPrefix(r.Operation, "ListObjects"):
			counts["list"]++
		case strings.HasPrefix(r.Operation, "DeleteObject"):
			counts["delete"]++
		default:
			t.Errorf("the S3 server got a request %s %s", r.Operation, r.Key)
		}
	}
	return counts, faults
}

func TestTheBillAddsUpAndEqualsTheS3ServersCount(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	createTopic(t, c, "bill", 6, nil)
	l := startLoad(t, c, loadOptions{topic: "bill", partitions: 6, perFamily: 3, bytesPerSec: 3e6, recordBytes: 2000})
	time.Sleep(testLength(15*time.Second, 60*time.Second))
	l.stopProducers(t)
	verifyTopic(t, c, "bill", l)

	// Brokers report their counts every ten seconds, and an archive is written every
	// ten: between the two, both sides are equal.
	var want, got map[string]int64
	var faults int
	equal := false
	for deadline := time.Now().Add(90 * time.Second); !equal && time.Now().Before(deadline); time.Sleep(150 * time.Millisecond) {
		before, _ := loggedRequests(t, c)
		got = billedRequests(t, readCost(t, c, 0, "topic,component"))
		want, faults = loggedRequests(t, c)
		equal = maps.Equal(got, want) && maps.Equal(before, want)
	}
	printMeasured(t, "requests by operation: billed %v, in the S3 server's access log %v (2xx and 4xx; %d others apart)", got, want, faults)
	if !equal {
		t.Errorf("billed %v requests, the S3 server logged %v", got, want)
	}
	checkTotals(t, c)
}

// checkTotals compares the CLI's report and the page with the meters, at one revision.
func checkTotals(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	for range 50 {
		page := string(c.Get(0, "/"))
		text, stderr, err := c.Run("cost", "--by", "topic,component", "--format", "json", "--server", c.HTTP(0))
		if err != nil {
			t.Fatalf("zonewise cost: %v: %s", err, stderr)
		}
		var report costReport
		if err := json.Unmarshal([]byte(text), &report); err != nil {
			t.Fatal(err)
		}
		rows, meters := new(big.Int), new(big.Int)
		for _, r := range report.Rows {
			rows.Add(rows, parseBigInt(t, r.NanoUSD))
		}
		for _, m := range report.Meters {
			meters.Add(meters, parseBigInt(t, m.NanoUSD))
		}
		if total := parseBigInt(t, report.Total); rows.Cmp(total) != 0 || meters.Cmp(total) != 0 {
			t.Fatalf("at revision %d rows sum to %s, meters to %s, the total is %s nano-dollars", report.AsOf, rows, meters, total)
		}
		at, shown := findGroup(page, `revision (\d+)`), findGroup(page, `exactly ([\d.,]+) USD`)
		if at == "" || shown == "" {
			t.Fatalf("the page does not say its revision (%q) or its total (%q)", at, shown)
		}
		if at != fmt.Sprint(report.AsOf) {
			continue // an entry came in between: repeat
		}
		if parseBigInt(t, strings.NewReplacer(".", "", ",", "").Replace(shown)).Cmp(parseBigInt(t, report.Total)) != 0 {
			t.Errorf("the page shows a total of %s USD, the report has %s nano-dollars", shown, report.Total)
		}
		printMeasured(t, "as of revision %d: %d rows sum to %s nano-dollars, so do %d meters; the page shows %s", report.AsOf, len(report.Rows), rows, len(report.Meters), shown)
		return
	}
	t.Error("page and report were never of the same revision")
}

// findGroup returns the match of a pattern's group, or "".
func findGroup(text, pattern string) string {
	if m := regexp.MustCompile(pattern).FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}
