//go:build integration

package integration

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/zonewise/zonewise/s3stream/bucket/s3"
	"github.com/zonewise/zonewise/test/testenv/cluster"
)

// bucketBytes lists the bucket.
func bucketBytes(t *testing.T, c *cluster.Cluster) (bytes int64, byKey map[string]int64) {
	t.Helper()
	config, err := s3.ParseURL(c.S3.URL(""))
	if err != nil {
		t.Fatal(err)
	}
	config.AccessKey, config.SecretKey = c.S3.AccessKey, c.S3.SecretKey
	store, err := s3.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	list, err := store.List(t.Context(), "", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	byKey = map[string]int64{}
	for _, o := range list {
		bytes += o.Size
		byKey[o.Name] = o.Size
	}
	return bytes, byKey
}

// storageRows are the bytes of the three kinds of rows, as a broker reports them.
type storageRows struct{ live, deleted, platform int64 }

func (r storageRows) sum() int64 { return r.live + r.deleted + r.platform }

func readStorageRows(t *testing.T, c *cluster.Cluster) storageRows {
	t.Helper()
	m := c.BrokerMetrics(0)
	of := func(kind string) int64 { return int64(m.Sum("zonewise_bucket_bytes", `of="`+kind+`"`)) }
	return storageRows{of("live"), of("deleted"), of("platform")}
}

// awaitEqualStorage waits until the rows are what a listing finds, while neither
// moves: between two archives that is so for seconds.
func awaitEqualStorage(t *testing.T, c *cluster.Cluster) (storageRows, bool) {
	t.Helper()
	var rows storageRows
	var listed int64
	for deadline := time.Now().Add(90 * time.Second); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		before := readStorageRows(t, c)
		listed, _ = bucketBytes(t, c)
		if rows = readStorageRows(t, c); rows == before && rows.sum() == listed {
			printMeasured(t, "the bucket lists %d bytes: %+v", listed, rows)
			return rows, true
		}
	}
	_, byKey := bucketBytes(t, c)
	t.Errorf("rows %+v are %d bytes, the bucket lists %d: %v", rows, rows.sum(), listed, byKey)
	return rows, false
}

// While nothing moves, the bytes of all rows of storage are those of the bucket's
// listing, at a real S3 server. A deleted topic's bytes stay in its row, under its
// name.
func TestTheRowsOfStorageAreTheBucketsListing(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	for _, topic := range []string{"stays", "goes"} {
		createTopic(t, c, topic, 6, nil)
		l := startLoad(t, c, loadOptions{topic: topic, partitions: 6, perFamily: 3, bytesPerSec: 3e6, recordBytes: 2000})
		time.Sleep(testLength(8*time.Second, 30*time.Second))
		l.stopProducers(t)
		verifyTopic(t, c, topic, l)
	}
	before, _ := awaitEqualStorage(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := kadm.NewClient(newClient(t, c, 0)).DeleteTopic(ctx, "goes"); err != nil {
		t.Fatal(err)
	}
	var after storageRows
	for deadline := time.Now().Add(time.Minute); after.deleted <= before.deleted && time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		after = readStorageRows(t, c)
	}
	if after.deleted <= before.deleted || after.live >= before.live {
		t.Errorf("before the deletion %+v, after it %+v", before, after)
	}
	awaitEqualStorage(t, c)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Second) {
		booked := false
		for _, r := range readCost(t, c, 0, "topic,component").Rows {
			booked = booked || r.Topic == "goes (deleted)" && r.Component == "storage_deleted" && r.Quantity != "0"
		}
		if booked {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the bill has no row of the deleted topic's bytes")
		}
	}
	checkTotals(t, c)
}
