package kafkaoracle

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	startTimeout = 90 * time.Second // of a JVM on a shared machine
	stopTimeout  = 30 * time.Second
)

// Options are the wishes of a test; the zero value is one broker.
type Options struct {
	Brokers    int               // default 1
	FromZero   bool              // number brokers from 0, as zonewise does; default from 1
	Folder     string            // of the brokers' logs, default t.TempDir()
	HeapMB     int               // of each broker, default 512
	Port       int               // of the first broker, default a free one
	Properties map[string]string // more of server.properties, or other values
	Features   map[string]int    // levels other than the release's; 0: without the feature
	// Each changes the server.properties of one broker, counted from 0; default
	// nil.
	Each func(broker int, properties map[string]string)
}

// Oracle is a running Kafka cluster.
type Oracle struct {
	Bootstrap []string // one address per broker, in the order of node ids

	t         testing.TB
	options   Options
	classPath string
	cluster   string // id
	ports     []int  // of the brokers, then of the controllers
	brokers   []*brokerProcess
}

type brokerProcess struct {
	output  string
	command *exec.Cmd
	ended   chan error // capacity 1: what Wait returned
}

// Start formats and starts a cluster and returns when every broker accepts
// connections. If that fails, the test fails; the cluster is stopped when the test
// ends.
func Start(t testing.TB, o Options) *Oracle {
	t.Helper()
	k := &Oracle{t: t, options: o, cluster: "zonewise-oracle-000001"}
	if k.options.Brokers == 0 {
		k.options.Brokers = 1
	}
	if k.options.HeapMB == 0 {
		k.options.HeapMB = 512
	}
	if k.options.Folder == "" {
		k.options.Folder = t.TempDir()
	}
	var err error
	if k.classPath, err = Classpath(); err != nil {
		t.Fatal(err)
	}
	ports, err := freePorts(2 * k.options.Brokers)
	if err != nil {
		t.Fatal(err)
	}
	if k.options.Port != 0 {
		ports[0] = k.options.Port
	}
	t.Cleanup(k.Stop)
	for i := range k.options.Brokers {
		k.Bootstrap = append(k.Bootstrap, fmt.Sprintf("127.0.0.1:%d", ports[i]))
	}
	k.ports = ports
	for i := range k.options.Brokers {
		p, err := k.launchBroker(i)
		if err != nil {
			t.Fatal(err)
		}
		k.brokers = append(k.brokers, p)
	}
	for i := range k.brokers {
		if err := k.waitReady(i); err != nil {
			t.Fatalf("start kafka broker %d: %v\n%s", i+1, err, k.outputTail(i))
		}
	}
	return k
}

// Pids are the brokers' process ids.
func (k *Oracle) Pids() (all []int) {
	for _, p := range k.brokers {
		all = append(all, p.command.Process.Pid)
	}
	return all
}

// Stop ends the brokers. It may be called more than once.
func (k *Oracle) Stop() {
	for _, p := range k.brokers {
		_ = p.command.Process.Signal(syscall.SIGTERM) // it may be gone
	}
	for _, p := range k.brokers {
		p.waitExit()
	}
	k.brokers = nil
}

// StopBroker ends broker i, counted from 0, and returns when it is gone.
func (k *Oracle) StopBroker(i int) {
	p := k.brokers[i]
	_ = p.command.Process.Signal(syscall.SIGTERM) // it may be gone
	p.waitExit()
	p.ended <- nil // for Stop
}

// StartBroker restarts broker i with its existing folder, and returns when it accepts
// connections.
func (k *Oracle) StartBroker(i int) error {
	p, err := k.launchBroker(i)
	if err != nil {
		return err
	}
	k.brokers[i] = p
	return k.waitReady(i)
}

// Output is the file that broker i, counted from 0, writes its log to.
func (k *Oracle) Output(i int) string { return k.brokers[i].output }

// waitExit returns when the process is gone; if that takes long, it is killed.
func (p *brokerProcess) waitExit() {
	select {
	case <-p.ended:
	case <-time.After(stopTimeout):
		_ = p.command.Process.Kill()
		<-p.ended
	}
}

func (k *Oracle) launchBroker(i int) (*brokerProcess, error) {
	folder := filepath.Join(k.options.Folder, fmt.Sprintf("broker-%d", i+1))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	config := filepath.Join(folder, "server.properties")
	if err := os.WriteFile(config, k.serverProperties(i, folder), 0o644); err != nil {
		return nil, err
	}
	args := []string{"-cp", k.classPath, "kafka.tools.StorageTool", "format", "-t", k.cluster, "-c", config, "--ignore-formatted"}
	for name, level := range k.options.Features {
		args = append(args, "--feature", fmt.Sprintf("%s=%d", name, level))
	}
	format := exec.Command("java", args...)
	if output, err := format.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("format kafka's folder: %w\n%s", err, output)
	}
	p := &brokerProcess{output: filepath.Join(folder, "output.log"), ended: make(chan error, 1)}
	output, err := os.Create(p.output)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	heap := fmt.Sprintf("%dm", k.options.HeapMB)
	// Kafka's own start script sets this collector with these settings.
	p.command = exec.Command("java", "-Xms"+heap, "-Xmx"+heap, "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
		"-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent", "-Djava.awt.headless=true",
		"-Dkafka.logs.dir="+folder, "-cp", k.classPath, "kafka.Kafka", config)
	p.command.Stdout, p.command.Stderr = output, output
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.command.Start(); err != nil {
		return nil, fmt.Errorf("start kafka: %w", err)
	}
	go func() { p.ended <- p.command.Wait() }() // received by wait or await
	return p, nil
}

// serverProperties are Kafka's defaults except for addresses, thread counts for a
// small machine, and the replication of its own topics.
func (k *Oracle) serverProperties(i int, folder string) []byte {
	n, ports, first := k.options.Brokers, k.ports, 1
	if k.options.FromZero {
		first = 0
	}
	var voters []string
	for j := range n {
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", j+first, ports[n+j]))
	}
	replicas, isr := fmt.Sprint(min(n, 3)), fmt.Sprint(max(1, min(n, 3)-1))
	p := map[string]string{
		"process.roles": "broker,controller", "node.id": fmt.Sprint(i + first), "controller.quorum.voters": strings.Join(voters, ","),
		"listeners":            fmt.Sprintf("PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d", ports[i], ports[n+i]),
		"advertised.listeners": fmt.Sprintf("PLAINTEXT://127.0.0.1:%d", ports[i]), "controller.listener.names": "CONTROLLER",
		"inter.broker.listener.name": "PLAINTEXT", "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
		"log.dirs": filepath.Join(folder, "data"), "num.network.threads": "2", "num.io.threads": "4",
		"log.cleaner.dedupe.buffer.size":   "8000000",
		"offsets.topic.replication.factor": replicas, "offsets.topic.num.partitions": "5",
		"transaction.state.log.replication.factor": replicas, "transaction.state.log.min.isr": isr, "transaction.state.log.num.partitions": "5",
		"share.coordinator.state.topic.replication.factor": replicas, "share.coordinator.state.topic.min.isr": isr,
		"share.coordinator.state.topic.num.partitions": "5",
	}
	if n > 1 { // with one broker they are the defaults, and must be shown as such
		p["default.replication.factor"], p["min.insync.replicas"] = replicas, isr
	}
	for key, value := range k.options.Properties {
		p[key] = value
	}
	if k.options.Each != nil {
		k.options.Each(i, p)
	}
	keys := make([]string, 0, len(p))
	for key := range p {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	var b bytes.Buffer
	for _, key := range keys {
		fmt.Fprintf(&b, "%s=%s\n", key, p[key])
	}
	return b.Bytes()
}

// waitReady waits until broker i accepts connections.
func (k *Oracle) waitReady(i int) error {
	p := k.brokers[i]
	deadline := time.Now().Add(startTimeout)
	for {
		c, err := net.DialTimeout("tcp", k.Bootstrap[i], time.Second)
		if err == nil {
			return c.Close()
		}
		select {
		case how := <-p.ended:
			p.ended <- how
			return fmt.Errorf("it ended by itself: %v", how)
		case <-time.After(100 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("it does not listen after %v: %w", startTimeout, err)
		}
	}
}

func (k *Oracle) outputTail(i int) []byte {
	content, err := os.ReadFile(k.brokers[i].output)
	if err != nil {
		return []byte(err.Error())
	}
	return content[max(0, len(content)-4000):]
}

// freePorts finds ports that are free now; a JVM does not accept open listeners.
func freePorts(n int) (ports []int, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close() // all stay open until the last is chosen, so that they differ
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
