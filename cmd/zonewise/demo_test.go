package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/zonewise/zonewise/dashboards"
	"github.com/zonewise/zonewise/internal/cli"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/test/testenv/logtext"
)

func TestDevWithDemoHasTrafficInEveryZoneAndEndsWell(t *testing.T) {
	o := devOptionsOf(t, t.TempDir(), 2)
	o.demo, o.log = true, logOptions{level: "warn", format: "text"}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, lines logtext.Text
	ended := make(chan error, 1)
	go func() { ended <- runDev(ctx, o, cli.Env{Stdout: &out, Stderr: &lines}) }()
	server := &serverOption{url: fmt.Sprintf("http://127.0.0.1:%d", o.httpPort)}
	busy := func() bool {
		var c dashboards.Cluster
		if server.getJSON(ctx, "/api/v1/zones", &c) != nil || len(c.Topics) != len(demoTopics()) {
			return false
		}
		for _, topic := range c.Topics {
			if topic.Records == 0 {
				return false
			}
		}
		// The page is one broker's; the client without a zone may be another's.
		if len(c.ClientsMissing) > 0 {
			t.Fatalf("brokers %v of this process did not tell their clients", c.ClientsMissing)
		}
		for _, z := range c.Zones {
			if z.ID == metadata.UnknownZone {
				return len(z.Clients) == 1 && z.Clients[0].Evidence == "unknown" && z.Clients[0].Misaligned > 0
			}
		}
		return false
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
