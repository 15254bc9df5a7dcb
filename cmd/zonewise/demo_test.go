package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/zonewise/zonewise/dashboards"
	"github.com/zonewise/zonewise/internal/cli"
)

func TestDevWithDemoHasTrafficInEveryZoneAndEndsWell(t *testing.T) {
	o := devOptionsOf(t, t.TempDir(), 2)
	o.demo, o.log = true, logOptions{level: "warn", format: "text"}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, lines lockedBuffer
	ended := make(chan error, 1)
	go func() { ended <- runDev(ctx, o, cli.Env{Stdout: &out, Stderr: &lines}) }()
	server := &serverOption{url: fmt.Sprintf("http://127.0.0.1:%d", o.httpPort)}
	busy := func() bool {
		var c dashboards.Cluster
		if server.getJSON(ctx, "/api/v1/zones", &c) != nil || len(c.Topics) != len(demoTopics()) {
			return false
		}
		for _, t := range c.Topics {
			if t.Records == 0 {
				return false
			}
		}
		return true
	}
	for end := time.Now().Add(time.Minute); !busy(); {
		select {
		case err := <-ended:
			t.Fatalf("it ended: %v, %s", err, lines.String())
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(end) {
			t.Fatalf("no traffic: %s", lines.String())
		}
	}
	if code, text, stderr := zonewise(t, "cost", "--server", server.url, "--by", "topic"); code != cli.ExitOK || !strings.Contains(text, "orders") {
		t.Errorf("cost: exit %d, %s\n%s", code, stderr, text)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("drain: %v", err)
	}
	for _, want := range []string{fmt.Sprintf("127.0.0.1:%d", o.kafkaPort), "http://127.0.0.1:", o.dataDir, "draining"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("output lacks %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(lines.String(), "ALARM") {
		t.Errorf("alarms: %s", lines.String())
	}
}
