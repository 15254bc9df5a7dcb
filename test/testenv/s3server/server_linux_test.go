package s3server

import (
	"os/exec"
	"syscall"
	"testing"
	"time"
)

func TestStoppedIsWhatWasStopped(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // returns that it was killed
	})
	pid := cmd.Process.Pid
	if allThreadsStopped(pid) {
		t.Error("a process that runs is taken for a stopped one")
	}
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for limit := time.Now().Add(10 * time.Second); !allThreadsStopped(pid); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("a stopped process is not seen to be")
		}
	}
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for limit := time.Now().Add(10 * time.Second); allThreadsStopped(pid); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("a process that goes on is taken for a stopped one")
		}
	}
}
