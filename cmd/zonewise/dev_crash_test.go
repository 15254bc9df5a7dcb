package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// asProgram has this test binary be zonewise with the arguments in it, for tests
// that kill it.
const asProgram = "ZONEWISE_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if args := os.Getenv(asProgram); args != "" {
		os.Exit(program(nil, os.Stdout, os.Stderr).Main(context.Background(), strings.Split(args, "\n")))
	}
	os.Exit(m.Run())
}

// rawAsk sends one request over a connection of its own, and returns the body of
// the answer. It tries to connect until somebody listens.
func rawAsk(t *testing.T, addr string, req kmsg.Request, resp kmsg.Response) {
	t.Helper()
	var conn net.Conn
	var err error
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		if conn, err = net.Dial("tcp", addr); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(kmsg.NewRequestFormatter(kmsg.FormatterClientID("x")).AppendRequest(nil, req, 1)); err != nil {
		t.Fatal(err)
	}
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		t.Fatalf("%T: %v", req, err)
	}
	body := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(conn, body); err != nil {
		t.Fatal(err)
	}
	head := 4
	if req.IsFlexible() {
		head++
	}
	resp.SetVersion(req.GetVersion())
	if err := resp.ReadFrom(body[head:]); err != nil {
		t.Fatal(err)
	}
}

// Whoever reaches a dev that was killed and started again finds all groups
// coordinated, by who says so.
func TestDevThatWasKilledCoordinatesItsGroupsWhenItAnswers(t *testing.T) {
	o := devOptionsOf(t, t.TempDir(), 3)
	args := []string{"dev", "--data-dir", o.dataDir, "--kafka-port", fmt.Sprint(o.kafkaPort), "--http-port", fmt.Sprint(o.httpPort)}
	for life := range 3 {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), asProgram+"="+strings.Join(args, "\n"))
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		asked := kmsg.NewPtrFindCoordinatorRequest()
		asked.Version = 4
		for i := range 60 {
			asked.CoordinatorKeys = append(asked.CoordinatorKeys, fmt.Sprint("g", i))
		}
		found := kmsg.NewPtrFindCoordinatorResponse()
		rawAsk(t, fmt.Sprintf("127.0.0.1:%d", o.kafkaPort), asked, found)
		for _, f := range found.Coordinators {
			if f.ErrorCode != 0 {
				t.Errorf("life %d: coordinator of %s: error %d", life, f.Key, f.ErrorCode)
				continue
			}
			fetch, got := kmsg.NewPtrOffsetFetchRequest(), kmsg.NewPtrOffsetFetchResponse()
			fetch.Version, fetch.Group = 7, f.Key
			rawAsk(t, fmt.Sprintf("%s:%d", f.Host, f.Port), fetch, got)
			if got.ErrorCode != 0 {
				t.Errorf("life %d: positions of %s at broker %d: error %d", life, f.Key, f.NodeID, got.ErrorCode)
			}
		}
		if err := c.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = c.Wait() // "killed" is what was asked for
		if t.Failed() {
			return
		}
	}
}
