//go:build clients

package clients

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// line is a line that a client printed; its fields determine its kind.
type line struct {
	Client   string            `json:"client"`
	Version  string            `json:"version"`
	Ack      *int              `json:"ack"`
	Failed   *int              `json:"failed"`
	Error    string            `json:"error"` // of a failed record
	Event    string            `json:"event"` // of a registry: elected, put, got, not-leader
	Name     string            `json:"name"`
	Text     string            `json:"text"`
	Assigned *[]int32          `json:"assigned"`
	Closed   bool              `json:"closed"`
	Refresh  int               `json:"refresh"`
	Leaders  map[string]string `json:"leaders"`
	Brokers  []string          `json:"brokers"`

	Partition int32    `json:"partition"`
	Offset    *int64   `json:"offset"`
	Key       []byte   `json:"key"`
	Value     []byte   `json:"value"`
	Headers   []header `json:"headers"`
}

func parseJSON(text string) (*line, error) {
	l := &line{}
	return l, json.Unmarshal([]byte(text), l)
}

// clientProcess is a running client.
type clientProcess struct {
	name  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines chan *line // closed when both outputs have ended
	ended chan error // gets one value

	mu         sync.Mutex
	out        bytes.Buffer // standard output, without long parts
	err        bytes.Buffer
	parseError error // a line that could not be read
}

// outputFormat parses a program's output: lines without a function are kept for the log.
type outputFormat struct {
	stdout func(text string) (*line, error)
	stderr func(text string) (*line, error)
}

var jsonOutput = outputFormat{stdout: parseJSON}

func startProcess(t *testing.T, name string, how outputFormat, command ...string) *clientProcess {
	t.Helper()
	s := &clientProcess{name: name, cmd: exec.Command(command[0], command[1:]...), lines: make(chan *line, 1<<14), ended: make(chan error, 1)}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdin, err := s.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.stdin = stdin
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill() }) // if a test failed half-way; otherwise it has ended
	var wg sync.WaitGroup
	wg.Go(func() { s.readLines(stdout, &s.out, how.stdout) })
	wg.Go(func() { s.readLines(stderr, &s.err, how.stderr) })
	go func() {
		wg.Wait()
		s.ended <- s.cmd.Wait()
		close(s.lines)
	}()
	return s
}

func (s *clientProcess) readLines(from io.Reader, log *bytes.Buffer, parse func(string) (*line, error)) {
	in := bufio.NewScanner(from)
	in.Buffer(nil, 16<<20)
	for in.Scan() {
		text := in.Text()
		s.mu.Lock()
		fmt.Fprintf(log, "%.300s\n", text)
		s.mu.Unlock()
		if parse == nil {
			continue
		}
		l, err := parse(text)
		if err != nil {
			s.mu.Lock()
			s.parseError = fmt.Errorf("line %.300q: %w", text, err)
			s.mu.Unlock()
		} else if l != nil {
			s.lines <- l
		}
	}
	_, _ = io.Copy(io.Discard, from) // after a line that is too long; the client must not block
}

// outputText returns its output, for a failure.
func (s *clientProcess) outputText() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	tail := func(b *bytes.Buffer) string {
		lines := strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
		return strings.Join(lines[max(0, len(lines)-120):], "\n")
	}
	return fmt.Sprintf("--- %s\n%s\n--- its output (end)\n%s\n--- its errors (end)\n%s", s.name, strings.Join(s.cmd.Args, " "), tail(&s.out), tail(&s.err))
}

// waitExit waits for its end and returns the lines that were not read yet.
func (s *clientProcess) waitExit(t *testing.T, limit time.Duration) []*line {
	t.Helper()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	var rest []*line
	for {
		select {
		case l, more := <-s.lines:
			if more {
				rest = append(rest, l)
				continue
			}
			if err := <-s.ended; err != nil {
				t.Fatalf("%v\n%s", err, s.outputText())
			}
			s.mu.Lock()
			bad := s.parseError
			s.mu.Unlock()
			if bad != nil {
				t.Fatalf("%v\n%s", bad, s.outputText())
			}
			return rest
		case <-timer.C:
			_ = s.cmd.Process.Signal(syscall.SIGQUIT) // JVM and Go print their stacks
			time.Sleep(time.Second)
			t.Fatalf("still runs after %v\n%s", limit, s.outputText())
		}
	}
}

// runToEnd starts a client, gives it its input and waits for its end.
func runToEnd(t *testing.T, name string, how outputFormat, input []byte, command ...string) []*line {
	t.Helper()
	s := startProcess(t, name, how, command...)
	go func() { // ends with the input, or with the client
		_, _ = s.stdin.Write(input)
		_ = s.stdin.Close()
	}()
	return s.waitExit(t, 2*time.Minute)
}
