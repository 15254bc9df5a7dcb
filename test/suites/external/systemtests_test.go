//go:build external

package external

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/zonewise/zonewise/test/testenv/cluster"
	"github.com/zonewise/zonewise/test/testenv/kafkaoracle"
)

//go:embed pom.xml
var mainsPOM []byte

// systemTests runs programs of Kafka's jars against a cluster of real processes.
type systemTests struct {
	t       *testing.T
	c       *cluster.Cluster
	classes string
	folder  string
	result  suiteResult
}

// Kafka's own system-test programs, which verify their results themselves:
// exactly-once Streams while brokers are killed, the Streams smoke test, transactional
// copiers, verifiable clients, and what a client of this version expects of a
// cluster. SUITE_RUN selects parts, separated by commas; TransactionsCommand needs the
// copiers before it, MirrorMaker needs Connect.
func TestMains(t *testing.T) {
	classes, err := kafkaoracle.Jars(mainsPOM)
	if err != nil {
		t.Fatal(err)
	}
	m := &systemTests{t: t, c: cluster.Start(t, cluster.Options{}), classes: classes, folder: t.TempDir()}
	m.runPart("StreamsEosTest with kill -9 of a broker every 20 s", m.runStreamsEOS)
	m.runPart("StreamsSmokeTest", m.runStreamsSmoke)
	m.runPart("TransactionalMessageCopier", m.runCopiers)
	m.runPart("TransactionsCommand", m.runTransactionsCommand)
	m.runPart("ConnectDistributed, exactly once, with kill -9 of a worker", m.runConnect)
	m.runPart("MirrorMaker", m.runMirrorMaker)
	m.runPart("VerifiableProducer and VerifiableConsumer", m.runVerifiable)
	m.runPart("ClientCompatibilityTest", m.runCompatibility)
	m.runPart("EndToEndLatency", m.runLatency)
	section, least := "mains", 9
	if run := os.Getenv("SUITE_RUN"); run != "" {
		section, least = "mains "+run, 1
	}
	writeReport(t, section, "Apache Kafka "+kafkaoracle.Version+" system-test programs, Streams EOS for "+envDuration().String(), target{name: "zonewise"}, m.result)
	checkResult(t, m.result, least)
}

func envDuration() time.Duration {
	d, err := time.ParseDuration(envOr("SUITE_DURATION", "2m"))
	if err != nil {
		return 2 * time.Minute
	}
	return d
}

func (m *systemTests) runPart(name string, run func() error) {
	only := os.Getenv("SUITE_RUN")
	if only != "" && !slices.ContainsFunc(strings.Split(only, ","), func(part string) bool { return strings.Contains(name, part) }) {
		m.result.skipped = append(m.result.skipped, name+": SUITE_RUN="+only)
		return
	}
	began := time.Now()
	if err := run(); err != nil {
		m.result.failed = append(m.result.failed, fmt.Sprintf("%s: %v", name, err))
		m.t.Errorf("%s: %v", name, err)
		return
	}
	m.result.passed++
	m.t.Logf("%s passed in %.0f s", name, time.Since(began).Seconds())
}

// createTopics creates topics with five partitions.
func (m *systemTests) createTopics(names ...string) error {
	k, err := kgo.NewClient(kgo.SeedBrokers(m.c.ZoneBootstrap(0)...))
	if err != nil {
		return err
	}
	defer k.Close()
	_, err = kadm.NewClient(k).CreateTopics(context.Background(), 5, -1, nil, names...)
	return err
}

// bootstrapOf is the address list of a zone.
func (m *systemTests) bootstrapOf(zone int) string { return strings.Join(m.c.ZoneBootstrap(zone), ",") }

// javaProgram is one Java process with its whole output.
type javaProgram struct {
	cmd    *exec.Cmd
	mu     sync.Mutex // guards out
	out    bytes.Buffer
	exited chan error
}

func (p *javaProgram) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *javaProgram) outputText() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

func (m *systemTests) startProgram(class string, args ...string) *javaProgram {
	p := &javaProgram{cmd: exec.Command("java", append([]string{"-Xmx384m", "-cp", m.classes, "org.apache.kafka." + class}, args...)...), exited: make(chan error, 1)}
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Dir = p, p, m.folder
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		p.exited <- err
		return p
	}
	go func() { p.exited <- p.cmd.Wait() }()
	m.t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may be gone
		keepMore(m.t, fmt.Sprintf("%s-%d", class, p.cmd.Process.Pid), p.outputText())
	})
	return p
}

// terminate sends SIGTERM, and waits.
func (p *javaProgram) terminate(patience time.Duration) error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	return p.waitExit(patience)
}

func (p *javaProgram) waitExit(patience time.Duration) error {
	select {
	case err := <-p.exited:
		return err
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		return errors.Join(fmt.Errorf("still runs after %v", patience), <-p.exited)
	}
}

// outputTail is the end of a program's output, for errors.
func (p *javaProgram) outputTail() string {
	text := p.outputText()
	return text[max(0, len(text)-1500):]
}

func (m *systemTests) writeProperties(name string, zone int, state string) string {
	path := filepath.Join(m.folder, name)
	text := fmt.Sprintf("bootstrap.servers=%s\nprocessing.guarantee=exactly_once_v2\nreplication.factor=3\nstate.dir=%s\n", m.bootstrapOf(zone), filepath.Join(m.folder, state))
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
	return path
}

// runStreamsEOS runs two Streams processes in two zones while brokers die and one
// process is killed and restarted; Kafka's own verifier decides.
func (m *systemTests) runStreamsEOS() error {
	const class = "streams.tests.StreamsEosTest"
	if err := m.createTopics("data", "echo", "min", "max", "sum", "cnt", "repartition"); err != nil {
		return err
	}
	first := m.startProgram(class, m.writeProperties("eos-0", 0, "eos-state-0"), "process")
	second := m.startProgram(class, m.writeProperties("eos-1", 1, "eos-state-1"), "process")
	source := m.startProgram(class, m.writeProperties("eos-2", 2, "eos-state-2"), "run")
	until := time.Now().Add(envDuration())
	for i := 0; time.Now().Before(until); i++ {
		time.Sleep(19 * time.Second)
		m.c.Brokers[i%3].Kill()
		time.Sleep(time.Second)
		m.c.Brokers[i%3].Start()
		m.c.Ready(m.c.Brokers[i%3])
		if i == 2 {
			_ = second.cmd.Process.Kill()
			<-second.exited
			second = m.startProgram(class, m.writeProperties("eos-1", 1, "eos-state-1"), "process")
		}
	}
	if err := source.terminate(2 * time.Minute); err != nil && !strings.Contains(source.outputText(), "Terminated") {
		return fmt.Errorf("source: %w\n%s", err, source.outputTail())
	}
	time.Sleep(15 * time.Second) // for records in the pipeline
	for i, p := range []*javaProgram{first, second} {
		if err := p.terminate(2 * time.Minute); err != nil && p.cmd.ProcessState.ExitCode() != 143 {
			return fmt.Errorf("process %d: %w\n%s", i, err, p.outputTail())
		}
	}
	verify := m.startProgram(class, m.writeProperties("eos-3", 0, "eos-state-3"), "verify")
	err := verify.waitExit(5 * time.Minute)
	if out := verify.outputText(); err != nil || !strings.Contains(out, "ALL-RECORDS-DELIVERED") {
		return fmt.Errorf("verify: %v\n%s", err, verify.outputTail())
	}
	return nil
}

func (m *systemTests) runStreamsSmoke() error {
	const class = "streams.tests.StreamsSmokeTest"
	if err := m.createTopics("echo-smoke", "min-suppressed", "min-raw", "sws-raw", "sws-suppressed", "dif", "avg", "wcnt", "tagg"); err != nil {
		return err
	}
	if err := m.renewTopics("data", "echo", "min", "max", "sum", "cnt"); err != nil {
		return err
	}
	process := m.startProgram(class, m.writeProperties("smoke-0", 0, "smoke-state-0"), "process")
	run := m.startProgram(class, m.writeProperties("smoke-1", 1, "smoke-state-1"), "run")
	err := run.waitExit(8 * time.Minute)
	_ = process.terminate(time.Minute) // its exit status does not matter
	if out := run.outputText(); err != nil || !strings.Contains(out, "SUCCESS") {
		return fmt.Errorf("%v\n%s", err, run.outputTail())
	}
	return nil
}

// renewTopics deletes topics and creates them again.
func (m *systemTests) renewTopics(names ...string) error {
	k, err := kgo.NewClient(kgo.SeedBrokers(m.c.ZoneBootstrap(0)...))
	if err != nil {
		return err
	}
	defer k.Close()
	if _, err := kadm.NewClient(k).DeleteTopics(context.Background(), names...); err != nil {
		return err
	}
	return m.createTopics(names...)
}

// runCopiers copy a topic with transactions, a part of them aborted, in two
// processes; a read_committed reader then finds each value once.
func (m *systemTests) runCopiers() error {
	const messages = 5000
	if err := m.createTopics("copy-in", "copy-out"); err != nil {
		return err
	}
	k, err := kgo.NewClient(kgo.SeedBrokers(m.c.ZoneBootstrap(2)...), kgo.DefaultProduceTopic("copy-in"))
	if err != nil {
		return err
	}
	defer k.Close()
	for i := range messages {
		k.Produce(context.Background(), kgo.StringRecord(fmt.Sprint(i)), nil)
	}
	if err := k.Flush(context.Background()); err != nil {
		return err
	}
	var copiers []*javaProgram
	for p := range 5 {
		copiers = append(copiers, m.startProgram("tools.TransactionalMessageCopier", "--broker-list", m.bootstrapOf(p%3), "--input-topic", "copy-in", "--input-partition", fmt.Sprint(p),
			"--output-topic", "copy-out", "--transactional-id", fmt.Sprintf("copier-%d", p), "--transaction-size", "100", "--consumer-group", fmt.Sprintf("copiers-%d", p), "--enable-random-aborts", "--use-group-metadata"))
	}
	for _, p := range copiers {
		if err := p.waitExit(4 * time.Minute); err != nil {
			return fmt.Errorf("copier: %w\n%s", err, p.outputTail())
		}
	}
	return exactlyOnce(m.c, "copy-out", messages)
}

// exactlyOnce reads a topic's committed records up to its end.
func exactlyOnce(c *cluster.Cluster, topic string, want int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	k, err := kgo.NewClient(kgo.SeedBrokers(c.ZoneBootstrap(1)...), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return err
	}
	defer k.Close()
	seen := map[string]int{}
	for quiet := 0; quiet < 5 && ctx.Err() == nil; quiet++ {
		poll, stop := context.WithTimeout(ctx, time.Second)
		k.PollFetches(poll).EachRecord(func(r *kgo.Record) {
			seen[string(r.Value)]++
			quiet = 0
		})
		stop()
	}
	for v, n := range seen {
		if n != 1 {
			return fmt.Errorf("%s has %q %d times", topic, v, n)
		}
	}
	if len(seen) != want {
		return fmt.Errorf("%s has %d values, want %d", topic, len(seen), want)
	}
	return nil
}

// runVerifiable lets Kafka's verifiable clients exchange records, in a group of each
// protocol.
func (m *systemTests) runVerifiable() error {
	const messages = 20_000
	if err := m.createTopics("verifiable"); err != nil {
		return err
	}
	for _, protocol := range []string{"classic", "consumer"} {
		consumer := m.startProgram("tools.VerifiableConsumer", "--bootstrap-server", m.bootstrapOf(1), "--topic", "verifiable", "--group-id", "verifiable-"+protocol,
			"--group-protocol", protocol, "--max-messages", fmt.Sprint(messages), "--reset-policy", "earliest")
		producer := m.startProgram("tools.VerifiableProducer", "--bootstrap-server", m.bootstrapOf(0), "--topic", "verifiable", "--max-messages", fmt.Sprint(messages), "--acks", "-1")
		if err := producer.waitExit(3 * time.Minute); err != nil {
			return fmt.Errorf("producer: %w\n%s", err, producer.outputTail())
		}
		if n := strings.Count(producer.outputText(), `"producer_send_success"`); n != messages {
			return fmt.Errorf("%d of %d records acknowledged\n%s", n, messages, producer.outputTail())
		}
		if err := consumer.waitExit(3 * time.Minute); err != nil {
			return fmt.Errorf("consumer of the %s protocol: %w\n%s", protocol, err, consumer.outputTail())
		}
		if n := consumedBy(consumer.outputText()); n < messages {
			return fmt.Errorf("consumer of the %s protocol: %d of %d records", protocol, n, messages)
		}
	}
	return nil
}

// consumedBy sums the records that a verifiable consumer reports as consumed.
func consumedBy(output string) (n int) {
	for line := range strings.Lines(output) {
		var said struct {
			Name  string `json:"name"`
			Count int    `json:"count"`
		}
		if json.Unmarshal([]byte(line), &said) == nil && said.Name == "records_consumed" {
			n += said.Count
		}
	}
	return n
}

func (m *systemTests) runCompatibility() error {
	p := m.startProgram("tools.ClientCompatibilityTest", "--bootstrap-server", m.bootstrapOf(0), "--topic", "compatibility", "--num-cluster-nodes", "3",
		"--offsets-for-times-supported", "true", "--cluster-id-supported", "true", "--expect-record-too-large-exception", "false", "--create-topics-supported", "true",
		"--describe-acls-supported", "false", "--describe-configs-supported", "true", "--idempotent-producer-supported", "true")
	if err := p.waitExit(2 * time.Minute); err != nil {
		return fmt.Errorf("%w\n%s", err, p.outputTail())
	}
	return nil
}

func (m *systemTests) runLatency() error {
	p := m.startProgram("tools.EndToEndLatency", m.bootstrapOf(0), "end-to-end", "500", "all", "1024")
	if err := p.waitExit(3 * time.Minute); err != nil {
		return fmt.Errorf("%w\n%s", err, p.outputTail())
	}
	m.t.Log(p.outputTail())
	return nil
}
