//go:build clients

package clients

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/zonewise/zonewise/test/testenv/devserver"
	"github.com/zonewise/zonewise/test/testenv/kafkaoracle"
)

const (
	purgeParts   = 6
	purgeShort   = 20 * time.Second
	purgeRecords = 500  // a second
	purgeBytes   = 1024 // of a record
	purgeGap     = 500  // ms, the most between two records of a partition in a long run
)

// TestStreamsPurge has Kafka Streams count records behind a repartition topic, which
// it purges with DeleteRecords every second: everything is counted once, the log
// starts follow, what is stored stays small, and the bytes are deleted. It prints the
// times between the records of a partition. PURGE_DURATION=10m is the long form, which
// fails for a gap of more than 500 ms; PURGE_GUARANTEE=exactly_once_v2 and
// SUITE_TARGET=kafka are for comparison.
func TestStreamsPurge(t *testing.T) {
	cp, err := streamsClassPath()
	skipIfMissing(t, "java", err)
	duration, strict := purgeShort, false
	if v := os.Getenv("PURGE_DURATION"); v != "" {
		if duration, err = time.ParseDuration(v); err != nil {
			t.Fatal(err)
		}
		strict = true
	}
	guarantee := os.Getenv("PURGE_GUARANTEE")
	if guarantee == "" {
		guarantee = "at_least_once"
	}
	var bootstrap string
	var dev *devserver.Dev
	if os.Getenv("SUITE_TARGET") == "kafka" {
		bootstrap = kafkaoracle.Start(t, kafkaoracle.Options{}).Bootstrap[0]
	} else {
		dev = devserver.Start(t, "--retention-check-interval", "1s", "--delete-grace", "5s", "--recovery-base-interval", "5s")
		bootstrap = dev.Bootstrap(0)
	}
	c, err := kgo.NewClient(kgo.SeedBrokers(bootstrap))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	admin := kadm.NewClient(c)
	// What was read of the input is deleted, too, and the counts have no changelog: an object
	// stays as long as it has one live record of any topic.
	if _, err := admin.CreateTopic(t.Context(), purgeParts, -1, nil, "purge-in"); err != nil {
		t.Fatal(err)
	}
	watch := watchPurged(t, admin, "purge-app-purged-repartition")
	out := runProgramFor(t, duration+3*time.Minute, javaCommand(cp, "Purge"), bootstrap, "purge-in", "purge-app", fmt.Sprint(int(duration.Seconds())), fmt.Sprint(purgeRecords),
		fmt.Sprint(purgeBytes), "1000", "500", guarantee)
	seen := watch()
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "gap") || strings.HasPrefix(line, "delay") || strings.HasPrefix(line, "sent") {
			fmt.Printf("    purge: %s", line)
		}
	}
	m := regexp.MustCompile(`(?m)^sent (\d+), counted (\d+) \(\d+ updates\) in (\d+) partitions$`).FindStringSubmatch(out)
	g := regexp.MustCompile(`(?m)^gap ms: .* max ([0-9.]+)$`).FindStringSubmatch(out)
	if m == nil || g == nil {
		t.Fatalf("no summary:\n%s", out)
	}
	if m[1] != m[2] || m[3] != fmt.Sprint(purgeParts) {
		t.Errorf("%s: not every record was counted once, in %d partitions", m[0], purgeParts)
	}
	if gap, err := strconv.ParseFloat(g[1], 64); err != nil || strict && gap > purgeGap {
		t.Errorf("a partition had no record for %s ms (%v), want at most %d", g[1], err, purgeGap)
	}
	sent, _ := strconv.ParseInt(m[1], 10, 64) // digits only
	fmt.Printf("    purge: log start moved in %d of %d looks; at the end %d of %d records deleted; at most %d records between start and end\n", seen.moved, seen.looks, seen.deleted, sent, seen.most)
	if seen.backwards > 0 {
		t.Errorf("a log start moved backwards %d times", seen.backwards)
	}
	if seen.deleted < sent/2 || seen.moved < seen.looks/3 {
		t.Errorf("the log starts did not follow: %+v of %d records", seen, sent)
	}
	if dev != nil {
		if _, err := admin.DeleteTopics(t.Context(), "purge-in", "purge-app-purged-repartition"); err != nil { // what was not purged
			t.Fatal(err)
		}
		waitDeleted(t, dev, sent*purgeBytes/4) // of two copies; what is written last goes a minute later
	}
}

// purged is what was seen of the log starts of a topic.
type purged struct{ looks, moved, backwards, deleted, most int64 }

// watchPurged looks at a topic's log starts each second, and deletes what was read of
// the input, until the function that it returns is called.
func watchPurged(t *testing.T, admin *kadm.Client, topic string) func() purged {
	ctx, cancel := context.WithCancel(t.Context())
	var p purged
	done := make(chan struct{})
	go func() {
		defer close(done)
		last := map[int32]int64{}
		for ; ctx.Err() == nil; time.Sleep(time.Second) {
			if read, err := admin.FetchOffsets(ctx, "purge-app"); err == nil {
				input := read.Offsets()
				for name := range input {
					if name != "purge-in" {
						delete(input, name) // Streams does that
					}
				}
				if _, err := admin.DeleteRecords(ctx, input); err != nil && ctx.Err() == nil {
					t.Errorf("delete what was read: %v", err)
				}
			}
			starts, err := admin.ListStartOffsets(ctx, topic)
			ends, endErr := admin.ListEndOffsets(ctx, topic)
			if err != nil || endErr != nil || starts.Error() != nil || ends.Error() != nil {
				continue // it is not created yet
			}
			var sum, between, before int64
			for part, s := range starts[topic] {
				if s.Offset < last[part] {
					p.backwards++
				}
				before += last[part]
				last[part] = s.Offset
				sum += s.Offset
				between += ends[topic][part].Offset - s.Offset
			}
			p.looks, p.deleted, p.most = p.looks+1, sum, max(p.most, between)
			if sum > before {
				p.moved++
			}
		}
	}()
	return func() purged {
		cancel()
		<-done
		return p
	}
}

// waitDeleted waits until the brokers have deleted a number of bytes from the bucket.
func waitDeleted(t *testing.T, d *devserver.Dev, want int64) {
	t.Helper()
	var got float64
	for until := time.Now().Add(90 * time.Second); time.Now().Before(until); time.Sleep(time.Second) {
		if got = readMetric(t, d, "zonewise_garbage_deleted_bytes_total"); int64(got) >= want {
			fmt.Printf("    purge: %.1f MB of objects deleted\n", got/1e6)
			return
		}
	}
	t.Errorf("%.0f bytes were deleted from the bucket, want at least %d\n%s", got, want, d.Tail())
}

// readMetric is the sum of a metric's series at all brokers.
func readMetric(t *testing.T, d *devserver.Dev, name string) (sum float64) {
	t.Helper()
	series := regexp.MustCompile(`(?m)^` + name + `(?:\{.*\})? (\S+)$`)
	for _, zone := range []string{"dev-a", "dev-b", "dev-c"} {
		resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/%s/metrics", d.HTTP(), zone))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range series.FindAllStringSubmatch(string(text), -1) {
			v, err := strconv.ParseFloat(m[1], 64)
			if err != nil {
				t.Fatal(err)
			}
			sum += v
		}
	}
	return sum
}

// streamsClassPath is the class path of Kafka Streams and of our program.
func streamsClassPath() (string, error) {
	if err := requirePrograms("java", "javac", "mvn"); err != nil {
		return "", err
	}
	folder, _, err := installTool("clients-streams", []string{"pom.xml", "Purge.java", "log4j2.properties"}, func(folder, tool string) error {
		libs, classes := filepath.Join(folder, "libs"), filepath.Join(folder, "classes")
		if err := runCommand(tool, "mvn", "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+libs); err != nil {
			return err
		}
		if err := runCommand(tool, "javac", "-encoding", "UTF-8", "-cp", filepath.Join(libs, "*"), "-d", classes, "Purge.java"); err != nil {
			return err
		}
		return runCommand(tool, "cp", "log4j2.properties", classes)
	})
	if err != nil {
		return "", err
	}
	return filepath.Join(folder, "classes") + ":" + filepath.Join(folder, "libs", "*"), nil
}
