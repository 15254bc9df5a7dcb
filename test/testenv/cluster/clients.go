package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Client is a running program of test/tools/clients-go.
type Client struct {
	t       testing.TB
	stdin   io.Closer
	out     bytes.Buffer
	errs    bytes.Buffer
	ended   chan error
	command *exec.Cmd
}

// Client starts clients-go in zone z's network (-1: in the test's own). It ends by
// itself, or by Finish.
func (c *Cluster) Client(z int, program string, args ...string) *Client {
	c.t.Helper()
	line := append([]string{program}, args...)
	if z >= 0 {
		line = c.CommandIn(z, line...)
	}
	k := &Client{t: c.t, ended: make(chan error, 1), command: exec.Command(line[0], line[1:]...)}
	k.command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.Folder}
	k.command.Stdout, k.command.Stderr = &k.out, &k.errs
	k.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	in, err := k.command.StdinPipe()
	if err == nil {
		err = k.command.Start()
	}
	if err != nil {
		c.t.Fatalf("start clients-go: %v", err)
	}
	k.stdin = in
	go func() { k.ended <- k.command.Wait() }() // received by Wait or cleanup
	c.t.Cleanup(func() {
		if k.command != nil {
			_ = k.command.Process.Kill()
			<-k.ended
		}
	})
	return k
}

// Finish makes the program finish, and waits for it.
func (k *Client) Finish() error {
	_ = k.stdin.Close() // it may be gone: Wait reports that
	return k.Wait(3 * time.Minute)
}

// Wait waits until it has ended.
func (k *Client) Wait(patience time.Duration) error {
	select {
	case err := <-k.ended:
		k.command = nil
		if err != nil {
			return fmt.Errorf("clients-go: %w: %s", err, strings.TrimSpace(k.errs.String()))
		}
		return nil
	case <-time.After(patience):
		return fmt.Errorf("clients-go did not end within %v: %s", patience, k.errs.String())
	}
}

// Lines decodes its output, one JSON object per line.
func (k *Client) Lines(each func(line []byte) error) {
	k.t.Helper()
	for line := range strings.Lines(k.out.String()) {
		if err := each([]byte(line)); err != nil {
			k.t.Fatalf("read %q of clients-go: %v", line, err)
		}
	}
}

// ProducerResult is clients-go's output for a producer.
type ProducerResult struct {
	Producer string         `json:"producer"`
	Family   string         `json:"family"`
	Acked    int64          `json:"acked"`
	Failed   int64          `json:"failed"`
	Bytes    int64          `json:"bytes"`
	Errors   map[string]int `json:"errors"`
	PauseMs  float64        `json:"longest_pause_ms"`
	P50Ms    float64        `json:"p50_ms"`
	P99Ms    float64        `json:"p99_ms"`
	MaxMs    float64        `json:"max_ms"`
}

// ProducerResults decodes the lines of a produce run.
func (k *Client) ProducerResults() (all []ProducerResult) {
	k.t.Helper()
	k.Lines(func(line []byte) error {
		var p ProducerResult
		if err := json.Unmarshal(line, &p); err != nil {
			return err
		}
		all = append(all, p)
		return nil
	})
	return all
}
