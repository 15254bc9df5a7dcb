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

	"github.com/zonewise/zonewise/internal/testenv/cluster"
	"github.com/zonewise/zonewise/internal/testenv/kafkaoracle"
)

//go:embed pom.xml
var mainsPOM []byte

// mains runs programs of Kafka's jars against a cluster of real processes.
type mains struct {
	t       *testing.T
	c       *cluster.Cluster
	classes string
	folder  string
	v       verdicts
}

// Kafka's own system-test programs, each its own judge: exactly-once Streams
// while brokers are killed, the Streams smoke test, transactional copiers,
// verifiable clients, and what a client of this version expects of a cluster.
// SUITE_RUN chooses parts, divided by commas; TransactionsCommand wants the
// copiers, MirrorMaker wants Connect before it.
func TestMains(t *testing.T) {
	classes, err := kafkaoracle.Jars(mainsPOM)
	if err != nil {
		t.Fatal(err)
	}
	m := &mains{t: t, c: cluster.Start(t, cluster.Options{}), classes: classes, folder: t.TempDir()}
	m.judge("StreamsEosTest with kill -9 of a broker every 20 s", m.streamsEOS)
	m.judge("StreamsSmokeTest", m.streamsSmoke)
	m.judge("TransactionalMessageCopier", m.copiers)
	m.judge("TransactionsCommand", m.transactions)
	m.judge("ConnectDistributed, exactly once, with kill -9 of a worker", m.connect)
	m.judge("MirrorMaker", m.mirror)
	m.judge("VerifiableProducer and VerifiableConsumer", m.verifiable)
	m.judge("ClientCompatibilityTest", m.compatibility)
	m.judge("EndToEndLatency", m.latency)
	section, least := "mains", 9
	if run := os.Getenv("SUITE_RUN"); run != "" {
		section, least = "mains "+run, 1
	}
	publish(t, section, "Apache Kafka "+kafkaoracle.Version+" system-test programs, Streams EOS for "+duration().String(), target{name: "zonewise"}, m.v)
	judge(t, m.v, least)
}

func duration() time.Duration {
	d, err := time.ParseDuration(setting("SUITE_DURATION", "2m"))
	if err != nil {
		return 2 * time.Minute
	}
	return d
}

func (m *mains) judge(name string, run func() error) {
	only := os.Getenv("SUITE_RUN")
	if only != "" && !slices.ContainsFunc(strings.Split(only, ","), func(part string) bool { return strings.Contains(name, part) }) {
		m.v.skipped = append(m.v.skipped, name+": SUITE_RUN="+only)
		return
	}
	began := time.Now()
	if err := run(); err != nil {
		m.v.failed = append(m.v.failed, fmt.Sprintf("%s: %v", name, err))
		m.t.Errorf("%s: %v", name, err)
		return
	}
	m.v.passed++
	m.t.Logf("%s passed in %.0f s", name, time.Since(began).Seconds())
}

// topics makes topics of five partitions.
func (m *mains) topics(names ...string) error {
	k, err := kgo.NewClient(kgo.SeedBrokers(m.c.ZoneBootstrap(0)...))
	if err != nil {
		return err
	}
	defer k.Close()
	_, err = kadm.NewClient(k).CreateTopics(context.Background(), 5, -1, nil, names...)
	return err
}

// bootstrap is the address list of a zone.
func (m *mains) bootstrap(zone int) string { return strings.Join(m.c.ZoneBootstrap(zone), ",") }

// program is one Java process; its output is kept whole.
type program struct {
	cmd    *exec.Cmd
	mu     sync.Mutex // guards out
	out    bytes.Buffer
	exited chan error
}

func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *program) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

func (m *mains) start(class string, args ...string) *program {
	p := &program{cmd: exec.Command("java", append([]string{"-Xmx384m", "-cp", m.classes, "org.apache.kafka." + class}, args...)...), exited: make(chan error, 1)}
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Dir = p, p, m.folder
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		p.exited <- err
		return p
	}
	go func() { p.exited <- p.cmd.Wait() }()
	m.t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may be gone
		keepMore(m.t, fmt.Sprintf("%s-%d", class, p.cmd.Process.Pid), p.output())
	})
	return p
}

// end asks a program to end, and waits.
func (p *program) end(patience time.Duration) error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	return p.wait(patience)
}

func (p *program) wait(patience time.Duration) error {
	select {
	case err := <-p.exited:
		return err
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		return errors.Join(fmt.Errorf("still runs after %v", patience), <-p.exited)
	}
}

// tail is the end of a program's output, for errors.
func (p *program) tail() string {
	text := p.output()
	return text[max(0, len(text)-1500):]
}

func (m *mains) properties(name string, zone int, state string) string {
	path := filepath.Join(m.folder, name)
	text := fmt.Sprintf("bootstrap.servers=%s\nprocessing.guarantee=exactly_once_v2\nreplication.factor=3\nstate.dir=%s\n", m.bootstrap(zone), filepath.Join(m.folder, state))
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
	return path
}

// streamsEOS runs two Streams processes in two zones while brokers die, one
// process is killed and started again, and Kafka's own verifier has the say.
func (m *mains) streamsEOS() error {
	const class = "streams.tests.StreamsEosTest"
	if err := m.topics("data", "echo", "min", "max", "sum", "cnt", "repartition"); err != nil {
		return err
	}
	first := m.start(class, m.properties("eos-0", 0, "eos-state-0"), "process")
	second := m.start(class, m.properties("eos-1", 1, "eos-state-1"), "process")
	source := m.start(class, m.properties("eos-2", 2, "eos-state-2"), "run")
	until := time.Now().Add(duration())
	for i := 0; time.Now().Before(until); i++ {
		time.Sleep(19 * time.Second)
		m.c.Brokers[i%3].Kill9()
		time.Sleep(time.Second)
		m.c.Brokers[i%3].Start()
		m.c.Ready(m.c.Brokers[i%3])
		if i == 2 {
			_ = second.cmd.Process.Kill()
			<-second.exited
			second = m.start(class, m.properties("eos-1", 1, "eos-state-1"), "process")
		}
	}
	if err := source.end(2 * time.Minute); err != nil && !strings.Contains(source.output(), "Terminated") {
		return fmt.Errorf("source: %w\n%s", err, source.tail())
	}
	time.Sleep(15 * time.Second) // what is in the pipeline
	for i, p := range []*program{first, second} {
		if err := p.end(2 * time.Minute); err != nil && p.cmd.ProcessState.ExitCode() != 143 {
			return fmt.Errorf("process %d: %w\n%s", i, err, p.tail())
		}
	}
	verify := m.start(class, m.properties("eos-3", 0, "eos-state-3"), "verify")
	err := verify.wait(5 * time.Minute)
	if out := verify.output(); err != nil || !strings.Contains(out, "ALL-RECORDS-DELIVERED") {
		return fmt.Errorf("verify: %v\n%s", err, verify.tail())
	}
	return nil
}

func (m *mains) streamsSmoke() error {
	const class = "streams.tests.StreamsSmokeTest"
	if err := m.topics("echo-smoke", "min-suppressed", "min-raw", "sws-raw", "sws-suppressed", "dif", "avg", "wcnt", "tagg"); err != nil {
		return err
	}
	if err := m.renewTopics("data", "echo", "min", "max", "sum", "cnt"); err != nil {
		return err
	}
	process := m.start(class, m.properties("smoke-0", 0, "smoke-state-0"), "process")
	run := m.start(class, m.properties("smoke-1", 1, "smoke-state-1"), "run")
	err := run.wait(8 * time.Minute)
	_ = process.end(time.Minute) // its end is no part of the verdict
	if out := run.output(); err != nil || !strings.Contains(out, "SUCCESS") {
		return fmt.Errorf("%v\n%s", err, run.tail())
	}
	return nil
}

// renewTopics deletes topics and makes them again.
func (m *mains) renewTopics(names ...string) error {
	k, err := kgo.NewClient(kgo.SeedBrokers(m.c.ZoneBootstrap(0)...))
	if err != nil {
		return err
	}
	defer k.Close()
	if _, err := kadm.NewClient(k).DeleteTopics(context.Background(), names...); err != nil {
		return err
	}
	return m.topics(names...)
}

// copiers copy a topic with transactions, a part of them aborted, in two
// processes; a reader of committed records then finds each value once.
func (m *mains) copiers() error {
	const messages = 5000
	if err := m.topics("copy-in", "copy-out"); err != nil {
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
	var copiers []*program
	for p := range 5 {
		copiers = append(copiers, m.start("tools.TransactionalMessageCopier", "--broker-list", m.bootstrap(p%3), "--input-topic", "copy-in", "--input-partition", fmt.Sprint(p),
			"--output-topic", "copy-out", "--transactional-id", fmt.Sprintf("copier-%d", p), "--transaction-size", "100", "--consumer-group", fmt.Sprintf("copiers-%d", p), "--enable-random-aborts", "--use-group-metadata"))
	}
	for _, p := range copiers {
		if err := p.wait(4 * time.Minute); err != nil {
			return fmt.Errorf("copier: %w\n%s", err, p.tail())
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

// verifiable has Kafka's verifiable clients exchange records, in a group of
// each protocol.
func (m *mains) verifiable() error {
	const messages = 20_000
	if err := m.topics("verifiable"); err != nil {
		return err
	}
	for _, protocol := range []string{"classic", "consumer"} {
		consumer := m.start("tools.VerifiableConsumer", "--bootstrap-server", m.bootstrap(1), "--topic", "verifiable", "--group-id", "verifiable-"+protocol,
			"--group-protocol", protocol, "--max-messages", fmt.Sprint(messages), "--reset-policy", "earliest")
		producer := m.start("tools.VerifiableProducer", "--bootstrap-server", m.bootstrap(0), "--topic", "verifiable", "--max-messages", fmt.Sprint(messages), "--acks", "-1")
		if err := producer.wait(3 * time.Minute); err != nil {
			return fmt.Errorf("producer: %w\n%s", err, producer.tail())
		}
		if n := strings.Count(producer.output(), `"producer_send_success"`); n != messages {
			return fmt.Errorf("%d of %d records acknowledged\n%s", n, messages, producer.tail())
		}
		if err := consumer.wait(3 * time.Minute); err != nil {
			return fmt.Errorf("consumer of the %s protocol: %w\n%s", protocol, err, consumer.tail())
		}
		if n := consumedBy(consumer.output()); n < messages {
			return fmt.Errorf("consumer of the %s protocol: %d of %d records", protocol, n, messages)
		}
	}
	return nil
}

// consumedBy sums what a verifiable consumer says that it consumed.
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

func (m *mains) compatibility() error {
	p := m.start("tools.ClientCompatibilityTest", "--bootstrap-server", m.bootstrap(0), "--topic", "compatibility", "--num-cluster-nodes", "3",
		"--offsets-for-times-supported", "true", "--cluster-id-supported", "true", "--expect-record-too-large-exception", "false", "--create-topics-supported", "true",
		"--describe-acls-supported", "false", "--describe-configs-supported", "true", "--idempotent-producer-supported", "true")
	if err := p.wait(2 * time.Minute); err != nil {
		return fmt.Errorf("%w\n%s", err, p.tail())
	}
	return nil
}

func (m *mains) latency() error {
	p := m.start("tools.EndToEndLatency", m.bootstrap(0), "end-to-end", "500", "all", "1024")
	if err := p.wait(3 * time.Minute); err != nil {
		return fmt.Errorf("%w\n%s", err, p.tail())
	}
	m.t.Log(p.tail())
	return nil
}
