//go:build clients

package clients

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/zonewise/zonewise/test/testenv/devserver"
)

// kcatWords adapts kcat to the scenario. kcat creates no topics: franz-go creates the
// topic that needs several partitions; kcat itself only creates a topic on first use
// (firstUse).
type kcatWords struct{ d *devserver.Dev }

func kcatClient(t *testing.T, d *devserver.Dev) {
	out, err := exec.Command("kcat", "-V").CombinedOutput()
	if err != nil {
		t.Fatalf("kcat -V: %v\n%s", err, out)
	}
	fmt.Printf("    kcat: %s\n", strings.Join(regexp.MustCompile(`Version [0-9.]+|librdkafka [0-9.]+`).FindAllString(string(out), 2), ", "))
	w := kcatWords{d}
	t.Run("scenario", func(t *testing.T) {
		runScenario(t, d, clientSpec{name: "kcat", codecs: everyCodec, idempotence: bothKinds, dropsOnLeave: true}, w)
	})
	t.Run("leaders", func(t *testing.T) { kcatLeaders(t, d) })
	t.Run("first-use", func(t *testing.T) { firstUse(t, d, w) })
}

func (kcatWords) textOnly() bool { return true }

func (kcatWords) skipsIncompressible() bool { return false }

func (w kcatWords) createTopic(t *testing.T, bootstrap, topic string) {
	c, err := kgo.NewClient(kgo.SeedBrokers(bootstrap))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := kadm.NewClient(c).CreateTopic(t.Context(), partitions, -1, nil, topic); err != nil {
		t.Fatal(err)
	}
}

// produceRecords runs kcat once per partition, codec and kind. kcat does not report
// offsets; its output with -d feature,msg must not have the line with which
// librdkafka reports that it does not use a codec.
func (w kcatWords) produceRecords(t *testing.T, bootstrap, topic string, orders []recordSpec) map[int]recordPosition {
	type run struct {
		produceMode
		partition int32
	}
	inputs := map[run]*bytes.Buffer{}
	var runs []run
	for _, o := range orders {
		r := run{produceMode{o.Codec, o.Idempotent}, o.Partition}
		if inputs[r] == nil {
			inputs[r] = &bytes.Buffer{}
			runs = append(runs, r)
		}
		fmt.Fprintf(inputs[r], "%s\t%s\n", o.Key, o.Value)
	}
	for _, r := range runs {
		args := []string{"-b", bootstrap, "-t", topic, "-P", "-p", strconv.Itoa(int(r.partition)), "-z", r.codec, "-K", `\t`, "-d", "feature,msg",
			"-X", "acks=all", "-X", "client.id=suite-kcat", "-X", "enable.idempotence=" + strconv.FormatBool(r.idempotent)}
		for _, h := range orders[0].Headers {
			args = append(args, "-H", h.Name+"="+string(h.Value))
		}
		cmd := exec.Command("kcat", args...)
		cmd.Stdin = inputs[r]
		out, err := cmd.CombinedOutput()
		if err != nil || strings.Contains(string(out), "does not support") {
			t.Fatalf("kcat %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}

var rebalanced = regexp.MustCompile(`^% Group \S+ rebalanced \([^)]*\): (assigned|revoked|incremental\S*):?(.*)$`)
var inBrackets = regexp.MustCompile(`\[(\d+)\]`)

// kcatStderr reads assignments: "% Group g rebalanced (memberid m): assigned: t [0], t [1]".
func kcatStderr(text string) (*line, error) {
	m := rebalanced.FindStringSubmatch(text)
	if m == nil {
		return nil, nil
	}
	have := []int32{}
	if m[1] == "assigned" {
		for _, p := range inBrackets.FindAllStringSubmatch(m[2], -1) {
			n, err := strconv.Atoi(p[1])
			if err != nil {
				return nil, err
			}
			have = append(have, int32(n))
		}
	}
	return &line{Assigned: &have}, nil
}

// kcatStdout reads a record as -J writes it.
func kcatStdout(text string) (*line, error) {
	var r struct {
		Partition int32    `json:"partition"`
		Offset    int64    `json:"offset"`
		Key       *string  `json:"key"`
		Payload   *string  `json:"payload"`
		Headers   []string `json:"headers"`
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return nil, err
	}
	l := &line{Partition: r.Partition, Offset: &r.Offset}
	if r.Key != nil {
		l.Key = []byte(*r.Key)
	}
	if r.Payload != nil {
		l.Value = []byte(*r.Payload)
	}
	for k := 0; k+1 < len(r.Headers); k += 2 {
		l.Headers = append(l.Headers, header{r.Headers[k], []byte(r.Headers[k+1])})
	}
	return l, nil
}

// joinGroup starts kcat -G, which commits what it has printed periodically, and when
// it is asked to end.
func (w kcatWords) joinGroup(t *testing.T, bootstrap, topic, group string) *groupMember {
	s := startProcess(t, "kcat -G at "+bootstrap, outputFormat{kcatStdout, kcatStderr}, "kcat", "-b", bootstrap, "-G", group, "-J", "-u",
		"-X", "auto.offset.reset=earliest", "-X", "client.id=suite-kcat", topic)
	return &groupMember{clientProcess: s, leave: func() error { return s.cmd.Process.Signal(syscall.SIGTERM) }, last: map[int32]int64{}}
}

// kcatLeaders requests the metadata with -L, through each zone's bootstrap.
func kcatLeaders(t *testing.T, d *devserver.Dev) {
	for zone := range devserver.Zones {
		out, err := exec.Command("kcat", "-b", d.Bootstrap(zone), "-L", "-J", "-t", "topic-of-kcat").Output()
		if err != nil {
			t.Fatalf("kcat -L: %v\n%s", err, out)
		}
		var found struct {
			Brokers []struct {
				ID   int    `json:"id"`
				Name string `json:"name"`
			} `json:"brokers"`
			Topics []struct {
				Partitions []struct {
					Leader int `json:"leader"`
				} `json:"partitions"`
			} `json:"topics"`
		}
		if err := json.Unmarshal(out, &found); err != nil {
			t.Fatalf("kcat -L: %v\n%s", err, out)
		}
		at := map[int]string{}
		for _, b := range found.Brokers {
			at[b.ID] = b.Name
		}
		if len(found.Topics) != 1 || len(found.Topics[0].Partitions) != partitions {
			t.Fatalf("kcat -L at zone %d: %s", zone, out)
		}
		for p, q := range found.Topics[0].Partitions {
			if at[q.Leader] != d.Bootstrap(zone) {
				t.Errorf("zone %d: partition %d is led by %s, want %s", zone, p, at[q.Leader], d.Bootstrap(zone))
			}
		}
	}
}

// firstUse produces to a topic that does not exist, in one zone, and reads it in
// another.
func firstUse(t *testing.T, d *devserver.Dev, w kcatWords) {
	var orders []recordSpec
	for _, o := range makeRecords(produceMode{"zstd", true}, 0, 20, true) {
		o.Partition = 0
		orders = append(orders, o)
	}
	w.produceRecords(t, d.Bootstrap(2), "made-by-kcat", orders)
	left := checkStored(t, d, "made-by-kcat", orders)
	m := &groupMember{last: map[int32]int64{}}
	m.clientProcess = startProcess(t, "kcat -C", outputFormat{stdout: kcatStdout}, "kcat", "-b", d.Bootstrap(1), "-t", "made-by-kcat", "-C", "-e", "-J")
	for _, l := range m.waitExit(t, closeLimit) {
		m.handleLine(t, l, left)
	}
	if len(left) > 0 {
		t.Errorf("%d of %d records were not read", len(left), len(orders))
	}
}
