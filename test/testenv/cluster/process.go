package cluster

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Process is one program of the cluster. Its methods are called by one
// goroutine at a time.
type Process struct {
	Name string
	Log  string // file with its output, over all restarts
	Zone string
	// Namespace is the network namespace it runs in; "" is the test's own.
	Namespace string

	t       testing.TB
	args    []string
	env     []string
	command *exec.Cmd // nil: it does not run
	ended   chan error
}

// exitTimeout bounds the wait for a process that was asked to end.
const exitTimeout = 60 * time.Second

// Start starts the process; it does not wait until it serves.
func (p *Process) Start() {
	p.t.Helper()
	if p.Running() {
		p.t.Fatalf("start %s: it runs", p.Name)
	}
	p.stop() // it may have ended by itself
	output, err := os.OpenFile(p.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		p.t.Fatal(err)
	}
	defer output.Close()
	fmt.Fprintf(output, "--- %s starts: %v\n", time.Now().Format(time.RFC3339Nano), p.args)
	args := p.args
	if p.Namespace != "" {
		args = append([]string{"ip", "netns", "exec", p.Namespace}, args...)
	}
	command := exec.Command(args[0], args[1:]...)
	command.Stdout, command.Stderr = output, output
	command.Env = p.env
	command.Dir = filepath.Dir(p.Log)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		p.t.Fatalf("start %s: %v", p.Name, err)
	}
	p.command, p.ended = command, make(chan error, 1)
	ended := p.ended
	go func() { ended <- command.Wait() }() // received by await
}

// UseProgram makes the next Start run another build of the program.
func (p *Process) UseProgram(path string) {
	p.t.Helper()
	if p.Running() {
		p.t.Fatalf("replace the program of %s: it runs", p.Name)
	}
	p.args[0] = path
}

// Running reports whether it was started and has not ended.
func (p *Process) Running() bool {
	_, ended := p.exitError()
	return p.command != nil && !ended
}

// Pid is the process's id.
func (p *Process) Pid() int { return p.command.Process.Pid }

// Kill ends it as a crash does.
func (p *Process) Kill() {
	p.t.Helper()
	p.sendSignal(syscall.SIGKILL)
	_ = p.waitExit(exitTimeout) // "killed" is the expected error
}

// Terminate sends SIGTERM, and returns how long the process took to end and its error.
func (p *Process) Terminate() (time.Duration, error) {
	p.t.Helper()
	began := time.Now()
	p.sendSignal(syscall.SIGTERM)
	err := p.waitExit(exitTimeout)
	return time.Since(began), err
}

// Await waits until it ends by itself.
func (p *Process) Await(patience time.Duration) error {
	p.t.Helper()
	return p.waitExit(patience)
}

// Pause suspends it; Resume ends that.
func (p *Process) Pause()  { p.sendSignal(syscall.SIGSTOP) }
func (p *Process) Resume() { p.sendSignal(syscall.SIGCONT) }

func (p *Process) sendSignal(s syscall.Signal) {
	p.t.Helper()
	if p.command == nil {
		p.t.Fatalf("send %v to %s: it does not run", s, p.Name)
	}
	if err := p.command.Process.Signal(s); err != nil {
		p.t.Errorf("send %v to %s: %v", s, p.Name, err)
	}
}

func (p *Process) waitExit(patience time.Duration) error {
	p.t.Helper()
	if p.command == nil {
		return nil
	}
	select {
	case err := <-p.ended:
		p.command = nil
		return err
	case <-time.After(patience):
		_ = p.command.Process.Kill()
		<-p.ended
		p.command = nil
		return fmt.Errorf("%s did not end within %v", p.Name, patience)
	}
}

// exitError reports how it ended, if it ended by itself.
func (p *Process) exitError() (how error, yes bool) {
	if p.command == nil {
		return nil, false
	}
	select {
	case err := <-p.ended:
		p.ended <- err
		return err, true
	default:
		return nil, false
	}
}

// stop ends it, whatever its state.
func (p *Process) stop() {
	if p.command == nil {
		return
	}
	_ = p.command.Process.Kill() // it may be gone
	<-p.ended
	p.command = nil
}

// Tail returns the end of what it printed.
func (p *Process) Tail(bytes int64) string {
	f, err := os.Open(p.Log)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > bytes {
		_, _ = f.Seek(-bytes, io.SeekEnd) // else from the start
	}
	content, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	return string(content)
}
