package node

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zonewise/zonewise/costmodel"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/test/testenv/logtext"
)

func TestStepOf(t *testing.T) {
	for _, c := range []struct {
		used     int
		was, now limitLevel
	}{
		{79, limitFine, limitFine}, {80, limitFine, limitNear}, {78, limitNear, limitNear}, {77, limitNear, limitFine},
		{95, limitNear, limitFull}, {95, limitFine, limitFull}, {93, limitFull, limitFull}, {92, limitFull, limitNear}, {10, limitFull, limitFine}, {200, limitFine, limitFull},
	} {
		if got := levelOf(metadata.LimitUsage{Used: c.used, Limit: 100}, c.was); got != c.now {
			t.Errorf("%d of 100 after step %d: step %d, want %d", c.used, c.was, got, c.now)
		}
	}
}

func TestSlowedRates(t *testing.T) {
	for percent, want := range map[int]float64{0: 1, 79: 1, 80: 1, 90: 0.55, 100: 0.1, 250: 0.1} {
		if got := slowedRates(percent); got < want-1e-9 || got > want+1e-9 {
			t.Errorf("at %d %%: %v, want %v", percent, got, want)
		}
	}
}

// A limit that fills up logs a warning at 80 %, slows the lanes, and is an
// alarm from 95 % on in the log, on /readyz and in the metrics, until there is
// room.
func TestALimitThatFillsUpIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newBubbleCluster(t, 10*time.Millisecond)
		defer c.close()
		var said logtext.Text
		limits := metadata.DefaultLimits()
		limits.Partitions, limits.Spans = 100, 100
		c.config = func(cfg *Config) {
			cfg.Limits = &limits
			cfg.Logger = slog.New(slog.NewTextHandler(&said, nil))
		}
		n := c.start("a", "z1")
		id := c.topic(n, 79)
		grow := func(partitions int32) {
			t.Helper()
			said.Reset()
			out, err := n.writer.Submit(t.Context(), []metadata.Command{metadata.CreatePartitions{ID: id, Count: partitions}}, nil)
			if err != nil || out.Commands[0].Code != metadata.CodeOK {
				t.Fatal(out, err)
			}
			time.Sleep(2 * limitInterval)
		}
		expect := func(used int, warned, alarmed bool, total int) {
			t.Helper()
			if text := said.String(); strings.Contains(text, "usage of a limit is high") != warned || strings.Contains(text, "ALARM") != alarmed {
				t.Errorf("at %d the log says %q", used, text)
			}
			metrics := fetch(t, n, "/metrics")
			for _, line := range []string{fmt.Sprintf("zonewise_limit_used{limit=\"partitions\"} %d\n", used), "zonewise_limit_max{limit=\"partitions\"} 100\n",
				fmt.Sprintf("zonewise_alarms_total %d\n", total)} {
				if !strings.Contains(metrics, line) {
					t.Errorf("at %d /metrics has no line %q", used, line)
				}
			}
			ready := fetch(t, n, "/readyz")
			if strings.Contains(ready, fmt.Sprintf("ALARM: limit partitions: %d of 100 used", used)) != (used >= alarmPercent) || !strings.HasPrefix(ready, "ok\n") {
				t.Errorf("at %d /readyz says %q", used, ready)
			}
		}
		time.Sleep(2 * limitInterval)
		expect(79, false, false, 0)
		grow(80)
		expect(80, true, false, 0)
		grow(95)
		expect(95, false, true, 1)
		grow(96) // the same alarm
		expect(96, false, false, 1)
		time.Sleep(alarmRepeat)
		expect(96, false, true, 1)
		if out, err := n.writer.Submit(t.Context(), []metadata.Command{metadata.CreatePartitions{ID: id, Count: 101}}, nil); err != nil || out.Commands[0].Code != metadata.CodeLimit {
			t.Error(out, err)
		}
		said.Reset()
		if _, err := n.writer.Submit(t.Context(), []metadata.Command{metadata.DeleteTopic{ID: id}}, nil); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * limitInterval)
		expect(0, false, false, 1)
	})
}

// Lanes get less of the cluster's rates as spans run out, and are refused by
// the limit only then.
func TestLanesSlowDownAsSpansRunOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newBubbleCluster(t, 10*time.Millisecond)
		defer c.close()
		limits := metadata.DefaultLimits()
		limits.Spans = 10
		c.config = func(cfg *Config) { cfg.Limits = &limits }
		n := c.start("a", "z1")
		id := c.topic(n, 20)
		for p := range 10 {
			ack, err := n.writer.Append(t.Context(), plainBatch(t, metadata.TopicPartition{Topic: id, Partition: metadata.Partition(p)}, "z1", nil))
			if err != nil {
				t.Fatal(err)
			}
			<-ack.Done()
			if _, err := ack.Result(); err != nil {
				t.Fatalf("span %d: %v", p+1, err)
			}
			time.Sleep(2 * limitInterval)
			if got, want := n.governor.Stats().DataFraction, slowedRates(10*(p+1)); got != want {
				t.Errorf("with %d of 10 spans lanes get %v of their rates, want %v", p+1, got, want)
			}
		}
		ack, err := n.writer.Append(t.Context(), plainBatch(t, metadata.TopicPartition{Topic: id, Partition: 11}, "z1", nil))
		if err != nil {
			t.Fatal(err)
		}
		<-ack.Done()
		if _, err := ack.Result(); !errors.Is(err, metadata.CodeLimit) {
			t.Errorf("the eleventh: %v", err)
		}
	})
}

func fetch(t *testing.T, n *Node, path string) string {
	t.Helper()
	book, err := costmodel.Default()
	if err != nil {
		t.Fatal(err)
	}
	h, err := n.HTTPHandler(book, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
	body, _ := io.ReadAll(w.Result().Body)
	return string(body)
}
