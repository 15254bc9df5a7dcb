//go:build external

package external

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// workerConfig is a Connect worker in distributed mode, exactly once.
const workerConfig = `bootstrap.servers=%s
group.id=connect-cluster
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.storage.StringConverter
offset.storage.topic=connect-offsets
offset.storage.replication.factor=3
offset.storage.partitions=5
config.storage.topic=connect-configs
config.storage.replication.factor=3
status.storage.topic=connect-status
status.storage.replication.factor=3
offset.flush.interval.ms=2000
scheduled.rebalance.max.delay.ms=5000
exactly.once.source.support=enabled
plugin.discovery=service_load
listeners=HTTP://%s
`

const connectLines = 5000

// runConnect runs two workers in two zones: a file is copied through a topic into
// another file, exactly once; then one worker is killed and more lines follow.
func (m *systemTests) runConnect() error {
	in, out := filepath.Join(m.folder, "connect-in.txt"), filepath.Join(m.folder, "connect-out.txt")
	if err := os.WriteFile(in, numberedLines(0, connectLines), 0o644); err != nil {
		return err
	}
	var workers []*javaProgram
	var at []string
	for zone := range 2 {
		address, err := freeAddress()
		if err != nil {
			return err
		}
		config := filepath.Join(m.folder, fmt.Sprintf("connect-%d.properties", zone))
		if err := os.WriteFile(config, fmt.Appendf(nil, workerConfig, m.bootstrapOf(zone), address), 0o644); err != nil {
			return err
		}
		workers, at = append(workers, m.startProgram("connect.cli.ConnectDistributed", config)), append(at, address)
	}
	put := func(name, config string) error { return putConnector(at[0], name, config) }
	err := errors.Join(put("source", `{"connector.class":"org.apache.kafka.connect.file.FileStreamSourceConnector","tasks.max":"1","file":"`+in+`","topic":"lines"}`),
		put("sink", `{"connector.class":"org.apache.kafka.connect.file.FileStreamSinkConnector","tasks.max":"1","file":"`+out+`","topics":"lines","consumer.override.isolation.level":"read_committed"}`))
	if err != nil {
		return fmt.Errorf("%w\n%s", err, workers[0].outputTail())
	}
	if err := awaitLines(out, connectLines); err != nil {
		return fmt.Errorf("%w\n%s", err, workers[0].outputTail())
	}
	_ = workers[1].cmd.Process.Kill()
	f, err := os.OpenFile(in, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(numberedLines(connectLines, 2*connectLines))
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := awaitLines(out, 2*connectLines); err != nil {
		return fmt.Errorf("after a worker was killed: %w\n%s", err, workers[0].outputTail())
	}
	_ = workers[0].terminate(time.Minute) // its exit status does not matter
	return exactlyOnce(m.c, "lines", 2*connectLines)
}

func numberedLines(from, to int) []byte {
	var b bytes.Buffer
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "line %d\n", i)
	}
	return b.Bytes()
}

func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}

// putConnector configures a connector as soon as a worker responds.
func putConnector(worker, name, config string) error {
	var last error
	for until := time.Now().Add(2 * time.Minute); time.Now().Before(until); time.Sleep(500 * time.Millisecond) {
		r, err := http.NewRequest(http.MethodPut, "http://"+worker+"/connectors/"+name+"/config", strings.NewReader(config))
		if err != nil {
			return err
		}
		r.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			last = err
			continue
		}
		body, _ := io.ReadAll(resp.Body) // for the error text only
		resp.Body.Close()
		if resp.StatusCode/100 == 2 {
			return nil
		}
		last = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return fmt.Errorf("configure connector %s: %w", name, last)
}

// awaitLines waits until a sink's file has every line; a sink may write some
// twice when its worker dies, a source may not.
func awaitLines(path string, want int) error {
	distinct := 0
	for until := time.Now().Add(3 * time.Minute); time.Now().Before(until); time.Sleep(500 * time.Millisecond) {
		body, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		seen := map[string]bool{}
		for line := range strings.Lines(string(body)) {
			seen[line] = true
		}
		if distinct = len(seen); distinct >= want {
			return nil
		}
	}
	return fmt.Errorf("%s has %d of %d lines", path, distinct, want)
}

// runMirrorMaker copies the lines to a topic of another name, as between two clusters.
func (m *systemTests) runMirrorMaker() error {
	config := filepath.Join(m.folder, "mirror.properties")
	text := fmt.Sprintf("clusters = A, B\nA.bootstrap.servers = %s\nB.bootstrap.servers = %s\nA->B.enabled = true\nA->B.topics = lines\nreplication.factor = 3\n"+
		"sync.topic.acls.enabled = false\nemit.checkpoints.interval.seconds = 3\nsync.group.offsets.enabled = true\n", m.bootstrapOf(0), m.bootstrapOf(2))
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return err
	}
	p := m.startProgram("connect.mirror.MirrorMaker", config)
	defer func() { _ = p.terminate(time.Minute) }()
	var err error
	for until := time.Now().Add(3 * time.Minute); time.Now().Before(until); {
		if err = exactlyOnce(m.c, "A.lines", 2*connectLines); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%w\n%s", err, p.outputTail())
}

// runTransactionsCommand runs Kafka's tool on the copiers' transactional ids.
func (m *systemTests) runTransactionsCommand() error {
	for _, ask := range []struct{ args, want []string }{
		{[]string{"list"}, []string{"copier-0", "copier-4"}},
		{[]string{"describe", "--transactional-id", "copier-1"}, []string{"copier-1", "TransactionState"}},
		{[]string{"describe-producers", "--topic", "copy-out", "--partition", "0"}, []string{"ProducerId"}},
	} {
		p := m.startProgram("tools.TransactionsCommand", append([]string{"--bootstrap-server", m.bootstrapOf(1)}, ask.args...)...)
		if err := p.waitExit(time.Minute); err != nil {
			return fmt.Errorf("%v: %w\n%s", ask.args, err, p.outputTail())
		}
		for _, w := range ask.want {
			if !strings.Contains(p.outputText(), w) {
				return fmt.Errorf("%v does not name %q:\n%s", ask.args, w, p.outputTail())
			}
		}
	}
	return nil
}
