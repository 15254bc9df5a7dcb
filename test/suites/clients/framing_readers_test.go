//go:build clients

package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/zonewise/zonewise/test/framing"
	"github.com/zonewise/zonewise/test/testenv/devserver"
	"github.com/zonewise/zonewise/test/testenv/kafkaoracle"
)

// framingReader reads partitions of framedTopic. One consumer reads the partitions of
// a group; if one of them cannot be read, each gets its own consumer.
type framingReader struct {
	name string
	read func(t *testing.T, bootstrap string, groups [][]int) map[int]string
}

// readersOfFramings are Java, librdkafka and franz-go.
func readersOfFramings(t *testing.T) []framingReader {
	t.Helper()
	classes, err := kafkaoracle.Classpath()
	skipIfMissing(t, "Apache Kafka", err)
	python, err := pythonProgram("clients-python", "framings.py")
	skipIfMissing(t, "librdkafka", err)
	root, err := devserver.Repository()
	if err != nil {
		t.Fatal(err)
	}
	java := javaCommand(classes, filepath.Join(root, "test", "tools", "clients-java", "Framings.java"))
	return []framingReader{{"Java", programReads(java)}, {"librdkafka", programReads(python)}, {"franz-go", franzReads}}
}

// together splits partitions into groups of n.
func together(partitions []int, n int) (groups [][]int) {
	for len(partitions) > 0 {
		k := min(n, len(partitions))
		groups, partitions = append(groups, partitions[:k]), partitions[k:]
	}
	return groups
}

// whole reports whether a result is all records without an error.
func whole(found string) bool {
	count, sum, ok := strings.Cut(found, " records, ")
	return ok && count == strconv.Itoa(framing.Records) && len(sum) == 8
}

// programReads lets a program read partitions; it prints the result of each.
func programReads(command []string) func(*testing.T, string, [][]int) map[int]string {
	return func(t *testing.T, bootstrap string, groups [][]int) (found map[int]string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		args := append(append([]string(nil), command[1:]...), bootstrap, framedTopic)
		for _, g := range groups {
			args = append(args, strings.Trim(strings.ReplaceAll(fmt.Sprint(g), " ", ","), "[]"))
		}
		cmd := exec.CommandContext(ctx, command[0], args...)
		var errs strings.Builder
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err == nil {
			err = json.Unmarshal(out, &found)
		}
		if err != nil {
			t.Fatalf("%s: %v\n%s\n%s", command[0], err, out, errs.String())
		}
		return found
	}
}

// franzReads reads with franz-go.
func franzReads(t *testing.T, bootstrap string, groups [][]int) map[int]string {
	t.Helper()
	found := map[int]string{}
	for _, g := range groups {
		part := franzReadsTogether(t, bootstrap, g)
		for _, p := range g {
			if len(g) > 1 && !whole(part[p]) {
				part[p] = franzReadsTogether(t, bootstrap, []int{p})[p]
			}
			found[p] = part[p]
		}
	}
	return found
}

func franzReadsTogether(t *testing.T, bootstrap string, partitions []int) map[int]string {
	t.Helper()
	from := map[int32]kgo.Offset{}
	for _, p := range partitions {
		from[int32(p)] = kgo.NewOffset().AtStart()
	}
	c, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{framedTopic: from}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	counts, sums, n, failed := map[int]int{}, map[int]uint32{}, 0, error(nil)
	for n < framing.Records*len(partitions) && failed == nil {
		fetches := c.PollFetches(ctx)
		failed = fetches.Err()
		fetches.EachRecord(func(r *kgo.Record) {
			n++
			counts[int(r.Partition)]++
			sums[int(r.Partition)] = crc32.Update(sums[int(r.Partition)], crc32.IEEETable, r.Value)
		})
	}
	found := map[int]string{}
	for _, p := range partitions {
		found[p] = fmt.Sprintf("%d records, %08x", counts[p], sums[p])
		if counts[p] < framing.Records && failed != nil {
			found[p] += ": " + failed.Error()
		}
	}
	return found
}
