package s3server

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	startTimeout = 20 * time.Second
	stopTimeout  = 5 * time.Second
	healthPath   = "/zonewise-test-health"
)

// Options are the wishes of a test; the zero value will do.
type Options struct {
	Bucket string // default "zonewise-test"
	// Folder holds the data, the default is t.TempDir(). A posix file system with
	// extended attributes.
	Folder string
	Host   string // to listen on, default 127.0.0.1
}

// Server is an S3 server of one test.
type Server struct {
	Endpoint  string // http://HOST:PORT
	Region    string
	AccessKey string
	SecretKey string
	Bucket    string // exists
	AccessLog string // file, one line per request in Amazon's server access log format

	t       testing.TB
	program string
	folder  string
	output  *os.File // what the server prints
	process *exec.Cmd
	ended   chan error // capacity 1: what Wait returned
}

// Start builds the server if need be, starts it, and makes the bucket. The test
// fails if that does not work; the server is stopped when the test ends.
func Start(t testing.TB, options Options) *Server {
	t.Helper()
	program, err := buildProgram(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{
		Region: "us-east-1", AccessKey: "zonewise-test", SecretKey: "zonewise-test-secret",
		Bucket: options.Bucket, t: t, program: program, folder: options.Folder,
	}
	if s.Bucket == "" {
		s.Bucket = "zonewise-test"
	}
	if s.folder == "" {
		s.folder = t.TempDir()
	}
	own := t.TempDir()
	s.AccessLog = filepath.Join(own, "access.log")
	if s.output, err = os.Create(filepath.Join(own, "output.log")); err != nil {
		t.Fatal(err)
	}
	if options.Host == "" {
		options.Host = "127.0.0.1"
	}
	address, err := freeAddress(options.Host)
	if err != nil {
		t.Fatal(err)
	}
	s.Endpoint = "http://" + address
	// A top-level folder is a bucket: that saves a signed request.
	if err := os.MkdirAll(filepath.Join(s.folder, "data", s.Bucket), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Stop()
		_ = s.output.Close()
	})
	s.Restart()
	return s
}

// URL returns the bucket in the form that s3.ParseURL reads; credentials come from
// the environment or the configuration.
func (s *Server) URL(prefix string) string {
	url := "s3://" + s.Bucket + "?endpoint=" + s.Endpoint + "&region=" + s.Region + "&path_style=true"
	if prefix != "" {
		url += "&prefix=" + prefix
	}
	return url
}

// Restart restarts the server after Stop with the same address and data; the access
// log continues. It returns when requests are answered.
func (s *Server) Restart() {
	s.t.Helper()
	if s.process != nil {
		s.t.Fatal("restart s3 server: it runs")
	}
	process := exec.Command(s.program, "--port", s.Endpoint[len("http://"):], "--region", s.Region,
		"--access", s.AccessKey, "--secret", s.SecretKey, "--access-log", s.AccessLog,
		"--health", healthPath, "--quiet", "--keep-alive", "posix", filepath.Join(s.folder, "data"))
	process.Stdout, process.Stderr = s.output, s.output
	process.SysProcAttr = childAttributes()
	process.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.folder}
	if err := process.Start(); err != nil {
		s.t.Fatalf("start s3 server: %v", err)
	}
	s.process, s.ended = process, make(chan error, 1)
	ended := s.ended
	go func() { ended <- process.Wait() }() // waited for by Stop
	if err := s.awaitHealth(); err != nil {
		s.Stop()
		s.t.Fatalf("start s3 server: %v\n%s", err, s.readOutput())
	}
}

// Stop ends the server's process: requests in flight get no response. It may be
// called at any time, also more than once.
func (s *Server) Stop() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(stopTimeout):
		_ = s.process.Process.Kill()
		<-s.ended
	}
	s.process = nil
}

// Pause suspends the server: connections stay open and requests get no response. It
// returns when the last thread has stopped, which is later than the signal.
func (s *Server) Pause() {
	s.t.Helper()
	s.sendSignal(syscall.SIGSTOP)
	for limit := time.Now().Add(startTimeout); !allThreadsStopped(s.process.Process.Pid); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			s.t.Fatalf("the S3 server still runs %v after SIGSTOP", startTimeout)
		}
	}
}

// allThreadsStopped reports whether every thread of a process is stopped (state T in
// /proc/PID/task/TID/stat, after the name in brackets).
func allThreadsStopped(pid int) bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(threads) == 0 {
		return false
	}
	for _, path := range threads {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		if _, state, _ := strings.Cut(string(stat[bytes.LastIndexByte(stat, ')'):]), " "); !strings.HasPrefix(state, "T") {
			return false
		}
	}
	return true
}

// Resume ends a Pause.
func (s *Server) Resume() { s.sendSignal(syscall.SIGCONT) }

func (s *Server) sendSignal(signal os.Signal) {
	s.t.Helper()
	if s.process == nil {
		s.t.Fatalf("send %v to the s3 server: it does not run", signal)
	}
	if err := s.process.Process.Signal(signal); err != nil {
		s.t.Fatalf("send %v to the s3 server: %v", signal, err)
	}
}

func (s *Server) awaitHealth() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Endpoint+healthPath, nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		response, err := client.Do(request)
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("health check says %s", response.Status)
		}
		select {
		case ended := <-s.ended:
			s.ended <- ended
			return fmt.Errorf("it ended by itself: %v", ended)
		case <-ctx.Done():
			return fmt.Errorf("it did not answer within %v: %w", startTimeout, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *Server) readOutput() []byte {
	content, err := os.ReadFile(s.output.Name())
	if err != nil {
		return []byte(err.Error())
	}
	return bytes.TrimSpace(content)
}

// freeAddress finds a port that is free now. The server does not accept an open
// listener, so another process may take the port in between.
func freeAddress(host string) (string, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return listener.Addr().String(), listener.Close()
}
