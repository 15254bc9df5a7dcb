//go:build external

package external

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zonewise/zonewise/test/testenv/devserver"
	"github.com/zonewise/zonewise/test/testenv/kafkaoracle"
)

// stopPause is added to a stop: a container takes longer to end than a zonewise
// broker. In that time a client of TestFuncAdminListConsumerGroupOffsets notices, by a
// periodic request, that its connection has ended; otherwise its next request gets a
// reset, which the client treats as final.
const stopPause = 2 * time.Second

// restartableBroker is a broker that a suite stops and starts.
type restartableBroker struct {
	address string // its listener
	stop    func() error
	start   func() error
	log     func() ([]byte, error)
}

// fiveAddress is the advertised address of a broker, counted from 0.
func fiveAddress(broker int) string { return fmt.Sprintf("127.0.0.1:%d", 29091+broker) }

// openFive starts five brokers with the node ids 1 to 5 that advertise fiveAddress.
// Those of Kafka have a rack each, named after the id.
func openFive(t *testing.T) (target, []*restartableBroker) {
	t.Helper()
	var on target
	for i := range 5 {
		ln, err := net.Listen("tcp", fiveAddress(i))
		if err != nil {
			t.Fatalf("the suite dials %s, which is taken: %v", fiveAddress(i), err)
		}
		ln.Close()
		on.bootstrap = append(on.bootstrap, fiveAddress(i))
	}
	if os.Getenv("SUITE_TARGET") == "kafka" {
		on.name = "Apache Kafka " + kafkaoracle.Version
		return on, startFiveKafka(t)
	}
	on.name = "zonewise"
	return on, startFiveZonewise(t)
}

// startFiveKafka uses the settings of the suite's containers: brokers use a listener
// between each other that no proxy cuts.
func startFiveKafka(t *testing.T) (brokers []*restartableBroker) {
	t.Helper()
	k := kafkaoracle.Start(t, kafkaoracle.Options{Brokers: 5, HeapMB: 384, Each: func(i int, p map[string]string) {
		p["broker.rack"] = strconv.Itoa(i + 1)
		p["listeners"] += fmt.Sprintf(",INTERNAL://127.0.2.%d:29192", i+1)
		p["advertised.listeners"] = fmt.Sprintf("PLAINTEXT://%s,INTERNAL://127.0.2.%d:29192", fiveAddress(i), i+1)
		p["listener.security.protocol.map"] += ",INTERNAL:PLAINTEXT"
		p["inter.broker.listener.name"] = "INTERNAL"
	}, Properties: map[string]string{"auto.create.topics.enable": "false", "group.initial.rebalance.delay.ms": "0",
		"default.replication.factor": "2", "min.insync.replicas": "1", "offsets.topic.replication.factor": "2",
		"transaction.state.log.replication.factor": "2", "transaction.state.log.min.isr": "1",
		"replica.selector.class": "org.apache.kafka.common.replica.RackAwareReplicaSelector"}})
	for i, address := range k.Bootstrap {
		stopped := false
		stop := func() error {
			if !stopped {
				k.StopBroker(i)
			}
			stopped = true
			return nil
		}
		start := func() error {
			if !stopped {
				return nil
			}
			stopped = false
			return k.StartBroker(i)
		}
		brokers = append(brokers, &restartableBroker{address, stop, start, func() ([]byte, error) { return os.ReadFile(k.Output(i)) }})
	}
	return brokers
}

// startFiveZonewise starts all brokers in one zone: clients of a zone would get ports
// above fiveAddress, which belong to other brokers here; and with more zones than
// replicas a leader need not be the first replica, for which the tests wait. Each
// broker has a loopback address of its own.
func startFiveZonewise(t *testing.T) (brokers []*restartableBroker) {
	t.Helper()
	folder := t.TempDir()
	program := devserver.Program(t, folder)
	etcd := "http://" + freeAddr(t)
	startBackground(t, filepath.Join(folder, "etcd.log"), program, "etcd", "--name", "zone", "--data-dir", filepath.Join(folder, "etcd"), "--client-url", etcd)
	for i := range 5 {
		id, host := strconv.Itoa(i+1), fmt.Sprintf("127.0.2.%d", i+1)
		p := &brokerProcess{log: filepath.Join(folder, "broker-"+id+".log"), ready: "http://" + host + ":29393/readyz",
			program: program, args: []string{"broker", "--zone", "zone", "--etcd", etcd, "--bucket", filepath.Join(folder, "bucket"),
				"--listen", host + ":29192", "--advertise", fiveAddress(i), "--peer", host + ":29292", "--http", host + ":29393", "--broker-id", id,
				"--auto-create-topics=false", "--group-initial-rebalance-delay", "0s", "--log-level", "info"}}
		if err := p.startBroker(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := p.drainBroker(); err != nil {
				t.Errorf("broker %s: %v", id, err)
			}
		})
		brokers = append(brokers, &restartableBroker{address: host + ":29192", stop: p.drainBroker, start: p.startBroker,
			log: func() ([]byte, error) { return os.ReadFile(p.log) }})
	}
	return brokers
}

// brokerProcess is one broker's process.
type brokerProcess struct {
	log, ready string // file, URL
	program    string
	args       []string
	cmd        *exec.Cmd // nil: it does not run
	ended      chan error
}

// startBroker does nothing if it runs.
func (p *brokerProcess) startBroker() error {
	if p.cmd != nil {
		return nil
	}
	output, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer output.Close()
	cmd := exec.Command(p.program, p.args...)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd, p.ended = cmd, make(chan error, 1)
	go func() { p.ended <- cmd.Wait() }()
	for until := time.Now().Add(time.Minute); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
		if resp, err := http.Get(p.ready); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
	}
	text, err := os.ReadFile(p.log)
	return errors.Join(err, fmt.Errorf("the broker is not ready\n%s", text[max(0, len(text)-3000):]))
}

// drainBroker drains it; it does nothing if it does not run.
func (p *brokerProcess) drainBroker() error {
	if p.cmd == nil {
		return nil
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // if it is gone, Wait returns how
	defer func() { p.cmd = nil }()
	select {
	case err := <-p.ended:
		return err
	case <-time.After(time.Minute):
		_ = p.cmd.Process.Kill()
		return fmt.Errorf("it still ran a minute after SIGTERM: %w", <-p.ended)
	}
}

// serveControl serves /stop/kafka-N, /start/kafka-N and /logs/kafka-N, one at a time,
// and returns its URL.
func serveControl(t *testing.T, brokers []*restartableBroker) string {
	t.Helper()
	one := make(chan struct{}, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		one <- struct{}{}
		defer func() { <-one }()
		verb, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		number, err := strconv.Atoi(strings.TrimPrefix(name, "kafka-"))
		if err != nil || number < 1 || number > len(brokers) {
			http.Error(w, "no such broker: "+name, http.StatusNotFound)
			return
		}
		b := brokers[number-1]
		var said []byte
		switch verb {
		case "stop":
			err = b.stop()
			time.Sleep(stopPause)
		case "start":
			err = b.start()
		case "logs":
			said, err = b.log()
		default:
			err = fmt.Errorf("what is %s?", verb)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(said) // curl reports a failure
	}))
	t.Cleanup(s.Close)
	return s.URL
}
